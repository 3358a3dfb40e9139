"""Workers' queues on one stream: who dies leaves what it had to the others, and nothing is sent unsaid twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.delivery.support import BUSY, DELIVERED, FakePool, domain, domains, notification
from tests.dispatcher.store.jetstream.support import Nats
from tests.dispatcher.store.support import all_of, closed, told
from tubepost_api.config import DeliveryConfig, QueueConfig
from tubepost_api.config_jetstream import JetStreamConfig
from tubepost_dispatcher.bounces.relay_sender import RelaySender
from tubepost_dispatcher.bounces.reports import Reports
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.metrics_listener import MetricsListener
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.partitions import partition_path
from tubepost_dispatcher.queue import feeder
from tubepost_dispatcher.queue.journal import Journal
from tubepost_dispatcher.queue.operations import Operations
from tubepost_dispatcher.queue_request import Action
from tubepost_dispatcher.queue_step import Step
from tubepost_dispatcher.store.disk import DiskStore
from tubepost_dispatcher.store.jetstream import holding
from tubepost_dispatcher.store.port import Failure, FailureKind, entry
from tubepost_dispatcher.worker.worker_queue import WorkerQueue

pytestmark = [
    pytest.mark.peer,
    # nats-py leaves the socket of a connection to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("own_litter"),
]
STREAM = JetStreamConfig(servers=("nats://a:4222",), stream="S", subject_prefix="s")


class Bench:
    def __init__(
        self, nats: Nats, slot: int = 0, *, most: int = 0, directory: Path | None = None, **options: Any
    ) -> None:
        self.pool = FakePool()
        self.domain = domain(self.pool, options=DeliveryConfig(**options))
        self.journal, self.metrics = Journal(None), Metrics()
        deliverer = Deliverer(
            domains(self.domain), (MetricsListener(self.metrics), self.journal), self.metrics
        )
        self.config = QueueConfig(persistent=True, max_messages=most, jet_stream=STREAM)
        self.it = WorkerQueue(
            directory, slot, deliverer, domains(self.domain), self.metrics, self.journal, self.config, 2,
            Reports(), RelaySender(), None, nats.settings(),
        )  # fmt: skip
        self.operations = Operations(self.it.queue, self.journal)

    async def put(self, *numbers: int) -> Failure | None:
        answer: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()
        items = [(notification(number, accepted_at=4e9), self.domain) for number in numbers]
        self.it.bounded.put(items, answer.set_result)
        async with asyncio.timeout(60):
            return await answer

    @property
    def sent(self) -> list[str]:
        return [request.owner.notification.message_id for request in self.pool.requests]

    def answer_all(self, outcome: Any = DELIVERED) -> None:
        while self.pool.requests:
            self.pool.answer(outcome)

    async def die(self) -> None:
        """As if its process had been killed."""
        store: Any = self.it._stream
        self.it._sampler.close()
        self.it.queue._feeder.stop()
        store._closed = True
        store._condition.close()
        for timer in store._timers.values():
            timer.cancel()
        await store._link.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a bounded poll
            await asyncio.sleep(0.02)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of some seconds: for tests that wait for their end, and do little before it."""
    monkeypatch.setattr(holding, "LENGTH", 3.0)
    monkeypatch.setattr(holding, "GRACE", 0.3)
    monkeypatch.setattr(feeder, "SWEEP", 0.2)


async def test_what_is_put_is_delivered_and_gone(nats: Nats) -> None:
    bench = Bench(nats)
    await bench.it.opened(60.0)
    assert await bench.put(1, 2, 3) is None
    await until(lambda: bench.sent == ["m1", "m2", "m3"])
    bench.answer_all()
    assert await all_of(bench.it.queue.slots[0].store) == []
    assert bench.it.warnings
    assert bench.it.status()["warnings"] == list(bench.it.warnings)
    await bench.it.drain(5.0, last=True)
    await bench.it.close()


async def test_another_worker_delivers_what_a_killed_one_had_and_counts_it(nats: Nats, short: None) -> None:
    first, second = Bench(nats), Bench(nats, 1)
    for bench in (first, second):
        await bench.it.opened(60.0)
    assert await first.put(1, 2) is None
    await until(lambda: first.sent == ["m1", "m2"])
    ids = [request.owner.notification.apns_id for request in first.pool.requests]
    await first.die()
    await until(lambda: sorted(second.sent) == ["m1", "m2"])
    assert sorted(one.owner.notification.apns_id for one in second.pool.requests) == sorted(ids)
    second.answer_all()
    value = second.metrics.registry.get_sample_value
    assert value("tubepost_possible_doubles_total", {"route": "route0"}) == 2.0
    assert await all_of(second.it.queue.slots[1].store) == []
    await second.it.close()


async def test_a_later_try_is_made_by_whoever_is_there(nats: Nats, short: None) -> None:
    first, second = Bench(nats, retry_interval=0.3), Bench(nats, 1)
    for bench in (first, second):
        await bench.it.opened(60.0)
    assert await first.put(1) is None
    await until(lambda: first.sent)
    first.answer_all(Outcome(OutcomeKind.TRANSIENT, "SomethingNew", status=418))
    await until(lambda: not first.it.queue.active)
    await asyncio.wait_for(stored(first), 60)
    await first.die()
    await until(lambda: second.sent == ["m1"])
    assert second.pool.requests[0].owner.notification.attempt == 2
    second.answer_all()
    assert await all_of(second.it.queue.slots[1].store) == []
    # Its first attempt had an end that was stored: it is no double.
    value = second.metrics.registry.get_sample_value
    assert not value("tubepost_possible_doubles_total", {"route": "route0"})
    await second.it.close()


async def stored(bench: Bench) -> None:
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    bench.it.queue.slots[bench.it.queue.own].store.take((), done.set_result)
    await done


async def test_the_whole_stream_has_one_bound(nats: Nats) -> None:
    bench = Bench(nats, most=2)
    await bench.it.opened(60.0)
    assert await bench.put(1, 2) is None
    failure = await bench.put(3)
    assert failure is not None
    assert failure.kind is FailureKind.FULL
    await bench.it.close()


async def test_an_operator_reaches_what_waits_by_any_worker(nats: Nats) -> None:
    first, second = Bench(nats, retry_interval=900.0), Bench(nats, 1, retry_interval=900.0)
    for bench in (first, second):
        await bench.it.opened(60.0)
    assert await first.put(*range(5)) is None
    await until(lambda: len(first.sent) == 5)
    first.answer_all(BUSY)
    await stored(first)
    listed = await first.operations.do(Step("list", as_of=5e9, limit=100))
    assert len(listed.listed) == 5
    # One worker of a pod tells of what all share.
    assert (await second.operations.do(Step("list", partition=1, as_of=5e9, limit=100))).listed == ()
    drop = Step("change", partition=1, as_of=5e9, action=Action.DROP, note="by a test")
    dropped = await second.operations.do(drop)
    assert sum(group.queued for group in dropped.groups) == 5
    assert dropped.problem == ""
    assert (await first.operations.do(Step("count", as_of=5e9))).groups == ()
    for bench in (first, second):
        await bench.it.close()


async def test_what_is_on_disk_from_before_is_delivered_too(nats: Nats, tmp_path: Path) -> None:
    disk = DiskStore(partition_path(tmp_path, 0), reserve=0)
    assert await told(disk.start) is None
    before = notification(7, accepted_at=4e9)
    assert isinstance(await told(disk.put, [entry(before, due=0.0, expires=5e9, lane=3)]), list)
    await closed(disk)
    bench = Bench(nats, directory=tmp_path)
    await bench.it.opened(60.0)
    assert await bench.put(8) is None
    await until(lambda: sorted(bench.sent) == ["m7", "m8"])
    bench.answer_all()
    await until(lambda: not bench.it.queue.queued)
    bench.it.adopt(())  # stays until the worker ends
    assert len(bench.it.queue.slots) == 2
    await bench.it.close()


async def test_the_loop_does_not_look_at_the_disk(
    nats: Nats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    exists = Path.exists

    def seen(path: Path, **options: Any) -> bool:
        if path.is_relative_to(tmp_path):
            looked.append(threading.get_ident())
        return exists(path, **options)

    monkeypatch.setattr(Path, "exists", seen)
    bench = Bench(nats, directory=tmp_path)
    await bench.it.opened(60.0)
    await until(lambda: looked)
    bench.it.adopt(())
    assert threading.get_ident() not in looked
    assert len(bench.it.queue.slots) == 1
    await bench.it.close()


async def test_another_stream_waits_for_another_worker(nats: Nats, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(nats)
    await bench.it.opened(60.0)
    bench.it.swap(domains(bench.domain), bench.config, 2, nats.settings(stream="OTHER"))
    assert f"it stays on stream {nats.settings().stream} until this pod is replaced" in caplog.text
    assert await bench.put(1) is None
    await bench.it.close()
