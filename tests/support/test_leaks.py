from __future__ import annotations

import io
import logging
import smtplib
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.leaks import Leaks
from tests.support.leaks import looking as looking_for
from tubepost_api.problems import Problem
from tubepost_api.references import SecretReference
from tubepost_credentials import CredentialError, secrets
from tubepost_credentials.throwaway import make_token_key
from tubepost_credentials.token import load_token
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp import replies
from tubepost_operator.actions import Event
from tubepost_runtime import endpoints

TOKEN = "a1b2c3d4" * 8
PASSWORD = "canary-of-this-test"
SECRETS = {"s": {"username": b"app", "password": PASSWORD.encode()}}

# What is shown on purpose here is seen by the whole suite's look-out, too.
pytestmark = pytest.mark.shows_secrets("they are what these tests are about")


@pytest.fixture
def leaks() -> Leaks:
    return Leaks()


def one(leaks: Leaks, *words: str) -> None:
    """Exactly one thing was found, and the text says what and where."""
    found = leaks.take()
    assert len(found) == 1, found
    assert all(word in found[0] for word in words), found
    assert leaks.take() == []


def test_a_record_of_any_level_with_extras_and_traceback(leaks: Leaks) -> None:
    logger = logging.getLogger("tubepost.leaks")
    with looking_for(leaks):
        logger.debug("token %s", TOKEN)
        one(leaks, "a record of tubepost.leaks", TOKEN)
        logger.info("token", extra={"token": TOKEN})
        one(leaks, f"token={TOKEN}")
        try:
            int(TOKEN)
        except ValueError:
            logger.exception("failed")
        one(leaks, "invalid literal")
        logger.warning("token %s...", TOKEN[:8])
        assert leaks.take() == []


def test_labels_replies_endpoints_and_values_of_ours(leaks: Leaks) -> None:
    with looking_for(leaks):
        Metrics().smtp_rejections.labels("data", TOKEN)
        one(leaks, "a label of tubepost_smtp_rejections")
        replies.render(Reply(550, "5.6.0", f"bad token {TOKEN}"))
        one(leaks, "an SMTP reply")
        endpoints.body_response(TOKEN.encode(), "text/plain")
        one(leaks, "an endpoint")
        endpoints.text_response(200, TOKEN)
        one(leaks, "an endpoint")
        endpoints.body_response(f'{{"fingerprint": "{TOKEN}"}}'.encode(), "application/json")
        Event("Warning", "Word", TOKEN)
        one(leaks, "a Event")
        Problem("error", "f", "k", "ns", "n", "", TOKEN, "x")
        one(leaks, "a Problem")


def test_the_text_of_an_exception_that_a_test_expects(leaks: Leaks) -> None:
    with looking_for(leaks):
        with pytest.raises(CredentialError):
            raise CredentialError(f"bad {TOKEN}", "mend it")
        one(leaks, "CredentialError")


def test_passwords_that_the_reader_of_secrets_has_seen(leaks: Leaks) -> None:
    reference = SecretReference("Users", "o", "s", ("username", "password"))
    with looking_for(leaks):
        secrets.check([reference], SECRETS)
        logging.getLogger("tubepost.leaks").error("user app, %s", PASSWORD)
        one(leaks, PASSWORD)


def test_keys_made_here_and_provider_tokens(leaks: Leaks) -> None:
    with looking_for(leaks):
        key = make_token_key()
        leaks.look("text", "-----BEGIN PRIVATE KEY-----")
        assert leaks.take() == []
        leaks.look("text", key.decode())
        assert leaks.take()
        signed = load_token(key, b"ABCDE12345", b"TEAM123456").sign(1_700_000_000)
        logging.getLogger("tubepost.leaks").error("authorization: bearer %s", signed)
        one(leaks, signed)


@pytest.mark.parametrize(("name", "found"), [("tubepost", 1), ("containerd", 0)])
def test_what_a_child_process_of_ours_writes_to_a_file(
    leaks: Leaks, tmp_path: Path, name: str, found: int
) -> None:
    command = tmp_path / name
    command.write_text(f"#!/bin/sh\necho {TOKEN}\n")
    command.chmod(0o755)
    with looking_for(leaks), (tmp_path / "output").open("wb") as output:
        subprocess.run([command], stdout=output, check=True)
        assert len(leaks.take()) == found


class _Token(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.wfile.write(f"HTTP/1.0 200 OK\r\n\r\n{TOKEN}".encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_what_a_child_process_answers(leaks: Leaks) -> None:
    client = smtplib.SMTP()
    client.file = io.BytesIO(f"550 5.6.0 {TOKEN}\r\n".encode())
    with looking_for(leaks), HTTPServer(("127.0.0.1", 0), _Token) as server:
        client.getreply()
        one(leaks, "an SMTP reply")
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/status") as answer:
            answer.read()
        thread.join()
        one(leaks, "/status")


def test_what_all_keys_share_and_words_are_no_secrets(leaks: Leaks) -> None:
    leaks.register("secret")
    leaks.register_key(make_token_key())
    leaks.register_key(b"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n")
    leaks.look(
        "text", f"a secret, MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg, {'a' * 64}, {TOKEN[:63]}"
    )
    assert leaks.take() == []


def test_the_suite_fails_for_it(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(root)!r})\nfrom tests.conftest import *  # noqa\n"
    )
    (tmp_path / "test_it.py").write_text(
        f"""
import logging, pytest
LOG = logging.getLogger("tubepost.x")

def test_leaks():
    LOG.debug({TOKEN!r})

def test_keeps_it():
    LOG.debug("token a1b2c3d4...")

@pytest.mark.shows_secrets("asked for")
def test_asked():
    LOG.error({TOKEN!r})
"""
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        "/dev/null",
        "--rootdir",
        ".",
        "-p",
        "no:cacheprovider",
        ".",
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "3 passed, 1 error" in result.stdout, result.stdout
    assert "ERROR at teardown of test_leaks" in result.stdout
    assert "secrets in the open" in result.stdout
