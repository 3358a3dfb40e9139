"""One connection of the listener for requests, with input in arbitrary chunks and a stub for acceptance.

No exception, none caught and logged either; every answer is whole, with a status and a length; there are no more
of them than requests were begun; nothing is written after the connection was closed; how the input is cut makes
no difference to answers and notifications; when the connection is over, its listener holds nothing of it; no
bearer token is logged.
"""

from __future__ import annotations

import re
from typing import Any

from tests.dispatcher.smtp.support import FakeTransport
from tests.fuzz.target import Listener, Target, chunks
from tests.support.loop import FakeLoop
from tubepost_api.config import RestConfig
from tubepost_dispatcher.http.config import EffectiveRest
from tubepost_dispatcher.http.connection import RestConnection
from tubepost_dispatcher.http.listener import RestState
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import SessionFacts, Transaction

_TOKEN = b"canary-3f9a51c07e88"
_ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]+\r\n((?:[A-Z][A-Za-z-]+: [ -~]*\r\n)*)\r\n")
_LENGTH = re.compile(rb"Content-Length: (\d+)\r\n")
_IDS = re.compile(rb'"id":"[0-9a-f]{25}"')


class _Acceptance:
    """Takes notifications; answers at once, or when the next chunk has come."""

    def __init__(self) -> None:
        self.later = False
        self.waiting: list[Transaction[str]] = []
        self.taken: list[tuple[Any, ...]] = []

    def check_recipient(self, session: SessionFacts, domain: str, recipients_so_far: int) -> Reply | str:
        return Reply(550, "5.1.2", "Unknown", "UnknownDomain") if domain.startswith("unknown") else domain

    def accept(self, transaction: Transaction[str]) -> None:
        transaction.pending = self
        (recipient,) = transaction.recipients
        assert transaction.fields is not None
        assert transaction.session.user == "app"
        self.taken.append(
            (
                transaction.mail_from,
                recipient.address,
                recipient.domain,
                dict(transaction.fields.headers),
                dict(transaction.fields.context),
                transaction.content,
            )
        )
        if self.later:
            self.waiting.append(transaction)
        else:
            transaction.reply(Reply(250, "2.0.0", "Delivered", "", "delivered"))

    def answer(self) -> None:
        while self.waiting:
            self.waiting.pop(0).reply(Reply(451, "4.4.1", "Later", "QueueFull"))

    def abandon(self) -> None:
        self.waiting.clear()


class _Transport(FakeTransport):
    """Half-closes, too."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """The listener still reads."""


_ACCEPTANCE = _Acceptance()
_METRICS = Metrics()
_LOG = Listener("tubepost")
_CONFIGS = tuple(
    EffectiveRest(RestConfig(tokens="s", **limits), _ACCEPTANCE, {"app": _TOKEN.decode()})
    for limits in ({}, {"max_batch": 2, "max_body_size": 300})
)


def run(data: bytes) -> None:
    """Byte 0: configuration and events. Bytes 1 and 2: sizes of chunks. Then what the client sends."""
    mode, first, second = (*data[:3], 0, 0, 0)[:3]
    with _LOG:
        answers, taken = _connection(data[3:], mode, first, second)
    if not mode & 0b1111_1100:
        with _LOG:
            other, other_taken = _connection(data[3:], mode, 0, 0)
        assert taken == other_taken
        assert [status for status, _ in answers] == [status for status, _ in other]


def _connection(
    sent: bytes, mode: int, first: int, second: int
) -> tuple[list[tuple[bytes, bytes]], list[Any]]:
    acceptance = _ACCEPTANCE
    acceptance.later = bool(mode & 4)
    acceptance.waiting.clear()
    acceptance.taken = []
    loop: Any = FakeLoop()
    state: RestState[str] = RestState(_METRICS, 1_000.0)
    state.config = _CONFIGS[mode & 1]
    transport: Any = _Transport()
    connection: RestConnection[str] = RestConnection(state, loop)
    connection.connection_made(transport)
    for number, chunk in enumerate(chunks(sent, first, second)):
        while transport.paused and not transport.closed:
            acceptance.answer()
            loop.run_until_idle()
        if transport.closed:
            break
        connection.data_received(chunk)
        if number % 2:
            acceptance.answer()
        loop.run_until_idle()
        if mode & 8 and number % 5 == 4:
            state.now += 20.0
            connection.tick(state.now)
        if mode & 16 and number == 7:
            state.ending, state.refusing = True, "ServiceClosing"
            connection.shut_down(at_once=False)
    while acceptance.waiting or connection._waiting:
        acceptance.answer()
        loop.run_until_idle()
    if not transport.closed and mode & 32:
        connection.eof_received()
    connection.connection_lost(None)
    loop.run_until_idle()
    assert not state.connections
    assert state.bodies == 0
    assert state.open_requests == 0
    assert _TOKEN.decode() not in _LOG.text()
    return _read(b"".join(transport.writes)), acceptance.taken


def _read(out: bytes) -> list[tuple[bytes, bytes]]:
    """The answers: status, body. AssertionError for what is none."""
    found = []
    while out:
        head = _ANSWER.match(out)
        assert head is not None, out[:200]
        length = _LENGTH.search(head[2])
        end = head.end()
        if head[1] == b"100":
            assert length is None
        else:
            assert length is not None, head[2]
            end += int(length[1])
        assert len(out) >= end, "an answer is cut short"
        if head[1] != b"100":
            found.append((head[1], _IDS.sub(b"", out[head.end() : end])))
        out = out[end:]
    return found


_ONE = b'{"domain":"push.example","deviceToken":"abcd","payload":{"aps":{"alert":"x"}}}'
_HEAD = b"POST /v1/notifications HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + _TOKEN + b"\r\n"


def _post(body: bytes, more: bytes = b"") -> bytes:
    return _HEAD + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


_BATCH = b'{"notifications":[' + _ONE + b"," + _ONE.replace(b"push", b"unknown") + b',{"x":1}]}'
TARGET = Target(
    run,
    8_192,
    (
        b"\0\0\0" + _post(_ONE) * 3,
        b"\0\x05\x01" + _post(_ONE) + _post(_BATCH),
        b"\1\x40\x07" + _post(_BATCH) + _post(b"x" * 400),
        b"\4\x20\x20" + _post(_ONE) * 4,
        b"\x3c\x10\x20" + _post(_ONE) * 8,
        b"\0\0\0" + _HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(_ONE), _ONE),
        b"\0\0\0" + _post(_ONE, b"Expect: 100-continue\r\n"),
        b"\0\0\0" + _post(_ONE, b"Idempotency-Key: k\r\n") * 2,
        b"\0\0\0" + _post(_ONE, b"Connection: close\r\n") * 2,
        b"\0\0\0" + _post(_ONE, b"Upgrade: h2c\r\nConnection: upgrade\r\n") * 2,
        b"\0\0\0GET /v1/openapi.json HTTP/1.0\r\n\r\n",
        b"\0\0\0" + _post(_ONE).replace(_TOKEN, b"wrong") * 8,
        b"\0\0\0EHLO x\r\n",
        b"\0\0\0PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ),
    (
        _HEAD,
        b"POST ",
        b"GET ",
        b"/v1/notifications",
        b" HTTP/1.1\r\n",
        b"Host: x\r\n",
        b"Authorization: Bearer " + _TOKEN,
        b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"Idempotency-Key: ",
        b"\r\n\r\n",
        b'{"notifications":[',
        b'"domain":"push.example"',
        b'"recipient":"a@b.example"',
        b'"payload":{}',
        b'"dsn":{"notify":"NEVER"}',
        b'"context":{"a":"b"}',
        b"0\r\n\r\n",
    ),
)
