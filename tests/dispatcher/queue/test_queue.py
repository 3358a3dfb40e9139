"""The queue: safe first, then delivered; again when it is due; nothing lost and nothing twice."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.delivery.support import (
    BUSY,
    DEAD,
    DELIVERED,
    FakePool,
    Told,
    domain,
    domains,
    notification,
)
from tests.dispatcher.queue.support import Bench
from tests.dispatcher.store.support import eventually
from tests.support.loop import FakeLoop
from tubepost_api.config import DeliveryConfig, DeliveryMode
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.queue.entries import UNREADABLE, expired_outcome
from tubepost_dispatcher.queue.item import Item
from tubepost_dispatcher.queue.journal import Journal
from tubepost_dispatcher.queue.queue import Queue
from tubepost_dispatcher.reasons.catalogue import local_outcome
from tubepost_dispatcher.store.memory import MemoryStore
from tubepost_dispatcher.store.port import Failure, FailureKind, Filter

HOUR = 3_600.0


def test_what_is_put_is_durable_before_it_is_sent() -> None:
    bench = Bench()
    bench.put(1, 2)
    assert bench.answers == []
    assert bench.sent == []
    bench.loop.run_until_idle()
    assert bench.answers == [None]
    assert bench.sent == ["m1", "m2"]
    assert bench.queue.queued == 2
    bench.pool.answer(DELIVERED)
    bench.pool.answer(DEAD)
    assert bench.ends == [("m1", ""), ("m2", "Unregistered")]
    assert (bench.queue.queued, bench.queue.active) == (0, 0)


def test_the_sender_is_told_before_delivery_begins() -> None:
    bench = Bench()
    order: list[Any] = []
    bench.queue.put([(bench.notification(1), bench.domain)], lambda _: order.append(list(bench.sent)))
    bench.loop.run_until_idle()
    assert order == [[]]
    assert bench.sent == ["m1"]


def test_a_refused_put_is_not_delivered() -> None:
    loop = FakeLoop()
    bench = Bench(loop=loop, stores={0: MemoryStore(loop, most=0)})
    bench.put(1)
    loop.run_until_idle()
    (answer,) = bench.answers
    assert isinstance(answer, Failure)
    assert answer.kind is FailureKind.FULL
    assert bench.sent == []


def test_what_was_abandoned_before_it_was_durable_is_removed_unsent() -> None:
    bench = Bench()
    bench.put(1).abandon()
    bench.loop.run_until_idle()
    assert bench.answers == []
    assert bench.sent == []
    assert bench.queue.queued == 0


def test_what_was_abandoned_is_removed_where_it_would_have_waited_in_the_store_too() -> None:
    bench = Bench()
    bench.pool.held_until = float("inf")
    bench.stored(1)
    bench.put(*range(100, 400)).abandon()
    bench.loop.run_until_idle()
    assert bench.queue.queued == 1


def test_abandoning_comes_too_late_for_what_is_durable() -> None:
    bench = Bench()
    putting = bench.put(1)
    bench.loop.run_until_idle()
    putting.abandon()
    assert bench.sent == ["m1"]
    assert bench.queue.queued == 1


def test_what_fails_for_now_comes_again_by_the_schedule_with_its_apns_id() -> None:
    bench = Bench()
    bench.stored(1)
    ids, times = set(), []
    for _ in range(4):
        ids.add(bench.pool.requests[0].apns_id)
        times.append(bench.loop.now)
        bench.pool.answer(local_outcome("ConnectionLost", possible_double=True))
        assert bench.queue.active == 0
        bench.loop.advance(3 * HOUR)
    assert [round(after - before) for before, after in itertools.pairwise(times)] == [3 * 3600] * 3
    assert len(ids) == 1
    assert bench.pool.requests[0].owner.notification.attempt == 5
    bench.pool.answer(DELIVERED)
    assert bench.queue.queued == 0


def test_it_comes_when_it_is_due_and_not_before() -> None:
    bench = Bench()
    bench.stored(1)
    bench.pool.answer(local_outcome("ConnectFailed"))
    bench.loop.advance(1_199.0)
    assert bench.sent == []
    bench.loop.advance(2.0)
    assert bench.sent == ["m1"]


def test_a_busy_apns_is_left_alone_for_a_quarter_of_an_hour_at_least() -> None:
    bench = Bench()
    bench.stored(1)
    bench.pool.answer(BUSY)
    bench.loop.advance(900.0)
    assert bench.sent == []
    bench.loop.advance(HOUR)
    assert bench.sent == ["m1"]


def test_what_cannot_be_tried_before_it_expires_ends_as_expired() -> None:
    bench = Bench()
    push = PushPart(b"ab" * 32, b"{}", expiration=int(bench.wall()) + 600)
    bench.stored(1, push=push)
    bench.pool.answer(local_outcome("ConnectFailed"))
    assert bench.ends == [("m1", "Expired")]
    assert (bench.queue.queued, bench.queue.active) == (0, 0)


def test_what_has_expired_when_it_comes_is_not_sent() -> None:
    bench = Bench()
    bench.stored(1, push=PushPart(b"ab" * 32, b"{}", expiration=int(bench.wall()) - 10))
    bench.stored(2, push=PushPart(b"ab" * 32, b"{}", expiration=0))
    assert bench.sent == ["m2"]
    assert bench.ends == [("m1", "Expired")]
    assert bench.queue.queued == 1


def test_one_that_expired_says_so_and_what_kept_it() -> None:
    for attempt, reason, said in (
        (0, "", "expired before it was tried"),
        (1, "Forbidden", "expired after 1 attempt, the last one: Forbidden"),
        (3, "Forbidden", "expired after 3 attempts, the last one: Forbidden"),
    ):
        assert expired_outcome(notification(1, attempt=attempt), reason).detail == said


def test_what_expired_while_it_was_stored_is_not_sent() -> None:
    bench = Bench()
    bench.stored(1)
    bench.pool.answer(local_outcome("ConnectFailed"))
    bench.swap(domain(*bench.pools, options=DeliveryConfig(mode=DeliveryMode.SUSPEND)))
    bench.loop.advance(8 * 24 * HOUR)
    assert bench.sent == []
    assert bench.ends == [("m1", "Expired")]
    assert bench.queue.queued == 0


def test_what_is_suspended_stays_and_goes_when_it_may() -> None:
    pool = FakePool()
    suspended = domain(pool, options=DeliveryConfig(mode=DeliveryMode.SUSPEND))
    bench = Bench(suspended, pool)
    bench.stored(1)
    bench.loop.advance(HOUR)
    assert bench.sent == []
    assert bench.queue.queued == 1
    bench.swap(domain(pool))
    bench.loop.advance(HOUR)
    assert bench.sent == ["m1"]


def test_a_domain_that_is_gone_keeps_its_notifications() -> None:
    bench = Bench()
    bench.stored(1)
    bench.pool.answer(local_outcome("ConnectFailed"))
    bench.swap(None)
    bench.loop.advance(HOUR)
    assert bench.queue.queued == 1
    bench.swap(bench.domain)
    bench.loop.advance(HOUR)
    assert bench.sent == ["m1"]


def test_a_blackhole_takes_what_is_stored_and_counts_it() -> None:
    bench = Bench()
    bench.stored(1)
    bench.pool.answer(local_outcome("ConnectFailed"))
    hole = domain(*bench.pools, options=DeliveryConfig(mode=DeliveryMode.BLACKHOLE))
    bench.swap(hole)
    assert bench.queue.queued == 1
    bench.loop.advance(HOUR)
    assert bench.queue.queued == 0
    assert bench.sent == []
    assert bench.metrics.blackholed._value.get() == 1


def test_memory_is_bounded_and_nothing_is_left_behind() -> None:
    bench = Bench()
    bench.queue._feeder._turns.most = 10
    for number in range(35):
        bench.stored(number, sender=f"{'abcde'[number % 5]}@b.example")
    delivered = []
    while bench.pool.requests:
        assert bench.queue.active <= 10
        delivered += bench.sent[:1]
        bench.pool.answer(DELIVERED)
        bench.loop.run_until_idle()
    assert sorted(delivered) == sorted(f"m{number}" for number in range(35))
    assert (bench.queue.queued, bench.queue.active) == (0, 0)


@pytest.mark.pure
def test_a_fault_of_ours_does_not_lose_it() -> None:
    bench = Bench()
    bench.stored(1)
    request = bench.pool.requests.pop()
    request.on_outcome(request, None)  # type: ignore[arg-type]
    assert bench.queue.queued == 1
    bench.loop.advance(HOUR)
    assert bench.sent == ["m1"]


async def test_a_drain_waits_for_answers_and_gives_back_what_was_not_sent() -> None:
    bench = Bench()
    bench.stored(1, 2)
    bench.pool.answer(DELIVERED)
    assert await bench.queue.drain(0.01) == 1
    assert bench.sent == []
    answers: list[Any] = []
    bench.queue.put([(bench.notification(3), bench.domain)], answers.append)
    bench.loop.run_until_idle()
    assert answers[0].kind is FailureKind.CLOSED
    again = Bench(loop=bench.loop, stores=bench.stores)
    assert again.sent == ["m2"]


async def test_a_drain_with_nothing_under_way_returns_at_once() -> None:
    bench = Bench()
    assert await asyncio.wait_for(bench.queue.drain(1_000.0), 10) == 0


def test_partitions_of_others_are_emptied_too() -> None:
    first = Bench()
    first.stored(1)
    first.pool.answer(local_outcome("ConnectFailed"))
    first.queue._feeder.stop()
    second = Bench(loop=first.loop, stores={7: first.stores[0]}, adopted=(7,))
    second.stored(2)
    assert second.sent == ["m2"]
    second.pool.answer(DELIVERED)
    second.loop.advance(HOUR)
    assert second.sent == ["m1"]
    second.pool.answer(DELIVERED)
    assert second.queue.queued == 0


async def test_a_queue_on_disk_survives_its_process(tmp_path: Path) -> None:
    async def opened(pool: FakePool) -> tuple[Queue, Told]:
        told, metrics, table = Told(), Metrics(), domains(domain(pool))
        deliverer = Deliverer(table, (told.listener,), metrics)
        return Queue(deliverer, table, metrics, directory=tmp_path), told

    pool = FakePool()
    queue, told = await opened(pool)
    answers: list[Any] = []
    only = domain(pool)
    for number in range(20):
        queue.put([(notification(number, accepted_at=time.time()), only)], answers.append)
    await eventually(lambda: len(answers) == 20)
    assert answers == [None] * 20
    await eventually(lambda: len(pool.requests) == 20)
    ids = {request.owner.notification.message_id: request.apns_id for request in pool.requests}
    for _ in range(5):
        pool.answer(DELIVERED)
    assert await queue.drain(0.01) >= 15
    await queue.close()
    second = FakePool()
    queue, told = await opened(second)
    await eventually(lambda: len(second.requests) == 15)
    for request in second.requests:
        assert ids[request.owner.notification.message_id] == request.apns_id
    while second.requests:
        second.answer(DELIVERED)
    assert len(told.ends) == 15
    await eventually(lambda: queue.queued == 0)
    await queue.close()


def test_an_operator_drops_what_was_taken_and_listeners_hear_it() -> None:
    bench = Bench()
    bench.stored(1, 2)
    bench.pool.answer(BUSY)
    bench.loop.run_until_idle()
    slot = bench.queue.slots[0]
    bench.queue.recall(slot, list(slot.active))
    found: list[Any] = []
    slot.store.take(list(range(100)), found.extend)
    bench.loop.run_until_idle()
    assert [one.entry.message_id for one in found] == ["m1", "m2"]
    assert bench.sent == []
    assert bench.queue.active == 0
    bench.queue.drop(slot, found[0], "alice: by mistake")
    bench.queue.drop(slot, found[1]._replace(entry=found[1].entry._replace(body=b"{}")), "alice")
    bench.loop.run_until_idle()
    assert bench.ends == [("m1", "Dropped")], "what cannot be read has no listener"
    assert (bench.queue.queued, bench.queue.active) == (0, 0)


def test_a_recall_leaves_what_was_sent_and_what_it_does_not_know() -> None:
    bench = Bench()
    bench.pool.withdrawable = False
    bench.stored(1)
    slot = bench.queue.slots[0]
    bench.queue.recall(slot, [*slot.active, 12345])
    assert bench.queue.active == 1
    bench.pool.answer(DELIVERED)
    assert bench.ends == [("m1", "")]


def test_what_is_held_while_it_is_sent_is_kept_should_the_attempt_fail() -> None:
    bench = Bench()
    bench.stored(1)
    slot = bench.queue.slots[0]
    for delivery in slot.active.values():
        assert isinstance(delivery.owner, Item)
        delivery.owner.hold = "alice: why"
    bench.pool.answer(BUSY)
    bench.loop.advance(8 * 24 * HOUR)
    assert bench.sent == []
    assert bench.queue.queued == 1
    found: list[Any] = []
    slot.store.page(Filter(held=True), None, 10, found.append)
    bench.loop.run_until_idle()
    assert found[0].kept[0].entry.hold == "alice: why"
    assert found[0].kept[0].entry.due == math.inf


def test_the_journal_hears_what_is_put_off_and_what_is_discarded() -> None:
    loop = FakeLoop()
    journal = Journal(None, loop, wall=lambda: 0.0)
    bench = Bench(loop=loop, journal=journal)
    bench.stored(1)
    bench.pool.answer(BUSY)
    bench.loop.run_until_idle()
    bench.swap(domain(bench.pool, options=DeliveryConfig(mode=DeliveryMode.BLACKHOLE)))
    bench.domain = domain(bench.pool, options=DeliveryConfig(mode=DeliveryMode.BLACKHOLE))
    bench.stored(2)
    loop.advance(HOUR)
    told = [
        (found["event"], found.get("reason"), found.get("due", 0.0) > 0)
        for name in ("m1", "m2")
        for found in asyncio.run(journal.trace(name))
    ]
    assert told == [
        ("deferred", "ServiceUnavailable", True),
        ("ended", "Blackhole", False),
        ("ended", "Blackhole", False),
    ]


def test_what_is_queued_for_a_domain_that_refuses_fails() -> None:
    bench = Bench()
    bench.stored(1)
    bench.pool.answer(BUSY)
    bench.loop.run_until_idle()
    bench.swap(domain(bench.pool, options=DeliveryConfig(mode=DeliveryMode.REFUSE)))
    bench.pool.held_until = float("inf")  # its routes do not matter any more
    bench.loop.advance(HOUR)
    assert bench.sent == []
    assert bench.ends == [("m1", "DomainRefused")]
    assert (bench.queue.queued, bench.queue.active) == (0, 0)


def test_what_this_release_cannot_read_is_held_and_stays() -> None:
    bench = Bench()
    bench.pool.held_until = float("inf")
    bench.stored(1)
    while bench.pool.requests:
        bench.pool.answer(local_outcome("ConnectFailed"))
    ((key, entry),) = bench.stores[0]._kept.items()  # type: ignore[attr-defined]
    bench.stores[0]._kept[key] = entry._replace(body=b'{"v":99}')  # type: ignore[attr-defined]
    bench.pool.held_until = 0.0
    bench.loop.advance(8 * 24 * HOUR)
    assert bench.sent == []
    assert bench.ends == []
    kept = bench.stores[0]._kept[key]  # type: ignore[attr-defined]
    assert kept.hold == UNREADABLE
