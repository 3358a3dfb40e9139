"""An HTTP client that injects as fast as the server answers, over many connections, and counts."""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
from collections.abc import Iterator
from typing import cast

from benchmarks.fixtures import REST_TOKEN, notifications
from benchmarks.load import Load, LoadError

_HEAD = (
    "POST /v1/notifications HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    "Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
)
_REQUESTS = 200


class RestLoad(Load):
    """The same by requests on connections that stay: one notification in each, or `batch` of them."""

    def __init__(self, port: int, connections: int, batch: int) -> None:
        super().__init__(port, connections, pipelined=False)
        self.batch = batch
        self.bodies: Iterator[bytes] = itertools.cycle(_requests(batch))

    async def start(self) -> None:
        """Open all connections; each begins to send."""
        loop = asyncio.get_running_loop()
        for _ in range(self.connections):
            done: asyncio.Future[None] = loop.create_future()
            self._open.add(done)
            _, client = await loop.create_connection(
                functools.partial(_RestClient, self, done), "127.0.0.1", self.port
            )
            self._clients.append(client)


class _RestClient(asyncio.Protocol):
    def __init__(self, load: RestLoad, done: asyncio.Future[None]) -> None:
        self._load = load
        self._done = done
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        self._write, self._close = stream.write, stream.close
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(LoadError(f"the server closed a connection: {exc}"))

    def abort(self) -> None:
        if not self._done.cancel() and not self._done.cancelled():
            self._done.exception()  # one of them has been raised already
        self._close()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, blank, body = self._answer.partition(b"\r\n\r\n")
        if not blank or len(body) < int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]):
            return
        status = int(head[9:12])
        if status in (200, 202):
            self._load.accepted += self._load.batch
        else:
            self._load.refused[status] += 1
            self._load.samples.setdefault(status, body[:300].decode(errors="replace"))
        self._answer = b""
        if self._load.stopping:
            self._done.set_result(None)
            self._close()
        else:
            self._send()

    def _send(self) -> None:
        self._write(next(self._load.bodies))


def _requests(batch: int) -> list[bytes]:
    """Requests of `batch` notifications each, 1: by itself."""
    found = itertools.cycle(notifications())
    bodies = []
    for _ in range(max(1, _REQUESTS // batch) if batch > 1 else _REQUESTS):
        some = [next(found) for _ in range(batch)]
        document = some[0] if batch == 1 else {"notifications": some}
        body = json.dumps(document).encode()
        bodies.append(_HEAD.format(token=REST_TOKEN, size=len(body)).encode() + body)
    return bodies
