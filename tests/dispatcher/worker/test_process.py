"""A worker process, with the test in the supervisor's place."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import pytest

from tests.dispatcher.bundles import SECRETS, bundle
from tests.dispatcher.supervisor.conftest import eventually
from tubepost_dispatcher.channel.channel import Channel
from tubepost_dispatcher.channel.messages import (
    Configuration,
    Configure,
    Configured,
    Drain,
    Drained,
    GetStatus,
    Hold,
    Message,
    Operate,
    Operated,
    Ready,
    Sockets,
    Start,
    Status,
)
from tubepost_dispatcher.config.bundle import ConfigBundle
from tubepost_dispatcher.queue_step import Step, StepResult
from tubepost_dispatcher.worker import process as module
from tubepost_dispatcher.worker.memory import proportional_bytes
from tubepost_dispatcher.worker.process import WorkerProcess

M = TypeVar("M")


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

    def _got(self, message: Message, request: int) -> None:
        del request
        self.messages.append(message)
        self.news.set()

    async def begin(self) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        self.fd_line, their_fd_line = socket.socketpair()
        ours.setblocking(False)
        await loop.create_unix_connection(lambda: self.channel, sock=ours)
        self.main = loop.create_task(self.process.main(theirs.detach(), their_fd_line.detach()))

    def start(self) -> asyncio.Task[Ready]:
        self._send_sockets()
        return asyncio.create_task(self.channel.request(Start(0, 1, self.config()), Ready, 30))

    def config(self, lenient: bool = False, memory_limit: int = 0, **changes: Any) -> Configuration:
        made = bundle(**changes)
        return Configuration(made.config, made.secrets, lenient=lenient, memory_limit=memory_limit)

    async def configure(self, **changes: Any) -> tuple[str, ...]:
        return (await self.channel.request(Configure(self.config(**changes)), Configured, 30)).problems

    def sockets(self) -> None:
        self._send_sockets()
        self.channel.send(Sockets(1))

    def _send_sockets(self) -> None:
        socket.send_fds(self.fd_line, [b"f"], [self.listening.fileno()])

    async def expect(self, kind: type[M]) -> M:
        async with asyncio.timeout(30):
            while True:
                found = next((message for message in self.messages if isinstance(message, kind)), None)
                if found is not None:
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
    await bench.start()
    assert (await bench.greeting()).startswith(b"220 ")
    assert await bench.configure(generation=3) == ()
    status = (await bench.channel.request(GetStatus(), Status, 30)).status
    assert status is not None
    assert status["configGeneration"] == 3
    assert status["pid"] == os.getpid()
    bench.channel.send(Drain(5.0))
    assert (await bench.expect(Drained)).cut == 0


async def test_it_answers_steps_about_the_queue(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked() -> StepResult:
        return (await bench.channel.request(Operate(Step("partitions")), Operated, 30)).result

    assert (await asked()).problem == "the worker is starting"
    await bench.start()
    assert await asked() == StepResult()

    async def fail(step: Step) -> StepResult:
        raise ValueError(step)

    monkeypatch.setattr(bench.process._worker, "operate", fail)
    assert (await asked()).problem == "internal error, see the worker's log"

    async def hang(step: Step) -> StepResult:
        await asyncio.Event().wait()
        raise AssertionError(step)

    monkeypatch.setattr(module, "STEP_PATIENCE", 0.01)
    monkeypatch.setattr(bench.process._worker, "operate", hang)
    assert (await asked()).problem == "the disk does not answer"
    assert not bench.process._operating


async def test_a_supervisor_that_is_gone_ends_it(bench: Bench) -> None:
    await bench.start()
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
    await bench.start()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, on no file of ours
    bench.channel.send(Drain(5.0))
    bench.sockets()
    await bench.expect(Drained)
    assert bench.process._worker is not None
    assert not bench.process._worker._server._servers
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208 - as above


async def test_it_refuses_a_secret_that_is_missing_unless_told_otherwise(bench: Bench) -> None:
    await bench.start()
    assert "'cert'" in " ".join(await bench.configure(secrets={}))
    assert await bench.configure(secrets={}, lenient=True) == ()


async def test_a_configuration_is_read_off_the_event_loop_and_what_is_told_meanwhile_holds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.start()
    whole, go_on, threads = module.prepare, threading.Event(), []

    def slow(made: ConfigBundle, now: float | None = None) -> Any:
        threads.append(threading.get_ident())
        assert go_on.wait(60)
        return whole(made, now)

    monkeypatch.setattr(module, "prepare", slow)
    renewed = {**SECRETS, "token": {**SECRETS["token"], "teamId": b"TEAM654321"}}
    first = asyncio.create_task(bench.configure(generation=4, secrets=renewed))
    second = asyncio.create_task(bench.configure(generation=5, secrets=renewed))
    worker = bench.process._worker
    assert worker is not None
    assert (await bench.greeting()).startswith(b"220 "), "it serves meanwhile"
    told: list[str] = []
    monkeypatch.setattr(worker, "adopt_hold", lambda route, *_: told.append(route))
    bench.channel.send(Hold("token", "mark", "InvalidProviderToken", "said APNs", 60.0))
    await eventually(lambda: told)
    assert worker.status()["configGeneration"] == 1
    go_on.set()
    assert (await first, await second) == ((), ())
    assert worker.status()["configGeneration"] == 5
    assert told == ["token", "token"], "once more when the other credential is in force"
    assert threading.get_ident() not in threads


async def test_a_configuration_that_comes_too_late_is_not_put_in_force(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.start()
    reading, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> Any:
        reading.set()
        assert go_on.wait(60)
        raise ValueError("nobody awaits it")

    monkeypatch.setattr(module, "prepare", slow)
    for generation in (4, 5):
        bench.channel.send(Configure(bench.config(generation=generation)))
    await eventually(reading.is_set)
    async with asyncio.timeout(60):
        bench.channel.send(Drain(5.0))
        await bench.expect(Drained)
    go_on.set()
    assert bench.process._worker is not None
    assert bench.process._worker.prepared.config.generation == 1


async def test_its_part_of_the_memory_follows_the_number_of_workers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORT_INTERVAL", 0.02)
    await bench.start()
    assert await bench.configure(memory_limit=proportional_bytes() // 4) == ()
    async with asyncio.timeout(30):
        while not (await bench.greeting()).startswith(b"421 "):
            pass
    assert await bench.configure() == ()
    async with asyncio.timeout(30):
        while not (await bench.greeting()).startswith(b"220 "):
            pass


async def test_too_many_open_messages_shed_new_sessions(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORT_INTERVAL", 0.02)
    await bench.start()
    assert bench.process._worker is not None
    bench.process._worker._context.accounting.open = module.MAX_OPEN_MESSAGES + 1
    async with asyncio.timeout(30):
        while not (await bench.greeting()).startswith(b"421 "):
            pass
    bench.process._worker._context.accounting.open = 0


async def test_sockets_that_cannot_be_served_make_room_for_a_successor(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.start()

    async def broken(*_: object) -> None:
        raise OSError("no descriptors left")

    assert bench.process._worker is not None
    monkeypatch.setattr(bench.process._worker, "serve", broken)
    bench.sockets()
    await bench.expect(Drained)
