"""One connection to APNs: transport below, HTTP/2 engine inside, pool above.

The pool hands in requests and is told results; everything happens in callbacks on the event loop. One
`transport.write` per turn of the loop, one timer per connection, none per request.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, cast

from tubepost_dispatcher.apns.alarm import Alarm
from tubepost_dispatcher.apns.dialing import DialError
from tubepost_dispatcher.apns.http2.engine import Engine
from tubepost_dispatcher.apns.http2.results import ConnectionState, StreamResult
from tubepost_dispatcher.apns.liveness import IDLE_PING, PING_SHARE, SECOND_LOOK, Liveness, Oldest
from tubepost_dispatcher.apns.request import ApnsRequest

WRITE_BUFFER = 256 * 1024
"""Bytes in the transport's buffer above which no more requests are put on the connection."""

Request: TypeAlias = ApnsRequest[object]
"""Connections and pools do not care who owns a request."""
Result: TypeAlias = StreamResult[Request]


class Owner(Protocol):
    """What a connection tells its pool. None of these may raise."""

    @property
    def idle_timeout(self) -> float:
        """Seconds after which a connection without requests is closed."""

    def results(self, connection: Connection, results: list[Result], now: float) -> None:
        """Streams have ended; `ApnsRequest.sent_at` says when each began."""

    def timed_out(self, connection: Connection, request: Request) -> None:
        """The answer to a request did not come in time on a connection that is otherwise alive."""

    def changed(self, connection: Connection) -> None:
        """Capacity may have grown, or the connection takes no more requests."""

    def closed(self, connection: Connection) -> None:
        """The connection is gone; `connection.cause` says why. All its results have been told."""


class Connection(asyncio.Protocol):
    """One connection, from the TCP handshake to its end.

    It is usable once APNs' SETTINGS have come (`wait_ready`), and until it is `retired`, told to go away or
    closed. `_flights` holds what has been sent: by response timeout, then by request in the order of sending,
    with the stream id.
    """

    def __init__(
        self,
        owner: Owner,
        engine: Engine[Request],
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
    ) -> None:
        self.engine = engine
        self.cause = ""
        """Why it ended: a word for the metric, known once `closed`."""
        self.detail = ""
        self.is_ready = False
        self.is_closed = False
        self.retired = False
        """Set by `retire`: takes no more requests, closes after its last answer."""
        self.submitted = 0
        self.answered = 0
        self.answered_at = self.opened_at = clock()
        """When a request was last answered on it; before the first, when it was begun."""
        self.goaway_reason = ""
        """What GOAWAY gave as its reason, `none` without one, empty before it."""
        self.peer = ""
        """IP address of the server, or of the proxy; empty before the handshake."""
        self.proven = False
        """A push was accepted on it."""
        self.rest_until = 0.0
        """The pool puts nothing on it before."""
        self._ready: asyncio.Future[None] = loop.create_future()
        self._owner = owner
        self._loop = loop
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._flights: dict[float, dict[Request, int]] = {}
        self._paused = False
        self._flush_scheduled = False
        self._alarm = Alarm(loop, clock, self._on_alarm)
        self._liveness = Liveness(self.opened_at)
        self._suspect = False

    # -- for the pool ------------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """True while it takes requests, if not at once then later."""
        return (
            self.is_ready
            and not self.retired
            and not self.is_closed
            and self.engine.state is ConnectionState.OPEN
        )

    @property
    def open_streams(self) -> int:
        """Requests that wait for their answer."""
        return self.engine.open_streams

    async def wait_ready(self) -> None:
        """Wait for the server's SETTINGS.

        Raises:
            DialError: the connection ended before they arrived, or right after.
        """
        await self._ready
        if self.is_closed:
            raise DialError("ConnectFailed", self.detail or f"ended at once: {self.cause}")

    def capacity(self, now: float) -> int:
        """Requests that `submit` may be given now."""
        if self._paused or now < self.rest_until or not self.usable:
            return 0
        return self.engine.capacity()

    def submit(self, request: Request, block: bytes, now: float) -> None:
        """Put a request on the connection; `flush` sends it. Allowed `capacity()` times."""
        stream_id = self.engine.submit(block, request.payload, request)
        timeout = request.response_timeout
        flight = self._flights.get(timeout)
        if flight is None:
            flight = self._flights[timeout] = {}
        flight[request] = stream_id
        request.sent_at = now
        request.header_size, request.peer = len(block), self.peer
        self.submitted += 1
        if now + timeout * PING_SHARE < self._alarm.at:
            self._alarm.set(now + timeout * PING_SHARE)

    def flush(self) -> None:
        """Write the engine's output, unless the peer reads too slowly."""
        self._flush_scheduled = False
        if self._paused or self._transport is None or self.is_closed:
            return
        data = self.engine.take()
        if data:
            self._transport.write(data)

    def retire(self) -> None:
        """Take no more requests; close after the last answer."""
        if not self.retired:
            self.retired = True
            self._loop.call_soon(self._close_when_done)

    def shut(self, cause: str) -> None:
        """Send GOAWAY and close; requests without an answer are lost."""
        self._end(cause, "", graceful=True)

    def silence(self, now: float) -> float:
        """Seconds since the last byte was read."""
        return now - self._liveness.last_read

    # -- for the transport -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send preface and SETTINGS."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if name else ""
        self._liveness = Liveness(self._clock())
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Feed the engine, tell the results."""
        if self.is_closed:
            return
        engine = self.engine
        now = self._liveness.last_read = self._clock()
        results = engine.receive(data)
        if engine.state is not ConnectionState.OPEN:
            # Before the results, so that the pool knows the reason when it sees them.
            self._owner.changed(self)
        if results:
            self._tell(results, now)
            if not engine.open_streams:
                self._liveness.idle_since = now
        if engine.state is ConnectionState.CLOSED:
            http1 = not engine.settings_received and data.startswith(b"HTTP/1")
            self._end("protocol", "its answer is HTTP/1" if http1 else "the peer broke HTTP/2", graceful=True)
            return
        if not self.is_ready and engine.settings_received:
            self.is_ready = True
            self._alarm.set(now + min(IDLE_PING, self._owner.idle_timeout))
            if not self._ready.done():
                self._ready.set_result(None)
        self._owner.changed(self)
        self._close_when_done()
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self.flush)

    def pause_writing(self) -> None:
        """Stop putting requests on the connection: the peer reads slowly."""
        self._paused = True

    def resume_writing(self) -> None:
        """Put requests on the connection again."""
        self._paused = False
        self.flush()
        self._owner.changed(self)

    def eof_received(self) -> None:
        """The peer has closed; the transport closes too, and `connection_lost` follows."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Return the requests that were on the connection."""
        goaway = self.engine.goaway
        if goaway is not None:
            self._end("goaway", "", graceful=False)
        elif isinstance(exc, ssl.SSLError):
            # With TLS 1.3 a server that refuses our certificate says so after the handshake.
            self._end("tls", f"TLS: {exc.reason or 'failed'}", graceful=False)
        elif exc is not None:
            self._end("lost", str(exc) or type(exc).__name__, graceful=False)
        else:
            self._end("closed", "closed by the peer", graceful=False)

    # -- its own -----------------------------------------------------------------------------------

    def _close_when_done(self) -> bool:
        """Close if there are no requests and no more may come; return whether the connection is closed."""
        if not self.is_closed and not self.engine.open_streams:
            if self.engine.state is ConnectionState.DRAINING:
                self._end("goaway" if self.engine.goaway is not None else "exhausted", "", graceful=True)
            elif self.retired:
                self._end("retired", "", graceful=True)
        return self.is_closed

    def _tell(self, results: list[Result], now: float) -> None:
        flights = self._flights
        for result in results:
            request = result.key
            del flights[request.response_timeout][request]
        self._owner.results(self, results, now)

    def _end(self, cause: str, detail: str, *, graceful: bool) -> None:
        if self.is_closed:
            return
        self.cause, self.detail = cause, detail
        transport = self._transport
        if transport is not None:
            # An error from a transport that is closing must not prevent the results from being told.
            with contextlib.suppress(Exception):
                if graceful:
                    self.engine.close()
                    if not self._paused:
                        transport.write(self.engine.take())
                    if cause == "protocol":
                        # Whoever floods is not read until TLS is shut down: in the next turn, GOAWAY is out.
                        self._loop.call_soon(transport.abort)
                    else:
                        transport.close()
                else:
                    transport.abort()
        self.is_closed = True
        self._alarm.cancel()
        lost = self.engine.eof()
        if lost:
            self._tell(lost, self._clock())
        if not self._ready.done():
            reason = "TlsFailed" if cause == "tls" else "ConnectFailed"
            # A server that refuses the client certificate in TLS 1.3 often just closes.
            detail = detail or cause
            hint = "" if cause == "protocol" else " (a refused client certificate?)"
            error = DialError(reason, f"{detail}, before HTTP/2 began{hint}")
            self._ready.set_exception(error)
            self._ready.exception()  # nobody may be waiting any more
        self._owner.closed(self)

    def _on_alarm(self) -> None:
        if self.is_closed:
            return
        now = self._clock()
        liveness = self._liveness
        if liveness.is_dead(now, self._oldest()):
            if self._suspect:
                self._end("silent", "nothing was read, and no answer to PING", graceful=False)
                return
            self._suspect = True
            self._alarm.set(now + SECOND_LOOK)
            return
        self._suspect = False
        begun: list[Result] = []
        for request, stream_id in self._expired(now):
            del self._flights[request.response_timeout][request]
            liveness.idle_since = now
            status = self.engine.cancel(stream_id)
            if status == 200:  # APNs took it; only the end of its answer is missing
                begun.append(StreamResult(request, status))
            else:
                self._owner.timed_out(self, request)
        if begun:
            self._owner.results(self, begun, now)
        if self._close_when_done():
            return
        if not self.engine.open_streams and now - liveness.idle_since >= self._owner.idle_timeout:
            self._end("idle", "", graceful=True)
            return
        if len(self._flights) > 16:  # timeouts that a changed configuration left behind
            self._flights = {timeout: flight for timeout, flight in self._flights.items() if flight}
        ping, wake = liveness.next(now, self._oldest(), self._owner.idle_timeout)
        if ping and not self.engine.ping_outstanding:
            self.engine.ping()
        self._alarm.set(wake)
        self.flush()

    def _oldest(self) -> list[Oldest]:
        return [
            Oldest(timeout, next(iter(flight)).sent_at) for timeout, flight in self._flights.items() if flight
        ]

    def _expired(self, now: float) -> list[tuple[Request, int]]:
        found = []
        for timeout, flight in self._flights.items():
            for request, stream_id in flight.items():
                if request.sent_at + timeout > now:
                    break
                found.append((request, stream_id))
        return found


def describe(connection: Connection, now: float) -> dict[str, Any]:
    """Return the state of a connection for the status page."""
    engine = connection.engine
    if not connection.is_ready:
        state = "opening"
    elif connection.usable:
        state = "open"
    else:
        state = "draining"
    return {
        "state": state,
        "streams": engine.open_streams,
        "streamLimit": engine.stream_limit,
        "submitted": connection.submitted,
        "answered": connection.answered,
        "ageSeconds": round(now - connection.opened_at, 1),
        "silentSeconds": round(connection.silence(now), 1),
    }
