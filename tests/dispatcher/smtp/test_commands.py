from __future__ import annotations

import logging

import pytest

from tests.dispatcher.smtp.support import DELIVERED, ENVELOPE, MESSAGE, Wire, listener
from tubepost_api.config import AuthConfig, StartTlsMode
from tubepost_dispatcher.smtp.commands import RECIPIENT_OVERSHOOT


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"NOOP", b"250 2.0.0 OK"),
        (b"noop anything", b"250 2.0.0 OK"),
        (b"RSET", b"250 2.0.0 OK"),
        (b"RSET now", b"501 5.5.4 "),
        (b"DATA", b"503 5.5.1 Need MAIL"),
        (b"DATA x", b"501 5.5.4 "),
        (b"RCPT TO:<x@push.example>", b"503 5.5.1 Need MAIL"),
        (b"QUIT ", b"221 2.0.0 Bye"),
        (b"QUIT now", b"501 5.5.4 "),
        (b"QUITE", b"500 5.5.1 "),
        (b"MAILX FROM:<>", b"500 5.5.1 "),
        (b"HELP", b"214-2.0.0 "),
        (b"VRFY someone", b"252 2.1.5 "),
        (b"EXPN list", b"502 5.5.1 "),
        (b"ETRN x", b"502 5.5.1 "),
        (b"BDAT 5 LAST", b"502 5.5.1 "),
        (b"XCLIENT ADDR=127.0.0.1", b"502 5.5.1 "),
        (b"XFORWARD ADDR=127.0.0.1", b"502 5.5.1 "),
        (b"STARTTLS", b"454 4.7.0 TLS not available"),
        (b"STARTLES", b"500 5.5.1 "),
        (b"AUTH PLAIN AGEAYg==", b"502 5.5.1 "),
        (b"", b"500 5.5.1 "),
        (b" NOOP", b"500 5.5.1 "),
        (b"NO\0P", b"500 5.5.2 "),
        (b"NOOP\0", b"500 5.5.2 "),
        (b"NOOP \r", b"500 5.5.2 "),
        (b"MAIL FROM:<a\0@b.example>", b"500 5.5.2 "),
        (b"MAIL FROM:<a@b.example>\t", b"500 5.5.2 "),
        (b"\xff\xfe", b"500 5.5.1 "),
        (b"EHLO", b"501 5.5.4 "),
        (b"EHLO  ", b"501 5.5.4 "),
        (b"MAIL FROM:<a@b.example> SIZE=10240001", b"552 5.3.4 "),
        (b"MAIL FROM:<a@b.example> SIZE=10240000", b"250 2.1.0 "),
        (b"MAIL FROM:a@b.example", b"250 2.1.0 "),
        (b"MAIL FROM:App <a@b.example>", b"501 5.5.4 "),
        (b"MAIL FROM:<a@b.example> X=1", b"555 5.5.4 "),
        (b"MAIL FROM:<a@b..example>", b"501 5.1.7 "),
        (b"NOOP " + b"x" * 505, b"250 2.0.0 OK"),
        (b"NOOP " + b"x" * 506, b"500 5.5.2 Command line too long"),
        (b"MAIL FROM:<" + b"x" * 1_000 + b"@b.example>", b"250 2.1.0 "),
        (b"MAIL FROM:<" + b"x" * 2_100 + b"@b.example>", b"500 5.5.2 Command line too long"),
    ],
)
def test_one_command(line: bytes, reply: bytes) -> None:
    out = Wire().hello().send(line + b"\r\n")
    assert out.startswith(reply)
    assert out.count(b"\r\n") == (2 if b"-" in out[:4] else 1)


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/1.1", b"POST / HTTP/1.1", b"CONNECT x:25 HTTP/1.1"],
)
def test_what_is_not_smtp_ends_the_session(line: bytes) -> None:
    wire = Wire()
    wire.take()
    assert wire.send(line + b"\r\nMAIL FROM:<>\r\n") == b"554 5.5.1 This is an SMTP server\r\n"
    assert wire.transport.closed


PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1\0\x19\0\x19"
NO_PROXY = b"554 5.5.1 PROXY protocol header not supported\r\n"


@pytest.mark.parametrize(
    ("header", "version"),
    [(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 25\r\n", 1), (b"PROXY UNKNOWN\r\n", 1), (PROXY_V2, 2)],
)
def test_a_proxy_header_is_named(header: bytes, version: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tubepost")
    wire = Wire()
    wire.take()
    assert wire.send(header + b"EHLO c\r\n") == NO_PROXY
    assert wire.transport.closed
    assert f"PROXY protocol version {version}" in caplog.text
    assert wire.metrics.smtp_rejections.labels("command", "554")._value.get() == 1


@pytest.mark.parametrize("cut", range(1, len(PROXY_V2)))
def test_a_binary_proxy_header_in_two_pieces_is_named_too(cut: int) -> None:
    wire = Wire()
    wire.take()
    out = wire.send(PROXY_V2[:cut]) + wire.send(PROXY_V2[cut:] + b"EHLO c\r\n")
    assert out.endswith(NO_PROXY)
    assert wire.transport.closed


def test_implicit_tls_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tubepost")
    wire = Wire()
    wire.take()
    # The record has no line end, so nothing that reads lines would ever answer it.
    assert wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") == (
        b"554 5.7.0 TLS begins with STARTTLS here\r\n"
    )
    assert wire.transport.closed
    assert "tls refused, TlsTooEarly" in caplog.text


def test_hello_first() -> None:
    wire = Wire()
    wire.take()
    assert wire.send(b"MAIL FROM:<>\r\n") == b"503 5.5.1 Send EHLO or HELO first\r\n"
    assert wire.send(b"HELO old.example\r\n") == b"250 mx.push.example\r\n"
    # Python's smtplib goes on sending SIZE after a HELO that follows an EHLO.
    assert wire.send(b"MAIL FROM:<> SIZE=5\r\n").startswith(b"250 2.1.0 ")


def test_a_name_that_could_forge_a_log_line_is_defused() -> None:
    wire = Wire()
    wire.send("EHLO a\u2028b\x85\r\n".encode() + ENVELOPE)
    wire.send(MESSAGE + b".\r\n")
    assert wire.acceptance.accepted[0].session.helo == "a?b?"


def test_hello_again_resets_the_transaction() -> None:
    wire = Wire().hello()
    wire.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<x@push.example>\r\n")
    wire.hello()
    assert wire.send(b"DATA\r\n").startswith(b"503 ")


def test_recipients() -> None:
    wire = Wire().hello()
    wire.send(b"MAIL FROM:<a@b.example>\r\n")
    assert wire.send(b"MAIL FROM:<a@b.example>\r\n").startswith(b"503 5.5.1 ")
    assert wire.send(b"RCPT TO:<x@unknown.example>\r\n") == b"550 5.1.2 Unknown domain\r\n"
    assert wire.send(b"DATA\r\n") == b"554 5.5.1 No valid recipients\r\n"
    assert wire.send(b"RCPT TO:<x@PUSH.Example>\r\n").startswith(b"250 2.1.5 ")
    assert wire.send(b"RCPT TO:<y@push.example>\r\n").startswith(b"452 4.5.3 ")
    assert wire.send(b"RCPT TO:<y@unknown.example>\r\n").startswith(b"550 5.1.2 ")
    assert wire.acceptance.asked == [
        ("unknown.example", 0),
        ("push.example", 0),
        ("push.example", 1),
        ("unknown.example", 1),
    ]
    assert wire.send(b"DATA\r\n").startswith(b"354 ")
    assert wire.send(b".\r\n") == DELIVERED
    assert wire.acceptance.accepted[0].recipients[0].address == "x@PUSH.Example"


def test_pipelined_data_without_a_recipient_takes_no_message() -> None:
    wire = Wire().hello()
    out = wire.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<x@unknown.example>\r\nDATA\r\nRSET\r\n")
    assert [line[:3] for line in out.split(b"\r\n") if line] == [b"250", b"550", b"554", b"250"]


def test_postmaster_is_ours() -> None:
    wire = Wire().hello()
    wire.send(b"MAIL FROM:<>\r\nRCPT TO:<postmaster>\r\n")
    assert wire.acceptance.asked == [("mx.push.example", 0)]


def test_an_endless_line_is_not_stored() -> None:
    wire = Wire().hello()
    for _ in range(30):
        assert wire.send(b"A" * 2_000) == b""
        assert len(wire.session._in) <= 2_100
    assert wire.send(b"\r\nNOOP\r\n") == b"500 5.5.2 Command line too long\r\n250 2.0.0 OK\r\n"
    out = b""
    while not wire.transport.closed:
        out += wire.send(b"A" * 2_000)
    assert out == b"500 5.5.2 Command line too long\r\n"


@pytest.mark.parametrize("line", [b"MAIL FROM:<>", b"RCPT TO:<x@push.example>", b"DATA", b"VRFY x"])
def test_tls_and_auth_are_required_when_configured(line: bytes) -> None:
    wire = Wire(listener(starttls=StartTlsMode.REQUIRED)).hello()
    assert wire.send(line + b"\r\n") == b"530 5.7.0 Must issue a STARTTLS command first\r\n"
    wire = Wire(listener(auth=AuthConfig(secret="s", require_tls=False)), users={"a": "b"}).hello()
    assert wire.send(line + b"\r\n") == b"530 5.7.0 Authentication required\r\n"


def test_helo_is_refused_where_tls_is_required() -> None:
    wire = Wire(listener(starttls=StartTlsMode.REQUIRED))
    wire.take()
    assert wire.send(b"HELO x\r\n").startswith(b"530 5.7.0 ")


def test_auth_is_checked_before_it_starts() -> None:
    wire = Wire(listener(auth=AuthConfig(secret="s")), users={"a": "b"})
    wire.take()
    assert wire.send(b"AUTH PLAIN AGEAYg==\r\n").startswith(b"503 5.5.1 ")
    wire.hello()
    assert wire.send(b"AUTH PLAIN AGEAYg==\r\n").startswith(b"538 5.7.11 ")
    config = listener(auth=AuthConfig(secret="s", require_tls=False))
    wire = Wire(config, users={"a": "b"}).hello()
    assert wire.send(b"AUTH\r\n").startswith(b"501 5.5.4 ")
    assert wire.send(b"AUTH CRAM-MD5\r\n").startswith(b"504 5.5.4 ")
    assert Wire(config).hello().send(b"AUTH PLAIN AGEAYg==\r\n").startswith(b"454 4.7.0 ")


def rcpt(wire: Wire, count: int) -> list[bytes]:
    """Send so many RCPT commands; the replies."""
    out = wire.send(b"RCPT TO:<x@push.example>\r\n" * count)
    return [line + b"\r\n" for line in out.split(b"\r\n")[:-1]]


TOO_MANY = b"452 4.5.3 Too many recipients\r\n"


def test_rcpt_commands_of_a_transaction_are_limited() -> None:
    wire = Wire(listener(max_recipients=3)).hello()
    for _ in range(2):
        wire.send(b"MAIL FROM:<a@b.example>\r\n")
        # Refused ones count: by their domain, by their syntax, and the second recipient of the acceptance.
        assert wire.send(b"RCPT TO:<x@unknown.example>\r\n").startswith(b"550 ")
        assert wire.send(b"RCPT TO:x\r\n").startswith(b"501 ")
        assert rcpt(wire, 3) == [b"250 2.1.5 Recipient OK\r\n", TOO_MANY, TOO_MANY]
        # A recipient that comes too late is not even looked up.
        assert wire.send(b"RCPT TO:<x@unknown.example>\r\n") == TOO_MANY
        assert wire.send(b"DATA\r\n" + MESSAGE + b".\r\n").endswith(DELIVERED)
    assert [domain for domain, _ in wire.acceptance.asked] == ["unknown.example", "push.example"] * 2
    assert wire.metrics.smtp_rejections.labels("rcpt", "452")._value.get() == 6


def test_a_client_that_never_stops_sending_recipients_is_sent_away() -> None:
    wire = Wire(listener(max_recipients=2, max_errors=3)).hello()
    wire.send(b"MAIL FROM:<a@b.example>\r\n")
    assert rcpt(wire, 2)[0].startswith(b"250 ")
    assert rcpt(wire, RECIPIENT_OVERSHOOT) == [TOO_MANY] * RECIPIENT_OVERSHOOT
    assert not wire.transport.closed
    assert rcpt(wire, 10) == [TOO_MANY] * 3 + [b"421 4.7.0 Too many errors, closing the connection\r\n"]
    assert wire.transport.closed


def test_any_number_of_recipients_where_there_is_no_limit() -> None:
    wire = Wire(listener(max_recipients=0)).hello()
    wire.send(b"MAIL FROM:<a@b.example>\r\n")
    assert TOO_MANY not in rcpt(wire, 3_000)


def test_help_names_every_command() -> None:
    out = Wire().hello().send(b"HELP\r\n")
    for verb in (
        b"EHLO",
        b"HELO",
        b"STARTTLS",
        b"AUTH",
        b"MAIL",
        b"RCPT",
        b"DATA",
        b"RSET",
        b"QUIT",
        b"VRFY",
    ):
        assert verb in out


def test_missing_angle_brackets_are_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tubepost")
    wire = Wire().hello()
    for _ in range(2):
        assert wire.send(
            b"MAIL FROM: a@b.example SIZE=3\r\nRCPT TO: x@PUSH.example\r\nDATA\r\nx\r\n.\r\n"
        ).endswith(b"250 2.0.0 Delivered\r\n")
    transaction = wire.acceptance.accepted[0]
    assert (transaction.mail_from, transaction.recipients[0].domain) == ("a@b.example", "push.example")
    assert wire.metrics.smtp_warnings.labels("missing_angle_brackets")._value.get() == 4
    assert caplog.text.count("accepted a malformed command: missing_angle_brackets") == 1
