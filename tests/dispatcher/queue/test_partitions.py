from __future__ import annotations

import asyncio

import pytest

from tests.dispatcher.delivery.support import BUSY, DELIVERED
from tests.dispatcher.queue.support import Bench
from tubepost_dispatcher.notification import encode
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.store.memory import MemoryStore
from tubepost_dispatcher.store.port import Entry, FailureKind


def filled(bench: Bench, slot: int, *numbers: int) -> None:
    """What the worker of a slot left behind."""
    store = bench._store(slot)
    now = bench.wall()
    entries = [
        Entry(_body(bench, number), f"m{number}", "apn_example.com", "a@b.example", now, now, now + 1e6, 0)
        for number in numbers
    ]
    store.put(entries, lambda _: None, take=False)
    bench.loop.run_until_idle()


def _body(bench: Bench, number: int) -> bytes:
    return encode(bench.notification(number))


def closed(bench: Bench, slot: int) -> bool:
    failure = bench.stores[slot].figures.failure
    return failure is not None and failure.kind is FailureKind.CLOSED


def test_adopted_partitions_are_emptied_and_given_back() -> None:
    bench = Bench()
    filled(bench, 2, 1, 2)
    filled(bench, 3, 3)
    bench.queue.adopt([2, 3])
    bench.loop.run_until_idle()
    assert sorted(bench.sent) == ["m1", "m2", "m3"]
    assert sorted(bench.queue.partitions) == [0, 2, 3]
    bench.queue.adopt([3])
    bench.loop.run_until_idle()
    # What was not sent has gone back at once.
    assert bench.sent == ["m3"]
    assert closed(bench, 2)
    assert not closed(bench, 3)
    assert sorted(bench.queue.partitions) == [0, 3]
    assert bench.queue.own == 0


@pytest.mark.parametrize("outcome", [DELIVERED, BUSY])
def test_what_was_sent_comes_to_its_end_before_its_partition_is_given_back(outcome: Outcome) -> None:
    bench = Bench()
    filled(bench, 2, 1, 2)
    bench.queue.adopt([2])
    bench.loop.run_until_idle()
    bench.pool.withdrawable = False
    bench.queue.adopt([])
    bench.loop.run_until_idle()
    assert not closed(bench, 2)
    bench.pool.answer(outcome)
    bench.loop.run_until_idle()
    assert not closed(bench, 2)
    bench.pool.answer(DELIVERED)
    bench.loop.run_until_idle()
    assert closed(bench, 2)
    store = bench.stores[2]
    assert isinstance(store, MemoryStore)
    assert len(store._kept) == (0 if outcome is DELIVERED else 1)
    assert bench.queue.active == 0


def test_a_partition_that_comes_back_is_opened_anew() -> None:
    bench = Bench()
    filled(bench, 2, 1)
    for slots in ([2], [], [2]):
        bench.queue.adopt(slots)
        bench.loop.run_until_idle()
        if not slots:
            del bench.stores[2]
            filled(bench, 2, 1)
    assert bench.sent == ["m1"]


async def test_the_end_closes_what_is_being_given_back_too() -> None:
    bench = Bench()
    filled(bench, 2, 1)
    bench.queue.adopt([2])
    bench.loop.run_until_idle()
    bench.pool.withdrawable = False
    bench.queue.adopt([])
    closing = bench.queue.close()
    for store in bench.stores.values():
        assert isinstance(store, MemoryStore)
        store._loop = asyncio.get_running_loop()
    await closing
    assert closed(bench, 0)
    assert closed(bench, 2)


def test_nothing_is_put_before_the_partition_is_open() -> None:
    bench = Bench()
    assert bench.queue.failure is None
    bench.queue.slots[0].opened = False
    assert bench.queue.failure is not None
    assert bench.queue.failure.kind is FailureKind.LOCKED
