"""One SMTP session, from its greeting to its end, with input in arbitrary chunks and a stub for acceptance.

No exception, none caught and logged either; every reply is whole, printable and at most 512 octets a line; no
more than two replies for a line of input; nothing is written after the connection was closed; what is held of
the input is bounded; how the input is cut makes no difference to replies and messages; when the session is
over, its listener holds nothing of it; no password is repeated.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Coroutine
from typing import Any

from tests.dispatcher.smtp.support import ENVELOPE, MESSAGE, FakeTransport, listener, split_names
from tests.fuzz.target import Listener, Target, chunks
from tests.support.loop import FakeLoop
from tubepost_api.config import AuthConfig, StartTlsMode
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.config import EffectiveConfig
from tubepost_dispatcher.smtp.flow import MAX_HELD
from tubepost_dispatcher.smtp.listener import ListenerState
from tubepost_dispatcher.smtp.replies import HEADER_TOO_LARGE, LONG_TEXT_LINE, TOO_LARGE
from tubepost_dispatcher.smtp.session import SmtpSession
from tubepost_dispatcher.transaction import SessionFacts, Transaction

_PASSWORD = "canary-3f9a51c07e"
_LINES = re.compile(rb"(?:[2-5]\d\d[ -][\x20-\x7e]*\r\n)*").fullmatch
_OVER = re.compile(rb"[2-5]\d\d ").match


class _Acceptance:
    """Takes messages; answers at once, or when the next chunk has come."""

    def __init__(self) -> None:
        self.later = False
        self.waiting: list[Transaction[str]] = []
        self.contents: list[tuple[str, tuple[str, ...], bytes]] = []

    def check_recipient(self, session: SessionFacts, domain: str, recipients_so_far: int) -> Reply | str:
        if domain.startswith("unknown"):
            return Reply(550, "5.1.2", f"Unknown domain {domain}")
        return domain

    def accept(self, transaction: Transaction[str]) -> None:
        transaction.pending = self
        self.contents.append(
            (
                transaction.mail_from,
                tuple(r.address for r in transaction.recipients),
                bytes(transaction.content),
            )
        )
        if self.later:
            self.waiting.append(transaction)
        else:
            transaction.reply(Reply(250, "2.0.0", "Delivered"))

    def answer(self) -> None:
        while self.waiting:
            self.waiting.pop(0).reply(Reply(451, "4.4.1", "Later"))

    def abandon(self) -> None:
        self.waiting.clear()


class _Handshake:
    def cancel(self) -> bool:
        """There is none to cancel."""
        return False


class _Loop(FakeLoop):
    """A handshake never comes to its end here."""

    handshakes = 0

    def create_task(self, coro: Coroutine[Any, Any, None], **_: Any) -> Any:
        coro.close()
        self.handshakes += 1
        return _Handshake()

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)


_ACCEPTANCE = _Acceptance()
_METRICS = Metrics()
_LOG = Listener("tubepost")
_SMALL = {"max_message_size": 2_000, "max_header_size": 500, "max_line_length": 200, "max_errors": 5}
_AUTH = AuthConfig(secret="s", required=True, require_tls=False)
_CONFIGS = tuple(
    EffectiveConfig(config, _ACCEPTANCE, **more)
    for config, more in (
        (listener(), {}),
        (listener(**_SMALL, max_recipients=3, max_messages_per_session=2), {}),
        (listener(auth=_AUTH), {"users": {"app": _PASSWORD}}),
        (
            listener(starttls=StartTlsMode.OPTIONAL, auth=AuthConfig(secret="s", required=False)),
            {"tls": object(), "users": {"app": _PASSWORD}},
        ),
    )
)


def run(data: bytes) -> None:
    """Byte 0: configuration and events. Bytes 1 and 2: sizes of chunks. Then what the client sends."""
    mode, first, second = (*data[:3], 0, 0, 0)[:3]
    sent = data[3:]
    with _LOG:
        replies, contents = _session(sent, mode, first, second)
    # Nothing but the cut differs; a binary PROXY header is known by its first bytes, if they come together.
    if not mode & 0b1111_1100 and not sent.startswith(b"\r\n\r\n\0"):
        with _LOG:
            other_replies, other_contents = _session(sent, mode, 0, 0)
        assert contents == other_contents
        assert _without_ids(replies) == _without_ids(other_replies)


def _without_ids(out: bytes) -> bytes:
    """Replies without ids; a message with several faults is refused for the one that was seen first."""
    out, _ = split_names(out)
    for reply in (HEADER_TOO_LARGE, LONG_TEXT_LINE):
        out = out.replace(reply, TOO_LARGE)
    return out


def _session(sent: bytes, mode: int, first: int, second: int) -> tuple[bytes, list[Any]]:
    acceptance = _ACCEPTANCE
    acceptance.later = bool(mode & 4)
    acceptance.waiting.clear()
    acceptance.contents = []
    loop = _Loop()
    state = ListenerState(_CONFIGS[mode & 3], _METRICS, None, 1_000.0)
    transport: Any = FakeTransport()
    session = SmtpSession(state, loop)
    session.connection_made(transport)
    fed = 0
    for number, chunk in enumerate(chunks(sent, first, second)):
        if transport.closed or loop.handshakes:
            break
        if transport.paused:
            acceptance.answer()
            loop.run_until_idle()
        if mode & 8 and number % 3 == 1:
            session.pause_writing()
            session.resume_writing()
        if not transport.paused and not transport.closed:
            session.data_received(chunk)
            fed += chunk.count(b"\n")
        assert len(session._in) <= MAX_HELD + len(chunk)
        if number % 2:
            acceptance.answer()
        loop.run_until_idle()
        if mode & 16 and number % 5 == 4:
            state.now += 60.0
            session.tick(state.now, 300.0, 1.0)
        if mode & 32 and number == 7:
            state.config = _CONFIGS[(mode + 1) & 3]
        if mode & 64 and number == 9:
            state.draining = True
            session.shut_down(at_once=False)
    acceptance.answer()
    loop.advance(30.0)
    if not transport.closed and not loop.handshakes:
        session.eof_received()
        loop.run_until_idle()
    session.connection_lost(None)
    loop.run_until_idle()
    assert not state.sessions
    assert not state.session_limits._limits._taken
    assert not state.shares._by_client
    assert state.memory.used == 0
    assert not session._in
    out = b"".join(transport.writes)
    _check(out, fed, _LOG.text())
    return out, acceptance.contents


def _check(out: bytes, lines: int, logged: str) -> None:
    assert _LINES(out), out
    whole = out.split(b"\r\n")[:-1]
    assert all(len(line) <= 510 for line in whole)
    # EHLO's reply has many lines, and the last refusal may bring the session's end with it.
    assert sum(1 for line in whole if _OVER(line)) <= 2 * lines + 4
    for text in (out, logged.encode()):
        assert _PASSWORD.encode() not in text


_LOGIN = base64.b64encode(b"\0app\0" + _PASSWORD.encode())
_ALL = (
    b"EHLO client.example\r\n"
    + ENVELOPE
    + MESSAGE
    + b".\r\nRSET\r\nNOOP\r\nVRFY x\r\nHELP\r\nMAIL FROM:<>\r\n"
    b"RCPT TO:<postmaster>\r\nRCPT TO:<a@unknown.example> NOTIFY=NEVER\r\nDATA\r\n..x\r\n.\r\nQUIT\r\n"
)
TARGET = Target(
    run,
    8_192,
    (
        b"\0\0\0" + _ALL,
        b"\0\x05\x01" + _ALL,
        b"\1\x40\x07" + _ALL,
        b"\2\0\0EHLO x\r\nAUTH PLAIN " + _LOGIN + b"\r\n" + _ALL,
        b"\2\0\0EHLO x\r\nAUTH LOGIN\r\nYXBw\r\n" + base64.b64encode(_PASSWORD.encode()) + b"\r\n" + _ALL,
        b"\3\0\0EHLO x\r\nSTARTTLS\r\n" + _ALL,
        b"\x04\x20\x20" + _ALL,
        b"\x7c\x10\x20" + _ALL,
        (
            b"\0\0\0EHLO x\r\nMAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x\r\n"
            b"RCPT TO:<\xc3\xbc@\xc3\xbc.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+40y\r\nDATA\r\n\r\n.\r\n"
        ),
        b"\0\0\0PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"\0\0\0GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0\0\0" + b"NOOP\r\n" * 250,
    ),
    (
        b"EHLO ",
        b"HELO ",
        b"MAIL FROM:<",
        b"RCPT TO:<",
        b"DATA\r\n",
        b"\r\n.\r\n",
        b"RSET\r\n",
        b"QUIT\r\n",
        b"NOOP\r\n",
        b"AUTH PLAIN ",
        b"AUTH LOGIN\r\n",
        b"STARTTLS\r\n",
        b"*\r\n",
        b"VRFY ",
        b"HELP\r\n",
        b"BDAT ",
        b" SIZE=",
        b" BODY=",
        b" SMTPUTF8",
        b" RET=FULL",
        b" ENVID=",
        b" NOTIFY=",
        b" ORCPT=",
        b"@push.example>",
        b"xn--",
        b"[IPv6:::1]",
        b'"a b"@',
        b"\r\n..",
        b"\r\n.",
        b"\n",
        b"\r",
        b"\0",
        _LOGIN,
    ),
)
