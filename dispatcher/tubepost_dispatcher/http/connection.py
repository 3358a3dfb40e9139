"""One connection of the listener for requests: HTTP/1.1 (RFC 9112), a request at a time, without a task.

Requests that come while one is open wait in memory, at most what came in one piece: reading is paused.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from http import HTTPStatus
from typing import Any, Final, Generic, cast

import httptools

from tubepost_dispatcher.http import idempotency, openapi
from tubepost_dispatcher.http.head import DESCRIPTION, Incoming, Known, check_head, too_large
from tubepost_dispatcher.http.listener import MAX_BODIES, RestState
from tubepost_dispatcher.http.problems import JSON, RETRY_AFTER, Fault, is_retryable
from tubepost_dispatcher.http.requests import read_body
from tubepost_dispatcher.http.submission import Submission, internal_error, refused
from tubepost_dispatcher.smtp.config import printable_address
from tubepost_dispatcher.text import printable
from tubepost_dispatcher.transaction import DomainT, SessionFacts

_LOG = logging.getLogger("tubepost.rest")

HEAD_TIME: Final = 10.0
"""Seconds from the first octet of a request, or from the connection, to the end of its head."""
BODY_TIME: Final = 60.0
"""Seconds from the end of the head to the end of the body."""
KEEP_ALIVE: Final = 75.0
"""Seconds for which a connection without a request stays."""
WRITE_TIME: Final = 30.0
"""Seconds for which a client may leave its answers unread."""
LINGER: Final = 2.0
"""Seconds for which the rest of a refused request is read, so that its answer is not lost to a reset."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: ".encode()
    for status in HTTPStatus
}


class RestConnection(asyncio.Protocol, Generic[DomainT]):
    """One connection. See `RestState` for what it shares with others."""

    def __init__(self, state: RestState[DomainT], loop: asyncio.AbstractEventLoop) -> None:
        self._state = state
        self._loop = loop
        self._transport = cast("asyncio.Transport", None)  # until it is made
        self._parser = httptools.HttpRequestParser(self)
        self._address, self._port, self._tls = "", 0, ""
        self._coming: Incoming | None = None
        self._in_body = False
        self._since = state.now
        """When what it is at began: idleness, a head, a body; monotonic seconds."""
        self._waiting: deque[Incoming] = deque()
        self._submission: Submission[DomainT] | None = None
        self._answering = False
        self._asked_at = 0.0
        self._blocked_since = 0.0
        self._closing_since = 0.0
        self._paused = False
        self._facts: SessionFacts | None = None
        """Of the client of the last request."""
        self._known: Known | None = None

    # -- the transport's side -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._address, self._port = printable_address(transport.get_extra_info("peername"))
        tls: Any = transport.get_extra_info("ssl_object")
        self._tls = (tls.version() or "") if tls is not None else ""
        if not self._state.enter(self):
            self._refuse_now(Fault("TooManyConnections"))

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        del exc
        self._state.leave(self)
        self._drop_waiting()
        if self._coming is not None:
            self._forget_body(self._coming)
            self._coming = None
        submission, self._submission = self._submission, None
        if self._answering:
            self._answering = False
            self._state.open_requests -= 1
        if submission is not None:
            submission.abandon()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._closing_since:
            return  # read and thrown away, until the client has read its answer
        if self._coming is None and not self._answering:
            self._since = self._state.now
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request that asked for it is refused; the parser reads no further.
            if self._answering:
                self._drop_waiting()
                self._closing_since = self._state.now
            else:
                self._end_soon()
        except httptools.HttpParserError as error:
            if not self._closing_since:
                self._refuse_now(
                    Fault("BadRequest", f"this is no HTTP/1.1 request: {printable(str(error), 100)}")
                )

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`: who has closed its side is taken to have gone, as by most servers."""
        return False

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._blocked_since = self._state.now

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._blocked_since = 0.0

    # -- the parser's side ----------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._coming = None if self._closing_since else Incoming()
        self._in_body = False

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""
        if self._coming is not None:
            self._coming.add_target(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its header fields."""
        if self._coming is not None:
            self._coming.add_field(name, value)

    def on_headers_complete(self) -> None:
        """Its head is complete: what can be refused now is."""
        request = self._coming
        if request is None:
            return
        self._in_body, self._since = True, self._state.now
        if request.fault is None:
            method, version = self._parser.get_method(), self._parser.get_http_version()
            state, known, now = self._state, self._known, self._loop.time()
            request.fault = check_head(request, method, version, self._address, state, known, now)
            if request.client and (known is None or known.config is not state.config):
                header = request.fields[b"authorization"]
                self._known = Known(state.config, header, request.client)
        if request.fault is not None:
            if request.expects_continue or request.fault.reason in {"HeadTooLarge", "RequestTooLarge"}:
                self._give_up(request)
        elif request.expects_continue and not self._answering:
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        request, state = self._coming, self._state
        if request is None or request.fault is not None:
            return
        config = state.config
        if config is None:
            request.fault = Fault("ServiceClosing")
        elif len(request.body) + len(body) > config.max_body:
            request.fault = too_large(config)
            self._give_up(request)
        elif state.bodies + len(body) > MAX_BODIES:
            request.fault = Fault("Overloaded")
        else:
            request.body += body
            state.bodies += len(body)

    def on_message_complete(self) -> None:
        """It is complete."""
        request, self._coming = self._coming, None
        if request is None:
            return
        request.keep = self._parser.should_keep_alive() and b"upgrade" not in request.fields
        self._in_body = False
        if self._answering or self._waiting:
            self._waiting.append(request)
            if not self._paused:
                self._paused = True
                self._transport.pause_reading()
        else:
            self._take(request)

    # -- requests -------------------------------------------------------------------------------------

    def _take(self, request: Incoming) -> None:
        self._answering = True
        self._state.open_requests += 1
        self._asked_at = self._loop.time()
        try:
            self._read(request)
        except Exception:  # noqa: BLE001 - whatever it is, the client is to hear that it is ours
            _LOG.exception("requests: internal error")
            if self._answering:
                self._respond(*internal_error(), close=True)

    def _read(self, request: Incoming) -> None:
        state = self._state
        body = request.body
        self._forget_body(request)
        config = state.config
        close = not request.keep
        if request.fault is None and config is None:
            request.fault = Fault("ServiceClosing")
        if request.fault is not None:
            self._respond(*refused(request.fault), close=close, retry_after=request.retry_after)
            return
        assert config is not None
        if request.path == DESCRIPTION:
            self._respond(200, JSON, openapi.document(), close=close)
            return
        key = None
        given = request.fields.get(b"idempotency-key")
        if given:
            key = (request.client, given)
            before = state.remembered.begin(key, idempotency.mark_of(body), self._asked_at)
            if isinstance(before, str):
                self._respond(*refused(Fault(before)), close=close)
                return
            if before is not None:
                self._respond(*before, close=close, extra=b"Idempotency-Replayed: true\r\n")
                return
        batch = read_body(body, config.max_batch)
        if isinstance(batch, Fault):
            self._end(key, close, *refused(batch))
            return
        facts = self._facts
        if facts is None or facts.user != request.client:
            facts = SessionFacts(self._address, self._port, "", self._tls, request.client)
            self._facts = facts

        def done(status: int, kind: bytes, answer: bytes) -> None:
            self._submission = None
            self._end(key, close, status, kind, answer)

        self._submission = submission = Submission(
            state, config, facts, batch, key, done, self._loop.call_soon
        )
        submission.start()

    def _end(self, key: idempotency.Key | None, close: bool, status: int, kind: bytes, answer: bytes) -> None:
        if key is not None:
            kept = status != 207 and not is_retryable(status)
            self._state.remembered.end(key, idempotency.Answer(status, kind, answer) if kept else None)
        if self._answering:
            self._respond(status, kind, answer, close=close)

    def _give_up(self, request: Incoming) -> None:
        """Refuse a request whose body is not waited for."""
        if self._answering or self._waiting:
            return  # its turn comes when it is complete
        assert request.fault is not None
        self._coming = None
        self._forget_body(request)
        self._refuse_now(request.fault)

    def _refuse_now(self, fault: Fault) -> None:
        """Answer out of turn, and close: what follows cannot be read as a request."""
        if self._answering:
            # The answer that is due comes first; then the connection ends.
            self._drop_waiting()
            self._closing_since = self._state.now
            return
        self._answering = True
        self._state.open_requests += 1
        self._asked_at = self._loop.time()
        self._respond(*refused(fault), close=True)

    def _respond(
        self,
        status: int,
        kind: bytes,
        body: bytes,
        *,
        close: bool,
        retry_after: int = RETRY_AFTER,
        extra: bytes = b"",
    ) -> None:
        state = self._state
        close = close or state.ending or bool(self._closing_since)
        if is_retryable(status):
            extra += b"Retry-After: %d\r\n" % retry_after
        elif status == 401:
            extra += b'WWW-Authenticate: Bearer realm="tubepost"\r\n'
        elif status == 405:
            extra += b"Allow: POST\r\n"
        if close:
            extra += b"Connection: close\r\n"
        self._transport.write(
            b"%b%b\r\nContent-Length: %d\r\n%b\r\n%b" % (_STATUS[status], kind, len(body), extra, body)
        )
        self._answering = False
        state.open_requests -= 1
        state.answered(status, self._loop.time() - self._asked_at)
        self._since = state.now
        if close:
            self._end_soon()
        elif self._waiting:
            self._loop.call_soon(self._go_on)
        elif self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _go_on(self) -> None:
        if self._waiting and not self._answering and not self._closing_since:
            self._take(self._waiting.popleft())

    def _end_soon(self) -> None:
        """Close once the answer is out and the client has stopped sending."""
        self._drop_waiting()
        self._closing_since = self._closing_since or self._state.now
        if self._coming is None and not self._in_body:
            self._transport.close()
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        if self._paused:  # what comes is thrown away
            self._paused = False
            self._transport.resume_reading()

    def _drop_waiting(self) -> None:
        for request in self._waiting:
            self._forget_body(request)
        self._waiting.clear()

    def _forget_body(self, request: Incoming) -> None:
        self._state.bodies -= len(request.body)
        request.body = bytearray()

    # -- the listener's side --------------------------------------------------------------------------

    @property
    def idle_since(self) -> float | None:
        """See `OpenConnection`."""
        busy = self._answering or self._coming is not None or self._waiting
        return None if busy or self._closing_since else self._since

    def tick(self, now: float) -> None:
        """See `OpenConnection`."""
        if self._blocked_since and now - self._blocked_since > WRITE_TIME:
            self._transport.abort()
        elif self._closing_since and not self._answering and now - self._closing_since > LINGER:
            if now - self._closing_since > WRITE_TIME:
                self._transport.abort()
            else:
                self._transport.close()
        elif self._answering or self._closing_since:
            return
        elif self._coming is not None:
            if now - self._since > (BODY_TIME if self._in_body else HEAD_TIME):
                self._forget_body(self._coming)
                self._coming = None
                self._refuse_now(Fault("RequestTooSlow"))
        elif now - self._since > KEEP_ALIVE:
            self._transport.close()

    def shut_down(self, *, at_once: bool) -> None:
        """See `OpenConnection`."""
        if at_once and self.idle_since is None:
            self._transport.abort()
        elif not self._answering and not self._waiting and self._coming is None:
            self._transport.close()
