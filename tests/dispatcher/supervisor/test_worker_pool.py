from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.dispatcher.supervisor.conftest import CONFIGURATION, FakeWorkers, alive, eventually
from tubepost_dispatcher.channel.messages import Hold
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.supervisor import worker_pool as module
from tubepost_dispatcher.supervisor.sockets import ListenerSockets
from tubepost_dispatcher.supervisor.worker_handle import WorkerFailed, WorkerHandle
from tubepost_dispatcher.supervisor.worker_pool import Holds, WorkerPool
from tubepost_dispatcher.totals import Totals


class Bench:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.sockets = ListenerSockets("127.0.0.1", 0)
        self.sockets.ensure(3)
        self.pool = WorkerPool(Totals(), self.metrics, lambda: CONFIGURATION, 20.0)

    async def change(self, count: int, sockets: ListenerSockets | None = None) -> None:
        async with self.pool.changing:
            await self.pool.change((sockets or self.sockets,), count)

    def handle(self, index: int) -> WorkerHandle:
        return self.pool._workers[index]

    @property
    def pids(self) -> dict[int, int]:
        return {index: handle.pid for index, handle in self.pool._workers.items() if handle.ready}

    def served(self) -> dict[int, int]:
        """Worker -> how many sockets its worker accepts on."""
        return {index: len(handle._assigned) for index, handle in self.pool._workers.items() if handle.ready}

    def exits(self, cause: str) -> float:
        labels = {"cause": cause}
        return self.metrics.registry.get_sample_value("tubepost_worker_exits_total", labels) or 0.0


@pytest.fixture
async def bench(fake_workers: FakeWorkers) -> AsyncIterator[Bench]:
    fake_workers("good")
    made = Bench()
    yield made
    await made.pool.kill()
    await made.pool.close()
    made.sockets.close()


async def test_workers_come_and_go_and_every_socket_is_served(bench: Bench) -> None:
    await bench.pool.start((bench.sockets,), 1)
    assert bench.served() == {0: 3}
    first = bench.pids[0]
    await bench.change(3)
    assert bench.served() == {0: 1, 1: 1, 2: 1}
    await bench.change(2)
    assert bench.served() == {0: 2, 1: 1}
    assert bench.pids[0] == first
    assert await bench.pool.drain() == (0, 0)
    assert bench.exits("exit 0") == 0


async def test_the_others_accept_for_a_worker_that_is_missing(
    bench: Bench, fake_workers: FakeWorkers
) -> None:
    await bench.pool.start((bench.sockets,), 2)
    fake_workers("crash")
    os.kill(bench.pids[1], signal.SIGKILL)
    await eventually(lambda: bench.served() == {0: 3})
    await eventually(lambda: bench.exits("exit 3") >= 1)
    fake_workers("good")
    await eventually(lambda: bench.served() == {0: 2, 1: 1})
    assert bench.exits("signal 9") == 1


async def test_the_others_accept_for_a_worker_that_takes_no_messages(
    bench: Bench, fake_workers: FakeWorkers
) -> None:
    await bench.pool.start((bench.sockets,), 1)
    assert bench.pool.obstacle == ""
    fake_workers("obstructed")
    await bench.change(2)
    assert bench.served() == {0: 3, 1: 0}
    assert bench.pool.obstacle == ""
    assert bench.pool.partitions == {0: (1, "no space")}
    os.kill(bench.pids[0], signal.SIGKILL)
    await eventually(lambda: len(bench.pids) == 2 and bench.served() == {0: 2, 1: 1})
    # Nobody else is left: the client is to hear why.
    assert bench.pool.obstacle == "the queue: no space"
    bench.pool.set_partitions((0, 1, 3))
    await eventually(lambda: bench.served() == {0: 0, 1: 3})
    assert bench.pool.obstacle == ""


async def test_partitions_without_a_worker_are_emptied_by_the_others(bench: Bench) -> None:
    await bench.pool.start((bench.sockets,), 2)
    bench.pool.set_partitions((0, 1, 2, 5))
    await eventually(lambda: bench.pool.partitions == {2: (0, ""), 5: (1, "")})
    await bench.change(3)
    await eventually(lambda: bench.pool.partitions == {5: (2, "")})
    await bench.change(1)
    await eventually(lambda: bench.pool.partitions == {1: (0, ""), 2: (0, ""), 5: (0, "")})
    assert await bench.pool.drain() == (0, 0)
    assert bench.pool.obstacle == "no worker is ready"


async def test_a_worker_that_cannot_be_started_is_tried_again(
    bench: Bench, fake_workers: FakeWorkers
) -> None:
    await bench.pool.start((bench.sockets,), 1)
    fake_workers("cannot be started")
    os.kill(bench.pids[0], signal.SIGKILL)
    await eventually(lambda: bench.exits("not started") >= 2)
    assert not bench.pool.any_ready
    fake_workers("good")
    await eventually(lambda: bench.pool.any_ready)


async def test_one_that_dies_of_a_configuration_is_replaced(bench: Bench, fake_workers: FakeWorkers) -> None:
    fake_workers("dies-at-config")
    await bench.pool.start((bench.sockets,), 2)
    before = bench.pids
    fake_workers("good")
    await bench.change(2)
    await eventually(lambda: len(bench.pids) == 2)
    assert not set(bench.pids.values()) & set(before.values())
    assert bench.exits("exit 4") == 2


async def test_one_that_refuses_a_configuration_may_finish_and_has_a_successor(
    bench: Bench, fake_workers: FakeWorkers
) -> None:
    fake_workers("refuses")
    await bench.pool.start((bench.sockets,), 1)
    (before,) = bench.pids.values()
    fake_workers("good")
    await bench.change(1)
    assert bench.pids[0] != before
    await eventually(lambda: not alive(before))
    await eventually(lambda: not bench.pool._leaving)
    assert bench.exits("signal 9") == bench.exits("exit 0") == 0


async def test_a_start_that_fails_says_so(bench: Bench, fake_workers: FakeWorkers) -> None:
    fake_workers("crash")
    with pytest.raises(WorkerFailed):
        await bench.pool.start((bench.sockets,), 2)


async def test_a_drain_while_workers_are_being_started(bench: Bench, fake_workers: FakeWorkers) -> None:
    await bench.pool.start((bench.sockets,), 1)
    fake_workers("deaf")
    change = asyncio.create_task(bench.change(3))
    await eventually(lambda: 1 in bench.pool._workers and bench.handle(1).pid)
    handles = list(bench.pool._workers.values())
    async with asyncio.timeout(30):
        assert await bench.pool.drain() == (0, 0)
        await change
    assert not bench.pool._workers
    assert all(not alive(handle.pid) for handle in handles)


async def test_the_end_at_once_while_a_worker_is_being_started(
    bench: Bench, fake_workers: FakeWorkers
) -> None:
    fake_workers("deaf")
    start = asyncio.create_task(bench.pool.start((bench.sockets,), 1))
    await eventually(lambda: 0 in bench.pool._workers)
    handle = bench.handle(0)
    async with asyncio.timeout(30):
        await bench.pool.kill()
    assert isinstance((await asyncio.gather(start, return_exceptions=True))[0], WorkerFailed)
    assert not alive(handle.pid)


async def test_a_port_that_was_given_up_is_served_until_it_is_forgotten(bench: Bench) -> None:
    await bench.pool.start((bench.sockets,), 1)
    other = ListenerSockets("127.0.0.1", 0)
    other.ensure(1)
    await bench.change(1, other)
    assert bench.served() == {0: 4}
    bench.pool.forget(bench.sockets)
    assert bench.served() == {0: 1}
    await bench.change(1, bench.sockets)
    bench.pool.forget(other)
    assert bench.served() == {0: 3}
    other.close()


async def test_readiness_needs_a_worker_that_speaks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not bench.pool.any_ready
    await bench.pool.start((bench.sockets,), 1)
    assert bench.pool.any_ready
    bench.handle(0).last_heard -= module.QUIET_AFTER
    assert not bench.pool.any_ready


async def test_a_worker_that_hangs_is_replaced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL", 0.05)
    monkeypatch.setattr(module, "SILENT_AFTER", 2.0)
    await bench.pool.start((bench.sockets,), 1)
    before = bench.pids[0]  # the stand-in does not speak unasked
    await eventually(lambda: bench.pids.get(0, before) != before)
    assert bench.exits("hung") >= 1


async def test_the_pod_is_alive_while_any_workers_loop_turns(bench: Bench) -> None:
    assert bench.pool.alive, "none is there that could have hung"
    await bench.pool.start((bench.sockets,), 2)
    bench.handle(0).last_heard -= module.DEAD_AFTER
    assert bench.pool.alive
    bench.handle(1).last_heard -= module.DEAD_AFTER
    assert not bench.pool.alive


def test_holds_are_remembered_for_workers_that_start_later() -> None:
    holds = Holds()
    message = Hold("r", "c", "Forbidden", "", 9.0)
    holds.note(message, 100.0)
    assert holds.remaining(104.0) == [replace(message, seconds=5.0)]
    holds.note(replace(message, credential="d", reason="", seconds=0.0), 104.0)
    assert len(holds.remaining(104.0)) == 1
    holds.note(replace(message, reason="", seconds=0.0), 105.0)
    assert holds.remaining(105.0) == []
    holds.note(message, 106.0)
    assert holds.remaining(115.1) == []
    assert holds._holds == {}
