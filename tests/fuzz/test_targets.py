"""The kept inputs hold, and each target notices what it is there for."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.fuzz import (
    configuration,
    http2_engine,
    log_line,
    mcmt_message,
    momentum_configuration,
    queue_request,
    report,
    rest_connection,
    secret_reader,
    smtp_session,
    webhook_peer,
)
from tests.fuzz.target import CORPUS, LONGEST, NAMES, Target, chunks, fields, kept, load, within_time
from tubepost_api.compile import CompileResult
from tubepost_credentials.secrets import Material
from tubepost_dispatcher.apns.http2.engine import Engine
from tubepost_dispatcher.feeds.webhook.answer import Answer, Verdict
from tubepost_dispatcher.http import connection
from tubepost_dispatcher.http.connection import RestConnection
from tubepost_dispatcher.queue_request import Action, Selection
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp import replies
from tubepost_dispatcher.smtp.session import SmtpSession

SLOWER = 4.0
"""Machines that run tests are busy."""


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_kept_inputs_hold(name: str) -> None:
    target = load(name)
    for data in (*target.seeds, *(path.read_bytes() for path in kept(name))):
        within_time(target.run, data, slower=SLOWER)


@pytest.mark.parametrize("name", NAMES)
def test_the_kept_corpus_is_small(name: str) -> None:
    sizes = [path.stat().st_size for path in kept(name)]
    assert 10 <= len(sizes) <= 400
    assert sum(sizes) <= 200_000


def test_every_module_with_a_target_is_listed() -> None:
    with_target = {
        path.stem for path in CORPUS.parent.glob("*.py") if "\nTARGET = Target(" in path.read_text()
    }
    assert with_target == set(NAMES)


def _fails(target: Target, data: bytes, match: str | None = None) -> None:
    with pytest.raises(AssertionError, match=match):
        target.run(data)


def test_a_filter_that_is_forgotten_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was meant for one domain would be done with everything."""
    read = queue_request.read_change

    def forgetful(action: Action, document: Any) -> Any:
        return dataclasses.replace(read(action, document), selection=Selection())

    monkeypatch.setattr(queue_request, "read_change", forgetful)
    _fails(queue_request.TARGET, b'\0{"filter":{"domain":"a.example"}}', "nobody asked for everything")


@pytest.mark.pure
def test_a_reply_that_cannot_be_printed_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "OK", b"250 \xff\r\n")
    _fails(smtp_session.TARGET, b"\0\0\0EHLO x\r\nRSET\r\n")


@pytest.mark.pure
def test_an_exception_in_a_session_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "OK", None)
    with pytest.raises((AssertionError, TypeError)):
        smtp_session.run(b"\0\0\0EHLO x\r\nRSET\r\n")
    monkeypatch.delattr(replies, "OK")
    _fails(smtp_session.TARGET, b"\0\0\0EHLO x\r\nRSET\r\n", "logged as an error")


def test_a_session_that_depends_on_how_input_is_cut_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    original = SmtpSession.data_received
    monkeypatch.setattr(
        SmtpSession, "data_received", lambda it, data: original(it, data.replace(b"\r\n\r\n", b"\r\n"))
    )
    _fails(smtp_session.TARGET, b"\0\2\1" + smtp_session.TARGET.seeds[0][3:])


def test_a_request_that_depends_on_how_input_is_cut_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    original = RestConnection.data_received
    monkeypatch.setattr(
        RestConnection, "data_received", lambda it, data: original(it, data.replace(b"/v1/n", b"/v1/x"))
    )
    _fails(rest_connection.TARGET, b"\0\2\1" + rest_connection.TARGET.seeds[0][3:])


def test_an_answer_that_is_no_http_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_STATUS", {200: b"HTTP/1.1 200\r\nContent-Type: "})
    _fails(rest_connection.TARGET, rest_connection.TARGET.seeds[0])


def test_a_stream_that_ends_twice_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    original: Callable[..., list[Any]] = Engine.receive
    monkeypatch.setattr(Engine, "receive", lambda it, data: original(it, data) * 2)
    _fails(http2_engine.TARGET, http2_engine.TARGET.seeds[0])


@pytest.mark.shows_secrets("the refusal is made up")
def test_a_refusal_that_shows_a_token_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    token = "cd" * 32
    monkeypatch.setattr(
        mcmt_message, "parse_message", lambda *_, **__: Reply(550, "5.6.0", f"bad {token}", "BadDeviceToken")
    )
    _fails(mcmt_message.TARGET, mcmt_message.TARGET.seeds[2].replace(b"ab" * 32, token.encode()), token)


def test_a_document_without_problem_and_without_result_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "compile_manifests", lambda _: CompileResult(None, ()))
    _fails(configuration.TARGET, configuration.TARGET.seeds[0])


def test_a_line_with_the_token_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_line, "compile_format", lambda _: lambda event: event.device_token)
    _fails(log_line.TARGET, b"\0\0\0%da")


@pytest.mark.shows_secrets("the finding is made up")
def test_a_finding_with_a_byte_of_the_secret_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    original = secret_reader.check

    def told(references: Any, secrets: Any, now: float) -> Material:
        material = original(references, secrets, now)
        text = str(dict(secrets["secret"]))
        return dataclasses.replace(
            material, findings=tuple(dataclasses.replace(f, text=text) for f in material.findings)
        )

    data = bytes((3, 0, 40)) + b"-----BEGIN PRIVATE KEY-----\nMIGH\n\xffABCDE12345\xffTEAM123456"
    secret_reader.run(data)
    monkeypatch.setattr(secret_reader, "check", told)
    _fails(secret_reader.TARGET, data, "canary")


def test_an_input_that_takes_long_fails() -> None:
    def busy(data: bytes) -> None:
        end = time.thread_time() + LONGEST * 1.1
        while time.thread_time() < end:
            pass

    with pytest.raises(AssertionError, match="s of CPU for 1 bytes"):
        within_time(busy, b"x")
    within_time(busy, b"x", slower=2.0)


def test_chunks_are_all_of_the_input() -> None:
    assert list(chunks(b"abcdef", 2, 1)) == [b"ab", b"c", b"de", b"f"]
    assert list(chunks(b"abcdef", 0, 1)) == [b"abcdef"]
    assert fields(b"a\xffb\xffc", 2) == [b"a", b"b\xffc"]
    assert fields(b"a", 3) == [b"a", b"", b""]


def test_a_report_that_shows_a_token_or_breaks_its_lines_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tubepost_dispatcher.bounces.report.hide_tokens", lambda text, _token: text)
    _fails(report.TARGET, b"\x00\x03" + b"\xff" * 9)
    monkeypatch.undo()
    monkeypatch.setattr("tubepost_dispatcher.bounces.report.one_line", lambda text, *_: text)
    monkeypatch.setattr("tubepost_dispatcher.bounces.header_text.one_line", lambda text, *_: text)
    _fails(report.TARGET, b"\x00\x00" + b"\xff\xff\xff" + b"No\r\nBcc: x" + b"\xff" * 6)


def test_a_webhooks_peer_that_gets_a_token_into_the_log_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Answer(Verdict.AGAIN, "it answered 500: " + "a1b2c3d4" * 8)
    monkeypatch.setattr(webhook_peer, "judge", lambda *_: said)
    _fails(webhook_peer.TARGET, b"\x01\x2c\xffx")


def test_an_outbox_that_gives_back_more_than_it_holds_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_peer, "read_lines", lambda data: ([b"{}"], 0))
    _fails(webhook_peer.TARGET, b"\x00\x00\xff[]\n")


def test_a_line_of_a_configuration_that_nobody_accounts_for_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tubepost_importer.report.UNKNOWN", "")
    monkeypatch.setattr("tubepost_importer.convert.UNKNOWN", "")
    _fails(momentum_configuration.TARGET, b"\0mystery = 1")
