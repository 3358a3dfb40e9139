from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from tests.dispatcher.supervisor.conftest import (
    CONFIGURATION,
    FakeWorkers,
    alive,
    eventually,
    open_descriptors,
)
from tubepost_dispatcher.metrics import CATALOG
from tubepost_dispatcher.supervisor import worker_handle
from tubepost_dispatcher.supervisor.sockets import ListenerSockets, Share
from tubepost_dispatcher.supervisor.worker_handle import WorkerFailed, WorkerHandle
from tubepost_dispatcher.totals import Totals

PUSH_PARTS = next(spec for spec in CATALOG if spec.name == "tubepost_push_parts")


class Bench:
    def __init__(self, sockets: ListenerSockets) -> None:
        self.totals = Totals()
        self.ended: list[WorkerHandle] = []
        self.sockets = sockets
        self.handle = WorkerHandle(0, self.totals, self.ended.append)

    async def start(self) -> None:
        async with asyncio.timeout(30):
            await self.handle.start(Share(self.sockets.of_worker(0, 1)), CONFIGURATION)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    sockets = ListenerSockets("127.0.0.1", 0)
    sockets.ensure(1)
    made = Bench(sockets)
    yield made
    made.handle.kill()
    async with asyncio.timeout(30):
        await made.handle.gone()
    sockets.close()


async def test_the_last_counts_of_a_worker_that_drained_are_in_the_totals(
    bench: Bench, fake_workers: FakeWorkers
) -> None:
    fake_workers("good")
    await bench.start()
    assert bench.handle.ready
    assert await bench.handle.configure(CONFIGURATION) == ()
    assert await bench.handle.status(20.0) == {"pid": bench.handle.pid}
    assert await bench.handle.drain(20.0) == 0
    assert dict(bench.totals.values(PUSH_PARTS, "_total")) == {(): 5.0}
    assert bench.totals._live == {}
    assert bench.ended == [bench.handle]


async def test_a_refusal_names_the_problems(bench: Bench, fake_workers: FakeWorkers) -> None:
    fake_workers("refuses")
    await bench.start()
    assert await bench.handle.configure(CONFIGURATION) == ("not for me",)


async def test_a_worker_that_dies_while_it_is_configured(bench: Bench, fake_workers: FakeWorkers) -> None:
    fake_workers("dies-at-config")
    await bench.start()
    with pytest.raises(WorkerFailed, match="ended with 4"):
        await bench.handle.configure(CONFIGURATION)
    # Whoever asks later is not kept waiting either.
    with pytest.raises(WorkerFailed, match="ended with 4"):
        await bench.handle.configure(CONFIGURATION)
    assert await bench.handle.drain(0.0) == -1


async def test_one_that_ends_at_once(bench: Bench, fake_workers: FakeWorkers) -> None:
    fake_workers("crash")
    with pytest.raises(WorkerFailed):
        await bench.start()
    await bench.handle.gone()
    assert bench.handle.returncode == 3
    assert bench.ended == [bench.handle]
    assert await bench.handle.drain(0.0) in (0, -1)


async def test_one_that_cannot_be_started(bench: Bench, fake_workers: FakeWorkers) -> None:
    fake_workers("cannot be started")
    with pytest.raises(WorkerFailed, match="could not be started"):
        await bench.start()
    assert not bench.handle.launched
    assert await bench.handle.drain(0.0) == 0


async def test_one_that_is_never_ready_is_killed(
    bench: Bench, fake_workers: FakeWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_workers("deaf")
    monkeypatch.setattr(worker_handle, "START_TIMEOUT", 0.2)
    with pytest.raises(WorkerFailed, match="not ready"):
        await bench.start()
    await bench.handle.gone()
    assert bench.handle.returncode == -signal.SIGKILL


async def test_a_start_that_is_given_up_leaves_no_process(bench: Bench, fake_workers: FakeWorkers) -> None:
    fake_workers("deaf")
    task = asyncio.create_task(bench.start())
    await eventually(lambda: bench.handle.pid)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await bench.handle.gone()
    assert not alive(bench.handle.pid)


async def test_a_drain_while_it_is_being_started(bench: Bench, fake_workers: FakeWorkers) -> None:
    fake_workers("good")
    task = asyncio.create_task(bench.start())
    await asyncio.sleep(0)  # it has begun, and waits for the process
    async with asyncio.timeout(30):
        assert await bench.handle.drain(20.0) == 0
        with pytest.raises(WorkerFailed):
            await task
    assert not bench.handle.ready
    assert not alive(bench.handle.pid)


async def test_one_that_is_killed_during_its_drain_has_not_drained(
    bench: Bench, fake_workers: FakeWorkers
) -> None:
    fake_workers("stays")
    await bench.start()
    drain = asyncio.create_task(bench.handle.drain(30.0))
    await asyncio.sleep(0)
    os.kill(bench.handle.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        assert await drain == -1


async def test_descriptors_do_not_add_up(bench: Bench, fake_workers: FakeWorkers) -> None:
    fake_workers("good")
    await bench.start()
    await bench.handle.drain(20.0)

    async def one() -> None:
        handle = WorkerHandle(0, bench.totals, lambda _: None)
        await handle.start(Share(bench.sockets.of_worker(0, 1)), CONFIGURATION)
        assert await handle.drain(20.0) == 0

    await one()
    before = open_descriptors()
    for _ in range(3):
        await one()
    assert open_descriptors() <= before


async def test_an_answer_of_another_kind_is_none(bench: Bench, fake_workers: FakeWorkers) -> None:
    fake_workers("confused")
    await bench.start()
    assert await bench.handle.status(20.0) is None
    assert await bench.handle.configure(CONFIGURATION) == ()


async def test_several_requests_may_be_open(bench: Bench, fake_workers: FakeWorkers) -> None:
    fake_workers("good")
    await bench.start()
    *statuses, problems = await asyncio.gather(
        *(bench.handle.status(20.0) for _ in range(5)), bench.handle.configure(CONFIGURATION)
    )
    assert statuses == [{"pid": bench.handle.pid}] * 5
    assert problems == ()
