"""One connection to APNs: transport below, HTTP/2 engine inside, pool above.

The pool hands in requests and is told results; everything happens in callbacks on the event loop. One
`transport.write` per turn of the loop, one timer per connection, none per request.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, cast

from tubepost_dispatcher.apns.dialing import DialError
from tubepost_dispatcher.apns.http2.engine import Engine
from tubepost_dispatcher.apns.http2.results import ConnectionState, StreamResult
from tubepost_dispatcher.apns.request import ApnsRequest

PING_SHARE = 0.4
"""Share of the response timeout after which an unanswered request makes us send PING."""
QUIET_SHARE = 0.1
"""Share of the response timeout for which nothing may have been read before that PING."""
PING_ANSWER_SHARE = 0.4
"""Share of the response timeout for which nothing may be read after the PING; then the connection is dead."""
IDLE_PING = 60.0
"""Seconds without a byte on a connection without requests, before PING (NATs forget silent connections)."""
IDLE_PING_ANSWER = 20.0
"""Seconds within which something must be read after that."""
SECOND_LOOK = 0.05
"""Seconds between finding a connection dead and believing it: what has arrived is read first."""
WRITE_BUFFER = 256 * 1024
"""Bytes in the transport's buffer above which no more requests are put on the connection."""

Request: TypeAlias = ApnsRequest[object]
"""Whose requests they are does not matter here."""
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
    """A connection from TCP's opening to its end.

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
        self.goaway_reason = ""
        """What GOAWAY gave as its reason, `none` without one, empty before it."""
        self.proven = False
        """A push was accepted on it."""
        self.rest_until = 0.0
        """The pool puts nothing on it before."""
        self.opened_at = clock()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._owner = owner
        self._loop = loop
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._flights: dict[float, dict[Request, int]] = {}
        self._paused = False
        self._flush_scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at = math.inf
        self._last_read = self._idle_since = self.opened_at
        self._ping_at = -math.inf
        self._ping_patience = IDLE_PING_ANSWER
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
            DialError: the connection ended before them, or right behind them.
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
        self.submitted += 1
        if now + timeout * PING_SHARE < self._wake_at:
            self._wake(now + timeout * PING_SHARE)

    def flush(self) -> None:
        """Write what the engine has to say, unless the peer reads too slowly."""
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
        """Say goodbye and close; what still waits for an answer is lost."""
        self._end(cause, "", graceful=True)

    def silence(self, now: float) -> float:
        """Seconds since the last byte was read."""
        return now - self._last_read

    # -- for the transport -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send preface and SETTINGS."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._last_read = self._idle_since = self._clock()
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Feed the engine, tell the results."""
        if self.is_closed:
            return
        engine = self.engine
        now = self._last_read = self._clock()
        results = engine.receive(data)
        if engine.state is not ConnectionState.OPEN:
            # First of all, so that the pool knows why before it sees what came back.
            self._owner.changed(self)
        if results:
            self._tell(results, now)
            if not engine.open_streams:
                self._idle_since = now
        if engine.state is ConnectionState.CLOSED:
            self._end("protocol", "the peer broke HTTP/2", graceful=True)
            return
        if not self.is_ready and engine.settings_received:
            self.is_ready = True
            self._wake(now + min(IDLE_PING, self._owner.idle_timeout))
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
        """Go on."""
        self._paused = False
        self.flush()
        self._owner.changed(self)

    def eof_received(self) -> None:
        """The peer has closed; the transport closes too, and `connection_lost` follows."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Return what was on the connection."""
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
        """Close what takes no more requests and has none; tell whether the connection is closed."""
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
            # A write to a transport that is closing, or whose peer is gone, must not hide the results.
            with contextlib.suppress(Exception):
                if graceful:
                    self.engine.close()
                    if not self._paused:
                        transport.write(self.engine.take())
                    transport.close()
                else:
                    transport.abort()
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lost = self.engine.eof()
        if lost:
            self._tell(lost, self._clock())
        if not self._ready.done():
            reason = "TlsFailed" if cause == "tls" else "ConnectFailed"
            # A server that refuses the client certificate in TLS 1.3 often just closes.
            detail = detail or cause
            error = DialError(reason, f"{detail}, before HTTP/2 began (a refused client certificate?)")
            self._ready.set_exception(error)
            self._ready.exception()  # nobody may be waiting any more
        self._owner.closed(self)

    def _wake(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wake_at = when
        # The timer runs on the loop's clock, of which only differences are used.
        self._timer = self._loop.call_later(max(0.0, when - self._clock()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._wake_at = math.inf
        if self.is_closed:
            return
        now = self._clock()
        silent = self._ping_at > self._last_read
        if silent and self._is_dead(now):
            if self._suspect:
                self._end("silent", "nothing was read, and no answer to PING", graceful=False)
                return
            self._suspect = True
            self._wake(now + SECOND_LOOK)
            return
        self._suspect = False
        for request, stream_id in self._expired(now):
            del self._flights[request.response_timeout][request]
            self.engine.cancel(stream_id)
            self._idle_since = now
            self._owner.timed_out(self, request)
        if self._close_when_done():
            return
        if not self.engine.open_streams and now - self._idle_since >= self._owner.idle_timeout:
            self._end("idle", "", graceful=True)
            return
        self._next(now)
        self.flush()

    def _is_dead(self, now: float) -> bool:
        """Nothing was read since the PING: tell whether that is long enough."""
        if now >= self._ping_at + self._ping_patience:
            return True
        # A deadline is near: a request that could still move to another connection must not just time out.
        return any(now >= deadline - 2 * SECOND_LOOK for deadline in self._deadlines()) and (
            now >= self._ping_at + self._ping_patience / 2
        )

    def _deadlines(self) -> list[float]:
        """For each response timeout, the moment at which the oldest request's time is up."""
        return [next(iter(flight)).sent_at + timeout for timeout, flight in self._flights.items() if flight]

    def _expired(self, now: float) -> list[tuple[Request, int]]:
        found = []
        for timeout, flight in self._flights.items():
            for request, stream_id in flight.items():
                if request.sent_at + timeout > now:
                    break
                found.append((request, stream_id))
        return found

    def _next(self, now: float) -> None:
        """Send a PING if one is due, and set the timer for whatever comes next."""
        if len(self._flights) > 16:  # timeouts that a changed configuration left behind
            self._flights = {timeout: flight for timeout, flight in self._flights.items() if flight}
        wake = math.inf
        busy = False
        for timeout, flight in self._flights.items():
            if not flight:
                continue
            busy = True
            sent_at = next(iter(flight)).sent_at
            wake = min(wake, sent_at + timeout)
            if self._ping_at > self._last_read:
                wake = min(wake, sent_at + timeout - 2 * SECOND_LOOK)
                continue
            due = max(
                sent_at + timeout * PING_SHARE,
                self._last_read + timeout * QUIET_SHARE,
                self._ping_at + timeout * PING_SHARE,
            )
            if due <= now:
                self._ping(now, timeout * PING_ANSWER_SHARE)
            else:
                wake = min(wake, due)
        if not busy:
            idle_end = self._idle_since + self._owner.idle_timeout
            due = max(self._last_read, self._ping_at, self._idle_since) + IDLE_PING
            if due <= now:
                self._ping(now, IDLE_PING_ANSWER)
                due = math.inf
            wake = min(idle_end, due)
        if self._ping_at > self._last_read:
            wake = min(wake, self._ping_at + self._ping_patience)
        # Never in the past, lest the timer spins: times within this tick were looked at above.
        self._wake(max(wake, now + SECOND_LOOK / 5))

    def _ping(self, now: float, patience: float) -> None:
        self._ping_at = now
        self._ping_patience = patience
        if not self.engine.ping_outstanding:
            self.engine.ping()


def describe(connection: Connection, now: float) -> dict[str, Any]:
    """Facts on a connection for the status page."""
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
