"""An APNs for tests that does what it is told, on the `h2` library: HTTP/2 that is not the dispatcher's own."""

from __future__ import annotations

import asyncio
import json
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from tubepost_credentials.throwaway import KeyPair, make_ca, make_server_certificate

BOUND = 20.0
"""Seconds within which whatever a test waits for must have happened."""


@cache
def authority() -> KeyPair:
    return make_ca()


@cache
def server_pair() -> KeyPair:
    return make_server_certificate(authority(), ["localhost", "127.0.0.1"])


def server_context(
    pair: KeyPair | None = None, *, alpn: str = "h2", client_ca: bytes | None = None
) -> ssl.SSLContext:
    pair = pair or server_pair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols([alpn])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "pair.pem")
        path.write_bytes(pair.certificate_pem + pair.private_key_pem)
        context.load_cert_chain(path)
    if client_ca is not None:
        context.load_verify_locations(cadata=client_ca.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@dataclass(eq=False)
class Seen:
    """A request that arrived completely."""

    connection: PeerConnection
    stream_id: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def token(self) -> str:
        return self.headers[":path"].removeprefix("/3/device/")

    def respond(
        self,
        status: int = 200,
        reason: str = "",
        *,
        headers: Sequence[tuple[str, str]] = (),
        **more: object,
    ) -> None:
        connection = self.connection
        if connection.gone or self.stream_id not in connection.open:
            return
        connection.open.discard(self.stream_id)
        self.connection.peer.answered += 1
        head = [(":status", str(status)), ("apns-id", self.headers["apns-id"]), *headers]
        connection.h2.send_headers(self.stream_id, head, end_stream=not reason)
        if reason:
            connection.h2.send_data(
                self.stream_id, json.dumps({"reason": reason, **more}).encode(), end_stream=True
            )
        connection.flush()

    def reset(self, code: int) -> None:
        self.connection.open.discard(self.stream_id)
        self.connection.h2.reset_stream(self.stream_id, code)
        self.connection.flush()


class PeerConnection(asyncio.Protocol):
    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.number = len(peer.connections)
        peer.connections.append(self)
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False, header_encoding="utf-8", validate_inbound_headers=True
            )
        )
        self.h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: peer.max_streams,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 8000,
            },
        )
        self.half: dict[int, Seen] = {}
        self.open: set[int] = set()
        self.pings = 0
        self.peak = 0
        self.goaway_received = False
        self.gone = False
        self.deaf = False
        """Reads, and answers nothing, not even PING."""
        self.frozen = False
        """Does not even read."""
        self._scheduled = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.h2.initiate_connection()
        if self.peer.on_connect is not None:
            self.peer.on_connect(self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        try:
            self._received(data)
        except Exception as error:
            # A fault of this peer's must not look like one of the dispatcher's.
            self.peer.violations.append(repr(error))
            raise

    def _received(self, data: bytes) -> None:
        if self.deaf:
            self.peer.bump()
            return
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self.peer.violations.append(repr(error))
            self.flush()
            self.transport.close()
            return
        for event in events:
            self._event(event)
        self.flush()
        self.peer.bump()

    def _event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            headers = {str(name): str(value) for name, value in event.headers}
            self.half[event.stream_id] = Seen(self, event.stream_id, headers)
            self.open.add(event.stream_id)
            self.peak = max(self.peak, len(self.open))
            if event.stream_ended:
                self._complete(event.stream_id)
        elif isinstance(event, h2.events.DataReceived):
            if event.stream_id in self.half:
                self.half[event.stream_id].body += event.data
            # A GOAWAY behind it in the same read has closed everything for h2 already.
            closed = self.h2.state_machine.state is h2.connection.ConnectionState.CLOSED
            if event.flow_controlled_length and not closed:
                self.h2.increment_flow_control_window(event.flow_controlled_length)
        elif isinstance(event, h2.events.StreamEnded):
            self._complete(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.peer.resets_received.append(event.stream_id)
            self.half.pop(event.stream_id, None)
            self.open.discard(event.stream_id)
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway_received = True

    def _complete(self, stream_id: int) -> None:
        seen = self.half.pop(stream_id, None)
        if seen is None or stream_id > self.peer.cut_above.get(self.number, 2**31):
            return
        self.peer.seen.append(seen)
        self.peer.on_request(seen)

    def flush(self) -> None:
        # Collected over a turn of the loop, as real servers do.
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self.gone or self.deaf:
            return
        data = self.h2.data_to_send()
        if data:
            self.transport.write(data)

    def limit_streams(self, count: int) -> None:
        self.h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: count})
        self.flush()

    def goaway(self, last: int, reason: str = "", code: int = 0) -> None:
        """As APNs: streams above `last` are not processed; those below still are answered."""
        self.peer.cut_above[self.number] = last
        self.open = {stream for stream in self.open if stream <= last}
        # Written by hand: with h2 a sent GOAWAY ends everything.
        debug = json.dumps({"reason": reason}).encode() if reason else b""
        body = last.to_bytes(4, "big") + code.to_bytes(4, "big") + debug
        self._flush()
        self.transport.write(len(body).to_bytes(3, "big") + b"\x07\0\0\0\0\0" + body)

    def drop(self) -> None:
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.peer.bump()


def answer_200(seen: Seen) -> None:
    seen.respond(200)


@dataclass
class Peer:
    """A server on an ephemeral port. `on_request` decides what becomes of each request."""

    max_streams: int = 1000
    on_request: Callable[[Seen], None] = answer_200
    on_connect: Callable[[PeerConnection], None] | None = None
    context: ssl.SSLContext | None = None
    connections: list[PeerConnection] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    answered: int = 0
    violations: list[str] = field(default_factory=list)
    resets_received: list[int] = field(default_factory=list)
    cut_above: dict[int, int] = field(default_factory=dict)
    port: int = 0

    async def __aenter__(self) -> Self:
        self._wake = asyncio.Event()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: PeerConnection(self), "127.0.0.1", self.port, ssl=self.context or server_context()
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for connection in self.connections:
            if hasattr(connection, "transport"):
                connection.transport.abort()
        await asyncio.sleep(0)
        assert not self.violations, self.violations

    def bump(self) -> None:
        self._wake.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition on what this peer has seen."""
        async with asyncio.timeout(BOUND):
            while not condition():
                self._wake.clear()
                await self._wake.wait()

    @property
    def alive(self) -> list[PeerConnection]:
        return [c for c in self.connections if not c.gone]

    def tokens(self) -> list[str]:
        return [seen.token for seen in self.seen]
