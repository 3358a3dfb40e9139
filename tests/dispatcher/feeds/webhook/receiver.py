"""A receiver of webhooks that does what a test says: answers, is slow, breaks off, talks nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

BOUND = 20.0
"""Seconds after which what a test waits for has not come."""


class Request(NamedTuple):
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.body)
        return found


Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(status: int, body: bytes = b"", *headers: str) -> Behaviour:
    async def act(writer: asyncio.StreamWriter) -> None:
        fields = "".join(f"{one}\r\n" for one in (*headers, f"Content-Length: {len(body)}"))
        writer.write(f"HTTP/1.1 {status} Whatever\r\n{fields}\r\n".encode() + body)
        await writer.drain()

    return act


def raw(data: bytes) -> Behaviour:
    """These bytes, and the end of the connection."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return act


async def silence(writer: asyncio.StreamWriter) -> None:
    """No answer, ever."""
    await asyncio.Event().wait()


async def flood(writer: asyncio.StreamWriter) -> None:
    """A 200 whose body does not end."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
            await writer.drain()


OK = answer(204)


class Receiver:
    """Behaves as `script` says, request by request; then as `otherwise`."""

    def __init__(self) -> None:
        self.script: list[Behaviour] = []
        self.otherwise: Behaviour = OK
        self.requests: list[Request] = []
        self.answered: list[Request] = []
        """Those that were taken: answered by `OK`."""
        self.connections = 0
        self.url = ""
        self._changed = asyncio.Condition()

    @property
    def ids(self) -> list[str]:
        """Of the events that were taken, in order."""
        return [event["id"] for request in self.answered for event in request.events]

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is the case, which requests make so."""
        async with asyncio.timeout(BOUND), self._changed:
            await self._changed.wait_for(true)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *fields = head.rstrip("\r\n").split("\r\n")
                headers = {
                    name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)
                }
                request = Request(first, headers, await reader.readexactly(int(headers["content-length"])))
                act = self.script.pop(0) if self.script else self.otherwise
                async with self._changed:
                    self.requests.append(request)
                    if act is OK:
                        self.answered.append(request)
                    self._changed.notify_all()
                await act(writer)
        writer.close()


async def eventually(true: Callable[[], bool]) -> None:
    """Wait until something is the case that nobody tells of."""
    async with asyncio.timeout(BOUND):
        while not true():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver at `url`."""
    receiver = Receiver()
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await receiver.serve(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            writer.transport.abort()
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    receiver.url = f"http{'s' if tls else ''}://localhost:{port}/events?key=url-secret"
    try:
        yield receiver
    finally:
        server.close()
        ending = list(serving)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await asyncio.sleep(0)  # the transports' own turn
