"""A client that writes and reads HTTP/2 frames one by one, so that it can misbehave, and outlive a GOAWAY."""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import hpack
import httpx

from tubepost_credentials import TokenCredential
from tubepost_credentials.throwaway import KeyPair, make_token_key
from tubepost_credentials.token import load_token
from tubepost_simulator import Simulator, SimulatorSettings, TokenKey

TOPIC = "com.example.app"
KEY_ID = "ABCDE12345"
TEAM_ID = "TEAM123456"
P8 = make_token_key()
PATIENCE = 20.0


def credential(key_id: str = KEY_ID, team_id: str = TEAM_ID, p8: bytes = P8) -> TokenCredential:
    return load_token(p8, key_id.encode(), team_id.encode())


CREDENTIAL = credential()


STARTED = time.time()


def bearer(issued_at: float = STARTED, signer: TokenCredential = CREDENTIAL) -> str:
    """One token for all tests, as a sender would have it, unless another time is named."""
    return "bearer " + signer.sign(int(issued_at))


def settings(**changes: Any) -> SimulatorSettings:
    changes.setdefault("token_keys", {KEY_ID: TokenKey(TEAM_ID, P8)})
    return SimulatorSettings(**changes)


def headers(token: str = "abcd", /, **changes: str | None) -> list[tuple[str, str]]:
    """Request fields in order; a change to None leaves a field out. `_` stands for `-`, `__` begins a pseudo-header."""
    fields: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "https",
        ":path": f"/3/device/{token}",
        "authorization": bearer(),
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
    }
    for name, value in changes.items():
        fields[name.replace("__", ":").replace("_", "-")] = value
    return [(name, value) for name, value in fields.items() if value is not None]


def context(simulator: Simulator, certificate: KeyPair | None = None, *, alpn: str = "h2") -> ssl.SSLContext:
    result = ssl.create_default_context(cadata=simulator.ca_pem.decode())
    result.set_alpn_protocols([alpn])
    if certificate is not None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "client.pem"
            path.write_bytes(certificate.certificate_pem + certificate.private_key_pem)
            result.load_cert_chain(path)
    return result


def http_client(simulator: Simulator, certificate: KeyPair | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        http2=True,
        http1=False,
        verify=context(simulator, certificate),
        base_url=f"https://localhost:{simulator.port}",
        trust_env=False,
        timeout=PATIENCE,
    )


def api_client(simulator: Simulator) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{simulator.api_port}", trust_env=False, verify=False, timeout=PATIENCE
    )


async def until(reached: Callable[[], bool]) -> None:
    """Let the loop turn until something outside any client's view holds."""
    async with asyncio.timeout(PATIENCE):
        while not reached():  # noqa: ASYNC110 - states without an event of their own
            await asyncio.sleep(0)


class RawClient:
    """One connection. What has come in stands in its attributes after `until`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = b""
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()
        self._next = 1
        self.limits: list[int] = []
        self.settings: dict[int, int] = {}
        self.fields: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.goaways: list[tuple[int, int, bytes]] = []
        self.pongs: list[bytes] = []
        self.window = 65_535
        self.eof = False
        self.acknowledge = True
        self.pong = True

    @classmethod
    async def open(cls, simulator: Simulator, certificate: KeyPair | None = None, **values: int) -> RawClient:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            simulator.port,
            ssl=context(simulator, certificate),
            server_hostname="localhost",
            ssl_shutdown_timeout=0.5,
        )
        client = cls(reader, writer)
        payload = b"".join(struct.pack("!HL", int(code[1:]), value) for code, value in values.items())
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        client.frame(4, 0, 0, payload)
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._writer.transport.abort()

    def frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        length = len(payload)
        self._writer.write(struct.pack("!HBBBL", length >> 8, length & 255, kind, flags, stream) + payload)

    def request(
        self,
        token: str = "abcd",
        /,
        *,
        body: bytes = b'{"aps":{}}',
        end: bool = True,
        fields: Any = None,
        **changes: Any,
    ) -> int:
        """Send a request; returns its stream id."""
        number, self._next = self._next, self._next + 2
        block = self._encoder.encode(headers(token, **changes) if fields is None else fields)
        self.frame(1, 4 | (1 if end and not body else 0), number, block)
        if body:
            self.frame(0, 1 if end else 0, number, body)
        return number

    def status(self, number: int) -> int:
        return int(self.fields[number][":status"])

    def reason(self, number: int) -> str:
        return str(json.loads(self.bodies[number])["reason"])

    async def until(self, reached: Callable[[], bool]) -> None:
        """Read until the condition holds; fails at the end of the connection, or of patience."""
        async with asyncio.timeout(PATIENCE):
            while not reached():
                assert not self.eof, "connection closed"
                await self._read()

    async def answers(self, *numbers: int) -> None:
        await self.until(lambda: all(number in self.ended or number in self.resets for number in numbers))

    async def until_closed(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self.eof:
                await self._read()

    async def ping(self) -> None:
        """A round trip: everything sent before has been seen by the server."""
        mark = uuid.uuid4().bytes[:8]
        self.frame(6, 0, 0, mark)
        await self.until(lambda: mark in self.pongs)

    async def _read(self) -> None:
        try:
            data = await self._reader.read(65_536)
        except (ConnectionError, ssl.SSLError):
            data = b""
        self.eof = not data
        self._buffer += data
        while len(self._buffer) >= 9:
            length = int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < 9 + length:
                return
            kind, flags = self._buffer[3], self._buffer[4]
            stream = int.from_bytes(self._buffer[5:9], "big")
            payload = self._buffer[9 : 9 + length]
            self._buffer = self._buffer[9 + length :]
            self._on_frame(kind, flags, stream, payload)

    def _on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == 1:
            assert flags & 4
            self.fields[stream] = {str(name): str(value) for name, value in self._decoder.decode(payload)}
        elif kind == 0:
            self.bodies[stream] = self.bodies.get(stream, b"") + payload
        elif kind == 3:
            self.resets[stream] = int.from_bytes(payload, "big")
        elif kind == 4 and not flags & 1:
            values = dict(struct.iter_unpack("!HL", payload))
            self.settings.update(values)
            if 3 in values:
                self.limits.append(values[3])
            if self.acknowledge:
                self.frame(4, 1, 0, b"")
        elif kind == 6:
            if flags & 1:
                self.pongs.append(payload)
            elif self.pong:
                self.frame(6, 1, 0, payload)
        elif kind == 7:
            last, code = struct.unpack("!LL", payload[:8])
            self.goaways.append((last, code, payload[8:]))
        elif kind == 8 and stream == 0:
            self.window += int.from_bytes(payload, "big")
        if kind in {0, 1} and flags & 1:
            self.ended.add(stream)
