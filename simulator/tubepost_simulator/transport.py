"""The transport half of a client's connection: bytes, `h2`, settings, GOAWAY and silence."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import Event
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from tubepost_simulator import wire
from tubepost_simulator.chaos import GoAway, LastStreamId, Stall
from tubepost_simulator.context import Context
from tubepost_simulator.identity import ClientCertificate, read_certificate
from tubepost_simulator.reasons import Reason
from tubepost_simulator.stream_limit import StreamLimit

_SLICE = 16_384
"""Bytes given to `h2` at a time: for each new stream it walks over all streams of the batch."""
_MAX_HELD = 262_144
_TIDY_AFTER = 256
_LINGER = 1.0  # seconds from the last answer after GOAWAY to the close, so that no RST overtakes it
_PATIENCE = 30.0  # seconds that open streams may keep a connection after GOAWAY
_GRACE = 1.0  # seconds between the two GOAWAYs of a client that answers no PING


class _H2(H2Connection):
    """`h2` without its own bound on streams, which would end the connection where APNs refuses a stream."""

    @property
    def open_inbound_streams(self) -> int:
        """Never over the limit; `ClientConnection` counts."""
        return -1


class Stream:
    """One open stream; `size` is that of the whole body, of which only the beginning is kept."""

    __slots__ = ("body", "complete", "fields", "method", "number", "path", "processed", "size", "timer")

    def __init__(self, number: int, method: str, path: str, fields: list[tuple[str, str]]) -> None:
        self.number = number
        self.method = method
        self.path = path
        self.fields = fields
        self.body = b""
        self.size = 0
        self.complete = False
        self.processed = False
        self.timer: asyncio.TimerHandle | None = None


def with_port(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class H2Transport(asyncio.Protocol):
    """What the simulator does with a connection as a whole; `connection.ClientConnection` adds the requests.

    All writes of one loop turn go out together.
    """

    def __init__(self, context: Context, loop: asyncio.AbstractEventLoop) -> None:
        self._connections = context.connections
        self._idle_timeout = context.settings.idle_timeout
        self._board = context.board
        self._counts = context.counts
        self._loop = loop
        self._transport = cast("asyncio.Transport", None)
        self._h2 = cast("_H2", None)
        self._started = False
        self.number = 0
        self.peer = ""
        self.opened_at = 0.0
        self.certificate: ClientCertificate | None = None
        self.state = "open"
        self.requests = 0
        self._streams: dict[int, Stream] = {}
        self._limit = StreamLimit(self._board)
        self._highest = 0
        self._highest_judged = 0
        self._last_allowed = wire.MAX_STREAM_ID
        self._closed_streams = 0
        self._flush_due = False
        self._silent = False
        self._silent_for_good = False
        self._held = bytearray()
        self._graceful: GoAway | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._last_request = 0.0

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TLS handshake is done."""
        self._transport = cast("asyncio.Transport", transport)
        tls = cast("ssl.SSLObject", transport.get_extra_info("ssl_object"))
        if tls.selected_alpn_protocol() != "h2" or not self._connections.add(self):
            self._counts.connections_refused += 1
            self.state = "closed"
            self._transport.abort()
            return
        self._counts.connections_total += 1
        certificate = tls.getpeercert(binary_form=True)
        if certificate:
            self.certificate = read_certificate(certificate)
            self._limit.by_certificate = self._limit.proven = True
        host, port = transport.get_extra_info("peername")[:2]
        self.peer = with_port(host, port)
        self.opened_at = time.time()
        self._last_request = self._loop.time()
        chaos = self._board.chaos
        if chaos.stall is Stall.CONNECTION:
            self._silent = True
        elif chaos.settings_delay_ms:
            self._silent = True
            self._later(chaos.settings_delay_ms / 1000, self.resume)
        else:
            self._start()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self.state == "closed":
            return
        if self._silent:
            self._held += data
            if len(self._held) >= _MAX_HELD:
                self._transport.pause_reading()
            return
        try:
            self._feed(data)
        except ProtocolError:
            self._counts.protocol_errors += 1
            self._close(flush=True)
            return
        self._flush()

    def _feed(self, data: bytes) -> None:
        for start in range(0, len(data), _SLICE):
            for event in self._h2.receive_data(data[start : start + _SLICE]):
                self._on_event(event)
            if self._silent:
                self._held += data[start + _SLICE :]
                return
            if self.state == "closed":
                return

    def pause_writing(self) -> None:
        """The client does not read its answers fast enough: read no more requests."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if len(self._held) < _MAX_HELD:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        """The connection is gone."""
        self.state = "closed"
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._streams.clear()
        self._held.clear()
        self._connections.remove(self)

    @property
    def open_streams(self) -> int:
        """Streams that wait for the rest of their request, or for an answer."""
        return len(self._streams)

    # ---- what the simulator calls

    def silence(self, *, for_good: bool = False) -> None:
        """Read and write nothing any more, until `resume` unless `for_good`."""
        self._flush()
        self._silent = True
        self._silent_for_good = self._silent_for_good or for_good

    def resume(self) -> None:
        """End `silence`: go on with what was held back."""
        if not self._silent or self._silent_for_good or self.state == "closed":
            return
        self._silent = False
        if not self._started:
            self._start()
        held, self._held = bytes(self._held), bytearray()
        self._transport.resume_reading()
        self._retry_blocked()
        self.data_received(held)

    def chaos_changed(self) -> None:
        """New switches are in force."""
        if self._board.chaos.stall is Stall.CONNECTION:
            self.silence()
        elif self._started:
            self.resume()
            self._flush()
        elif not self._board.chaos.settings_delay_ms:
            self.resume()

    def drop(self) -> None:
        """Cut the connection, without GOAWAY."""
        if self.state != "closed":
            self._counts.dropped_connections += 1
            self.state = "closed"
            self._transport.abort()

    def goaway(self, how: GoAway) -> None:
        """Say GOAWAY. What is open is answered, forgotten or lost, as `how` says."""
        if self.state != "open" or not self._started or self._silent:
            return
        self.state = "going away"
        mode = how.last_stream_id
        if mode is LastStreamId.GRACEFUL:
            self._graceful = how
            self._write_goaway(wire.MAX_STREAM_ID, how)
            with contextlib.suppress(ProtocolError):
                self._h2.ping(b"graceful")
            self._flush()
            self._later(_GRACE, self._finish_graceful)
            return
        if mode is LastStreamId.ZERO:
            self._last_allowed = 0
        elif mode is LastStreamId.LOWER:
            self._last_allowed = self._highest_judged
        else:
            self._last_allowed = self._highest
        self._write_goaway(self._last_allowed, how)
        for number in [number for number in self._streams if number > self._last_allowed]:
            self._forget(number)
        self._later(_PATIENCE, self._close)
        self._close_when_idle()

    def abort(self) -> None:
        """Cut the connection because the simulator stops."""
        self.state = "closed"
        self._transport.abort()

    # ---- starting and ending

    def _start(self) -> None:
        config = H2Configuration(
            client_side=False,
            header_encoding=None,
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = _H2(config)
        self._started = True
        limit = self._limit.wanted()
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.HEADER_TABLE_SIZE: 4_096,
                SettingCodes.MAX_CONCURRENT_STREAMS: limit,
                SettingCodes.INITIAL_WINDOW_SIZE: 65_535,
                SettingCodes.MAX_FRAME_SIZE: 16_384,
                SettingCodes.MAX_HEADER_LIST_SIZE: 8_000,
            },
        )
        self._h2.decoder.max_header_list_size = 8_000
        self._limit.announce(limit)
        self._h2.initiate_connection()
        self._flush()
        if self._idle_timeout:
            self._watch_idle()

    def _watch_idle(self) -> None:
        timeout = self._idle_timeout
        left = self._last_request + timeout - self._loop.time()
        if left <= 0 and not self._streams:
            self.goaway(GoAway(reason=Reason.IDLE_TIMEOUT.value))
            return
        self._idle_timer = self._loop.call_later(left if left > 0 else timeout, self._watch_idle)

    def _write_goaway(self, last_stream_id: int, how: GoAway) -> None:
        self._counts.goaways += 1
        self._flush()
        self._transport.write(wire.goaway_frame(last_stream_id, how.error_code, wire.goaway_data(how.reason)))

    def _finish_graceful(self) -> None:
        how, self._graceful = self._graceful, None
        if how is None or self.state == "closed":
            return
        self._last_allowed = self._highest
        self._write_goaway(self._highest, how)
        self._later(_PATIENCE, self._close)
        self._close_when_idle()

    def _close_when_idle(self) -> None:
        if self.state == "going away" and self._graceful is None and not self._streams:
            self.state = "lingering"
            self._later(_LINGER, self._close)

    def _close(self, *, flush: bool = False) -> None:
        if self.state != "closed":
            if flush:
                self._flush()
            self.state = "closed"
            self._transport.close()

    def _later(self, delay: float, callback: Any, *args: Any) -> asyncio.TimerHandle:
        def run() -> None:
            self._timers.discard(handle)
            if self.state != "closed":
                callback(*args)

        handle = self._loop.call_later(delay, run)
        self._timers.add(handle)
        return handle

    # ---- streams

    def _forget(self, number: int) -> None:
        stream = self._streams.pop(number)
        if stream.timer is not None:
            stream.timer.cancel()
            self._timers.discard(stream.timer)

    def _give_up(self, number: int, code: ErrorCodes) -> None:
        self._reset(number, code)
        self._forget(number)
        self._close_when_idle()

    def _reset(self, number: int, code: ErrorCodes) -> None:
        with contextlib.suppress(ProtocolError):  # the client was first
            self._h2.reset_stream(number, code)

    # ---- writing

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._silent or not self._started or self._transport.is_closing():
            return
        limit = self._limit.due()
        if limit is not None and self.state == "open":
            with contextlib.suppress(ProtocolError):  # the client has said GOAWAY meanwhile
                self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: limit})
                self._limit.announce(limit)
        if self._closed_streams > _TIDY_AFTER:
            self._closed_streams = 0
            _ = self._h2.open_outbound_streams  # h2 forgets its closed streams while counting
        data = self._h2.data_to_send()
        if data:
            self._transport.write(data)

    # ---- the upper half's

    def as_dict(self) -> dict[str, Any]:
        """The connection as the API shows it."""
        raise NotImplementedError

    def _on_event(self, event: Event) -> None:
        raise NotImplementedError

    def _retry_blocked(self) -> None:
        raise NotImplementedError
