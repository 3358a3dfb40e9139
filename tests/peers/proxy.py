"""A TCP proxy between two programs: it falls silent in one direction or both, delays, and refuses.

A silent direction is a half-open connection, as behind a partition: both ends stay connected, what is sent
goes nowhere for now, and new connections are taken and get no answer. One thread with an event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from enum import Enum
from typing import Self

_READ = 64 * 1024
PATIENCE = 60.0


class Way(Enum):
    """Directions."""

    THERE = "to the server"
    BACK = "to the client"


class Proxy:
    """Listens on a port of its own, `port`, from the start of the `with` block, and connects to `target`.

    Attributes:
        delay: seconds by which what the server sends comes later.
    """

    def __init__(self, target: int) -> None:
        self.delay = 0.0
        self._target = target
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: dict[Way, asyncio.Event] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._start)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def silence(self, *ways: Way) -> None:
        """Forward nothing in these directions; both where none is named."""
        self._do(lambda: [self._open[way].clear() for way in ways or Way])

    def heal(self) -> None:
        """Forward again, what has waited too: neither end knows that it was cut off."""
        self._do(lambda: [event.set() for event in self._open.values()])

    def cut(self) -> None:
        """Reset all connections; new ones are taken."""
        self._do(lambda: [writer.transport.abort() for writer in self._writers])

    def _do(self, what: Callable[[], object]) -> None:
        async def work() -> None:
            found = what()
            if asyncio.iscoroutine(found):
                await found

        asyncio.run_coroutine_threadsafe(work(), self._loop).result(PATIENCE)

    async def _start(self) -> None:
        self._open = {way: asyncio.Event() for way in Way}
        for event in self._open.values():
            event.set()
        self._server = await asyncio.start_server(self._connected, sock=self._socket)

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        parts: list[asyncio.Task[None]] = []
        try:
            back, there = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(there)
            senders = []
            for way, source, sink in ((Way.THERE, reader, there), (Way.BACK, back, writer)):
                waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
                parts.append(asyncio.ensure_future(self._read(source, waiting, way)))
                senders.append(asyncio.ensure_future(self._send(waiting, sink, way)))
            parts += senders
            # One direction that ends is the end of both.
            await asyncio.wait(senders, return_when=asyncio.FIRST_COMPLETED)
            self._writers.discard(there)
            there.transport.abort()
        except OSError:
            pass  # nobody listens there at present
        finally:
            for part in parts:
                part.cancel()
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _read(
        self, reader: asyncio.StreamReader, waiting: asyncio.Queue[tuple[float, bytes]], way: Way
    ) -> None:
        """Also while the way is silent, as a network's buffers would for a while."""
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ):
                waiting.put_nowait((self._loop.time() + (self.delay if way is Way.BACK else 0.0), data))
        waiting.put_nowait((0.0, b""))

    async def _send(
        self, waiting: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, way: Way
    ) -> None:
        """Until the other end, or this one, is gone."""
        with contextlib.suppress(OSError):
            while (one := await waiting.get())[1]:
                await asyncio.sleep(max(0.0, one[0] - self._loop.time()))
                await self._open[way].wait()
                writer.write(one[1])
                await writer.drain()
