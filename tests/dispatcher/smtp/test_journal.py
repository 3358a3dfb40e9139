from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.smtp.conftest import Runner, TlsPair
from tests.dispatcher.smtp.support import (
    ENVELOPE,
    MESSAGE,
    FakeTransport,
    Recorder,
    Wire,
    listener,
    running,
)
from tubepost_api.config import StartTlsMode
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp import journal
from tubepost_dispatcher.smtp.session import SmtpSession


@pytest.fixture(autouse=True)
def level(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, "tubepost"):
        yield


def info(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]


def debug(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (b"NONSENSE\r\n", "command refused, UnknownCommand: 500 5.5.1 Command not recognised"),
        (
            b"NOOP " + b"x" * 600 + b"\r\n",
            "command refused, CommandLineTooLong: 500 5.5.2 Command line too long",
        ),
        (
            b"MAIL FROM:<> SIZE=1001\r\n",
            "mail refused, MessageTooLarge: 552 5.3.4 Message size exceeds the limit",
        ),
        (b"MAIL FROM:<a b>\r\n", "mail refused, BadSender: 501 5.1.7 Bad sender address syntax"),
        (
            b"MAIL FROM:<>\r\nRCPT TO:<x@unknown.example>\r\n",
            'rcpt refused, another reason: 550 5.1.2 Unknown domain (domain "unknown.example")',
        ),
        (b"MAIL FROM:<>\r\nDATA\r\n", "data refused, NoRecipients: 554 5.5.1 No valid recipients"),
        (b"STARTTLS\r\n", "tls refused, TlsNotAvailable: 454 4.7.0 TLS not available"),
        (
            b"GET / HTTP/1.1\r\n",
            'command refused, NotSmtp: 554 5.5.1 This is an SMTP server (HTTP method "GET")',
        ),
    ],
)
def test_every_refusal_names_session_client_and_cause(
    sent: bytes, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire(listener(max_message_size=1_000)).hello()
    wire.send(sent)
    assert info(caplog) == [f"session {wire.id} (192.0.2.7): {line}"]


@pytest.mark.parametrize(
    ("limits", "content", "line"),
    [
        ({"max_message_size": 10}, b"x" * 100, "MessageTooLarge: 552 5.3.4 Message size exceeds the limit"),
        ({"max_header_size": 10}, b"x" * 100, "HeaderTooLarge: 552 5.3.4 Message header exceeds the limit"),
        (
            {"max_line_length": 10},
            b"\r\n" + b"x" * 100,
            "MessageLineTooLong: 554 5.6.0 Message has a line that is longer than the limit",
        ),
    ],
)
def test_a_message_above_a_limit_has_an_id_in_line_and_reply(
    limits: dict[str, int], content: bytes, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire(listener(**limits)).hello()
    wire.send(ENVELOPE + content + b"\r\n.\r\n")
    (name,) = wire.named
    assert info(caplog) == [f"session {wire.id} (192.0.2.7): message {name[3:]} refused, {line}"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(550, "5.1.1", "APNs: Unregistered", "Unregistered"), "Unregistered"),
        (Reply(451, "4.4.1", "Not delivered", "NoRoute"), "another reason"),
    ],
)
def test_a_refused_message_is_named_in_line_and_reply(
    reply: Reply, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire(acceptance=Recorder(None)).hello()
    wire.send(ENVELOPE + MESSAGE + b".\r\n")
    (transaction,) = wire.acceptance.accepted
    transaction.reply(reply)
    wire.take()
    assert wire.named == [f"id={transaction.message_id}"]
    (line,) = info(caplog)
    said = f"{reply.code} {reply.enhanced} {reply.text}"
    assert line == (
        f"session {wire.id} (192.0.2.7): message {transaction.message_id} refused, {reason}: {said}"
    )


def test_an_accepted_message_is_named_in_its_reply_and_leaves_no_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = Wire().hello()
    wire.send(ENVELOPE + MESSAGE + b".\r\n")
    assert wire.named == [f"id={wire.acceptance.accepted[0].message_id}"]
    assert info(caplog) == []


def test_each_stage_and_reason_is_a_kind_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire().hello()
    wire.send(b"X\r\nY\r\nDATA now\r\nRCPT TO:<>\r\nMAIL FROM:x y\r\nMAIL FROM:x z\r\n")
    formats = [record.msg for record in caplog.records if record.levelno == logging.INFO]
    assert len(formats) == 6
    assert len(set(formats)) == 4
    assert formats[0] == formats[1]


def test_kinds_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(100):
        journal.refused("s", "c", "rcpt", f"Invented{number}", "550 5.0.0 No")
    assert len({record.msg for record in caplog.records}) == 1


def test_what_a_client_says_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tubepost")
    wire = Wire().hello()
    wire.send(b"c2VjcmV0\r\nMAIL FROM:<secret@b.example> FOO=secret\r\nMAIL FROM:<>\r\n")
    wire.send(b"RCPT TO:<secret@unknown.example>\r\nRCPT TO:<secret@unknown example>\r\nAUTH secret\r\n")
    assert len(info(caplog)) == 5
    assert "secret" not in caplog.text
    assert "c2Vj" not in caplog.text


def test_a_client_that_sends_nothing_is_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    silent, idle = Wire(), Wire().hello()
    for wire in (silent, idle):
        wire.listener.now += 301
        wire.session.tick(wire.listener.now, 300.0, 1.0)
        wire.take()
        assert wire.named == [f"session={wire.id}"]
    text = "command refused, CommandTimeout: 421 4.4.2 Timeout, closing the connection"
    assert info(caplog) == [
        f"session {silent.id} (192.0.2.7): {text} (sent nothing)",
        f"session {idle.id} (192.0.2.7): {text} (sent no message)",
    ]


def test_a_client_that_is_not_allowed_is_named(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire(listener(networks=("10.0.0.0/8",)))
    assert info(caplog) == [
        f"session {wire.id} (192.0.2.7): connect refused, ClientNotAllowed: 554 5.7.1 Client address not allowed"
    ]


def test_a_client_whose_address_cannot_be_read_is_nobody(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire(listener(networks=("10.0.0.0/8",)))
    caplog.clear()
    transport: Any = FakeTransport()
    transport.peer = None
    session = SmtpSession(wire.listener, wire.loop)
    session.connection_made(transport)
    assert transport.aborted
    assert transport.writes == []
    session.connection_lost(None)
    assert wire.metrics.smtp_rejections.labels("connect", "554")._value.get() == 1
    assert info(caplog) == []


@pytest.mark.parametrize("said", [b"", b"QUIT\r\n", b"EHLO probe\r\nQUIT\r\n", b"NOOP\r\n"])
def test_a_health_check_is_no_refusal(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire()
    wire.send(said)
    wire.session.connection_lost(ConnectionResetError())
    assert info(caplog) == []
    assert not [s for m in wire.metrics.smtp_rejections.collect() for s in m.samples if s.value]


def test_a_client_that_leaves_before_the_reply_is_named(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire(acceptance=Recorder(None)).hello()
    wire.send(ENVELOPE + MESSAGE + b".\r\n")
    wire.lose()
    (transaction,) = wire.acceptance.accepted
    assert info(caplog) == [
        f"session {wire.id} (192.0.2.7): client left before the reply to message {transaction.message_id}"
    ]


def test_debug_shows_the_course_of_a_session(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire().hello()
    wire.send(ENVELOPE + MESSAGE + b".\r\nX\r\nQUIT\r\n")
    wire.listener.now += 7
    wire.lose()
    (transaction,) = wire.acceptance.accepted
    assert debug(caplog) == [
        f"session {wire.id} (192.0.2.7): opened from port 4711",
        f'session {wire.id} (192.0.2.7): EHLO "client.example" -> 250-mx.push.example (and 7 lines)',
        f"session {wire.id} (192.0.2.7): MAIL FROM:<app@sender.example> -> 250 2.1.0 Sender OK",
        f"session {wire.id} (192.0.2.7): RCPT TO:<device@push.example> -> 250 2.1.5 Recipient OK",
        f"session {wire.id} (192.0.2.7): DATA -> 354 End data with <CR><LF>.<CR><LF>",
        (
            f"session {wire.id} (192.0.2.7): message {transaction.message_id} -> 250 2.0.0 Delivered"
            f" id={transaction.message_id}"
        ),
        f"session {wire.id} (192.0.2.7): [1 octets] -> 500 5.5.1 Command not recognised",
        f"session {wire.id} (192.0.2.7): QUIT -> 221 2.0.0 Bye",
        f"session {wire.id} (192.0.2.7): closed after 7 s, 1 message, 1 refusal",
    ]


TOKEN = b"0F" * 32


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            b"MAIL FROM:<app@example.com> SIZE=100 FOO=secret",
            "MAIL FROM:<app@example.com> SIZE=100 FOO=[...]",
        ),
        (b"mail from: <> BODY=8BITMIME AUTH=<>", "mail from:<> BODY=8BITMIME AUTH=[...]"),
        (b"RCPT TO:<" + TOKEN + b"@push.example>", "RCPT TO:<0F0F0F0F...@push.example>"),
        (b"RCPT TO:<v+" + TOKEN[:35] + b"@push.example>", "RCPT TO:<v+0F0F0F0F...@push.example>"),
        (b"RCPT TO:<secret@unknown example>", "[32 octets]"),
        (b"AUTH PLAIN AHMAc2VjcmV0", "AUTH PLAIN [initial response]"),
        (b"auth login", "AUTH LOGIN"),
        (b"AUTH secret", "[11 octets]"),
        (b"c2VjcmV0", "[8 octets]"),
        (b"NOOP secret", "NOOP [6 octets]"),
        (b"RSET", "RSET"),
        (b"EHLO a\x1bb", 'EHLO "a\\x1bb"'),
        (None, "[a line that ends otherwise than with CRLF]"),
    ],
)
def test_commands_are_shown_without_secrets(line: bytes | None, shown: str) -> None:
    assert journal.shown_command(line) == shown


@given(st.binary(max_size=200))
def test_any_command_is_shown_as_one_printable_line(line: bytes) -> None:
    assert journal.shown_command(line).isprintable()
    assert "secret" not in journal.shown_command(b"AUTH PLAIN secret" + line)


async def test_a_level_that_changes_is_in_force_for_open_sessions_after_a_sweep(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tubepost")
    async with running() as it:
        client = await it.greeted()
        assert debug(caplog) == []
        caplog.set_level(logging.DEBUG, "tubepost")
        async with asyncio.timeout(60):
            while not debug(caplog):
                await client.command(b"NOOP")
                await asyncio.sleep(0.02)
    assert debug(caplog)[0].endswith("NOOP -> 250 2.0.0 OK")


def test_a_line_of_an_auth_exchange_is_shown_by_its_length(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal.auth_exchanged("s-1", "192.0.2.7", b"c2VjcmV0\r\n", [])
    assert debug(caplog) == ["session s-1 (192.0.2.7): [AUTH response, 8 octets] -> (no reply yet)"]


def test_errors_that_end_a_session_name_it_in_the_reply() -> None:
    wire = Wire(listener(max_errors=2)).hello()
    wire.send(b"X\r\nX\r\n")
    assert wire.named == [f"session={wire.id}"]
    assert re.fullmatch("[0-9a-f]{6}-1", wire.id)
    assert Wire(beside=wire).id == wire.id[:-1] + "2"


OLD_TLS = ssl.TLSVersion["TLSv1_1"]


def tls_client(context: ssl.SSLContext | None) -> Callable[[int], None]:
    """A client of the standard library's blocking sockets, which send alerts as OpenSSL makes them."""

    def connect(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            plain.recv(1_000)
            plain.sendall(b"EHLO c\r\n")
            plain.recv(1_000)
            plain.sendall(b"STARTTLS\r\n")
            plain.recv(1_000)
            with contextlib.suppress(OSError):
                if context is None:
                    plain.sendall(b"EHLO in the clear\r\n")
                    plain.recv(1_000)
                else:
                    with context.wrap_socket(plain, server_hostname="localhost") as secure:
                        secure.recv(1_000)

    return connect


def client_context(
    *, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, ciphers: str = "", trusting: bool = True
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trusting:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if ciphers:
        context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        # TLS 1.1 is deprecated, which is the point.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = min(most, ssl.TLSVersion.TLSv1_2)
        context.maximum_version = most
    return context


@pytest.mark.parametrize(
    ("context", "cause"),
    [
        (
            client_context(most=OLD_TLS, ciphers="ALL:@SECLEVEL=0"),
            "failed: unsupported protocol",
        ),
        (
            client_context(most=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-RSA-AES128-SHA"),
            "failed: no shared cipher",
        ),
        (client_context(most=ssl.TLSVersion.TLSv1_2, trusting=False), "failed: tlsv1 alert unknown ca"),
        (client_context(trusting=False), "failed: tlsv1 alert unknown ca"),
        (None, "failed: wrong version number"),
    ],
    ids=["old protocol", "no common cipher", "certificate", "certificate in TLS 1.3", "plain text"],
)
def test_tls_failures_give_openssls_reason(
    run: Runner, tls: TlsPair, context: ssl.SSLContext | None, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with running(listener(starttls=StartTlsMode.OPTIONAL), tls=tls.server) as it:
            await asyncio.to_thread(tls_client(context), it.port)
            await it.until(lambda: it.server.sessions == 0)

    run(main())
    (line,) = info(caplog)
    assert re.fullmatch(rf"session [0-9a-f]{{6}}-1 \(127\.0\.0\.1\): TLS handshake {cause}", line), line


@pytest.mark.parametrize(
    ("silent", "cause"), [(True, "did not finish it in time"), (False, "closed the connection")]
)
def test_a_handshake_that_does_not_end_leaves_a_line(
    run: Runner, tls: TlsPair, silent: bool, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        timeout = 0.05 if silent else 5.0
        config = listener(starttls=StartTlsMode.OPTIONAL, tls_handshake_timeout=timeout)
        async with running(config, tls=tls.server) as it:
            client = await it.greeted()
            await client.command(b"STARTTLS")
            if not silent:
                await client.close()
            await it.until(lambda: it.server.sessions == 0)

    run(main())
    (line,) = info(caplog)
    assert line.endswith(f"TLS handshake failed: the client {cause}")
