"""A worker process, with the test in the supervisor's place."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.dispatcher.bundles import bundle
from tubepost_dispatcher.channel import Channel, Message, pack_bundle
from tubepost_dispatcher.worker import __main__ as module
from tubepost_dispatcher.worker.__main__ import WorkerProcess, resident_bytes


class Bench:
    """The supervisor's side of the two lines, and a worker's process object on the same event loop."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.ended = asyncio.Event()
        self.news = asyncio.Event()
        self.channel = Channel(self._got, self.ended.set)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.process = WorkerProcess()
        self.main: asyncio.Task[None] | None = None

    def _got(self, message: Message) -> None:
        self.messages.append(message)
        self.news.set()

    async def begin(self) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        self.fd_line, their_fd_line = socket.socketpair()
        ours.setblocking(False)
        await loop.create_unix_connection(lambda: self.channel, sock=ours)
        self.main = loop.create_task(self.process.main(theirs.detach(), their_fd_line.detach()))

    def start(self) -> None:
        self.channel.send("start", index=0, **self.config())
        self.sockets()

    def config(self, **changes: Any) -> Message:
        fields = {"count": 1, "logLevel": "Info", "logFormat": "text", "memoryLimit": 0, "lenient": False}
        return {**pack_bundle(bundle(**changes)), **fields}

    def sockets(self) -> None:
        socket.send_fds(self.fd_line, [b"f"], [self.listening.fileno()])
        self.channel.send("sockets", count=1)

    async def expect(self, op: str) -> Message:
        async with asyncio.timeout(30):
            while True:
                found = next((m for m in self.messages if m["op"] == op), None)
                if found is not None:
                    self.messages.remove(found)
                    return found
                self.news.clear()
                await self.news.wait()

    async def greeting(self) -> bytes:
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection(*self.listening.getsockname())
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
        return line


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(module.process_log, "setup", lambda *_: None)  # the tests' own logging stays
    made = Bench()
    await made.begin()
    yield made
    made.channel.close()
    assert made.main is not None
    async with asyncio.timeout(30):
        await made.main
        await made.ended.wait()
    made.fd_line.close()
    made.listening.close()


async def test_its_life(bench: Bench) -> None:
    bench.start()
    assert (await bench.expect("ready"))["pid"] == os.getpid()
    assert (await bench.greeting()).startswith(b"220 ")
    bench.channel.send("config", **bench.config(generation=3))
    await bench.expect("applied")
    bench.channel.send("snapshot", request=1)
    message = await bench.expect("snapshot")
    while message["request"] != 1:
        message = await bench.expect("snapshot")
    assert message["status"]["configGeneration"] == 3
    bench.channel.send("drain", grace=5.0)
    assert (await bench.expect("drained"))["cut"] == 0


async def test_a_supervisor_that_is_gone_ends_it(bench: Bench) -> None:
    bench.start()
    await bench.expect("ready")
    bench.channel.close()
    assert bench.main is not None
    async with asyncio.timeout(30):
        await bench.main
    bench.listening.setblocking(False)
    with pytest.raises(BlockingIOError):
        bench.listening.accept()  # nobody else has it, and nobody waits


async def test_a_supervisor_that_is_gone_before_it_has_started(bench: Bench) -> None:
    bench.channel.close()
    assert bench.main is not None
    async with asyncio.timeout(30):
        await bench.main


async def test_it_takes_no_sockets_once_it_drains(bench: Bench) -> None:
    bench.start()
    await bench.expect("ready")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, on no file of ours
    bench.channel.send("drain", grace=5.0)
    bench.sockets()
    await bench.expect("drained")
    assert bench.process._worker is not None
    assert not bench.process._worker._server._servers
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208 - as above


async def test_it_refuses_a_secret_that_is_missing_unless_told_otherwise(bench: Bench) -> None:
    bench.start()
    await bench.expect("ready")
    bench.channel.send("config", **bench.config(secrets={}))
    assert "'cert'" in " ".join((await bench.expect("refused"))["problems"])
    bench.channel.send("config", **{**bench.config(secrets={}), "lenient": True})
    await bench.expect("applied")


async def test_its_part_of_the_memory_follows_the_number_of_workers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SNAPSHOT_INTERVAL", 0.02)
    bench.start()
    await bench.expect("ready")
    bench.channel.send("config", **{**bench.config(), "memoryLimit": resident_bytes() // 4})
    await bench.expect("applied")
    async with asyncio.timeout(30):
        while not (await bench.greeting()).startswith(b"421 "):
            pass
    bench.channel.send("config", **bench.config())
    async with asyncio.timeout(30):
        while not (await bench.greeting()).startswith(b"220 "):
            pass


async def test_too_many_open_messages_shed_new_sessions(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SNAPSHOT_INTERVAL", 0.02)
    bench.start()
    await bench.expect("ready")
    assert bench.process._worker is not None
    bench.process._worker.acceptance._accounting.open = module.MAX_OPEN_MESSAGES + 1
    async with asyncio.timeout(30):
        while not (await bench.greeting()).startswith(b"421 "):
            pass
    bench.process._worker.acceptance._accounting.open = 0


async def test_sockets_that_cannot_be_served_make_room_for_a_successor(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.start()
    await bench.expect("ready")

    async def broken(_: object) -> None:
        raise OSError("no descriptors left")

    assert bench.process._worker is not None
    monkeypatch.setattr(bench.process._worker, "serve", broken)
    bench.sockets()
    await bench.expect("drained")
