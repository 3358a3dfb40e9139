"""From Momentum, by the page about it: the manual's configuration imported and run, its message delivered."""

from __future__ import annotations

import json
import re
import smtplib
from pathlib import Path
from typing import ClassVar

import pytest

from tests.e2e.app import REPOSITORY, Command, get, tubepost, wait_until

pytestmark = pytest.mark.xdist_group("e2e")

PAGE = (REPOSITORY / "docs" / "import.md").read_text(encoding="utf-8")


class Run(Command):
    patterns: ClassVar = {
        "port": r"SMTP +127\.0\.0\.1:(\d+)",
        "inbox": r"inbox: (http://127\.0\.0\.1:\d+/)",
    }


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    directory = tmp_path_factory.mktemp("imported") / "push"
    done = tubepost("import", "examples/seed/ecelerity.conf", "-o", str(directory))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, directory


def test_what_the_page_shows_is_what_is_printed(pushed: tuple[str, Path]) -> None:
    report, directory = pushed
    samples = re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(samples) == 3
    blocks = re.findall(r"^[=!-] .*\n(?: {6}.*\n)*", samples[0], re.MULTILINE)
    assert len(blocks) == 3
    for block in blocks:
        assert block in report
    assert samples[1] in (directory / "manifests.yaml").read_text()
    assert samples[2].strip() in report


def test_an_unchanged_senders_message_is_delivered(pushed: tuple[str, Path]) -> None:
    message = (REPOSITORY / "examples" / "seed-message.eml").read_bytes()
    ports = ("--port", "0", "--http-port", "0", "--admin-port", "0")
    with Run("run", "-f", str(pushed[1]), "--simulator", *ports) as running:
        with smtplib.SMTP("127.0.0.1", int(running.found["port"]), timeout=60) as smtp:
            assert smtp.sendmail("alerts@sender.example", "subscriber@apn_example.com", message) == {}
        (got,) = wait_until(
            lambda: json.loads(get(running.found["inbox"] + "api/v1/notifications"))["notifications"], 60
        )
        assert got["payload"]["aps"]["alert"] == "You have mail"
        assert got["token"] == "123acb90ffa0978cbade354ddffee76665a"
        wait_until(lambda: "@D@" in running.output(), 60)
