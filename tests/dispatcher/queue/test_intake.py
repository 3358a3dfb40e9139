from __future__ import annotations

from typing import Any

import pytest

from tests.dispatcher.delivery.support import DELIVERED, domain
from tests.dispatcher.queue.support import Bench
from tubepost_dispatcher.queue.batch import MOST
from tubepost_dispatcher.store.memory import MemoryStore
from tubepost_dispatcher.store.port import Failure, FailureKind


def puts_of(bench: Bench) -> list[int]:
    """How many entries each put to the store has from now on."""
    store, counts = bench.stores[0], list[int]()
    put = store.put

    def counted(entries: Any, *args: Any, **kwargs: Any) -> None:
        counts.append(len(entries))
        put(entries, *args, **kwargs)

    store.put = counted  # type: ignore[method-assign]
    return counts


def test_what_comes_in_one_turn_is_stored_together_and_answered_one_by_one() -> None:
    bench = Bench()
    counts = puts_of(bench)
    bench.put(1)
    bench.put(2, 3)
    bench.loop.run_until_idle()
    bench.put(4)
    bench.loop.run_until_idle()
    assert counts == [3, 1]
    assert bench.answers == [None] * 3
    assert bench.sent == ["m1", "m2", "m3", "m4"]


def test_no_more_are_answered_in_one_turn_than_is_fair_to_others() -> None:
    bench = Bench()
    window = bench.queue._feeder.lane(bench.queue.slots[0], bench.notification(0)).group.window
    window.size = 1_000
    counts = puts_of(bench)
    for number in range(MOST + 20):
        bench.put(number)
    bench.loop.run_until_idle()
    assert counts == [MOST, 20]
    assert len(bench.sent) == MOST + 20


def test_one_caller_s_fault_does_not_keep_the_others_from_hearing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()

    def fail(_: Failure | None) -> None:
        raise ArithmeticError

    for number, done in ((1, fail), (2, bench.answers.append)):
        bench.queue.put([(bench.notification(number), bench.domain)], done)
    bench.loop.run_until_idle()
    assert bench.answers == [None]
    assert bench.sent == ["m1", "m2"]
    assert "a callback failed" in caplog.text


def test_those_who_wait_hear_of_a_store_that_fails_in_its_own_way(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    def fail(*_: Any, **__: Any) -> None:
        raise ArithmeticError

    bench.stores[0].put = fail  # type: ignore[method-assign]
    bench.put(1)
    bench.loop.run_until_idle()
    (failure,) = bench.answers
    assert failure is not None
    assert failure.kind is FailureKind.FAILED
    assert bench.queue.active == 0
    assert "internal error" in caplog.text


def test_what_is_abandoned_is_removed_and_leaves_its_place() -> None:
    bench = Bench()
    putting, other = bench.put(1), bench.put(2)
    putting.abandon()
    bench.loop.run_until_idle()
    assert bench.answers == [None]
    assert bench.sent == ["m2"]
    assert (bench.queue.queued, bench.queue.active) == (1, 1)
    other.abandon()  # too late
    bench.pool.answer(DELIVERED)
    bench.loop.run_until_idle()
    assert (bench.queue.queued, bench.queue.active) == (0, 0)


@pytest.mark.parametrize("read_in_between", [False, True])
def test_what_is_abandoned_and_not_in_memory_is_removed_even_if_it_was_read(read_in_between: bool) -> None:
    bench = Bench()
    feeder, slot = bench.queue._feeder, bench.queue.slots[0]
    feeder._turns.most = 0
    bench.put(1).abandon()
    feeder._turns.most = 10
    if read_in_between:
        feeder.stored(feeder.lane(slot, bench.notification(1)), bench.wall())
        feeder._feed()
    bench.loop.run_until_idle()
    bench.loop.advance(100.0)
    assert bench.sent == []
    assert (bench.queue.queued, bench.queue.active) == (0, 0)
    assert bench.queue._intake.abandoned == set()
    bench.stored(2)
    assert bench.sent == ["m2"]


def test_what_was_checked_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    what = bench.notification(1)
    checked = bench.domain.check(what.push, bench.wall())
    resolved = list[object]()
    monkeypatch.setattr(
        "tubepost_dispatcher.delivery.deliverer.resolve", lambda *args, **_: resolved.append(args)
    )
    assert checked is not None
    bench.queue.put([(what, bench.domain)], bench.answers.append, [checked])  # type: ignore[list-item]
    bench.loop.run_until_idle()
    assert bench.sent == ["m1"]
    assert resolved == []


@pytest.mark.parametrize("case", ["later", "another domain"])
def test_what_was_checked_before_something_changed_is_checked_again(case: str) -> None:
    bench = Bench()
    what = bench.notification(1)
    checked = bench.domain.check(what.push, bench.wall() - (case == "later"))
    only = domain(bench.pool) if case == "another domain" else bench.domain
    bench.queue.put([(what, only)], bench.answers.append, [checked])  # type: ignore[list-item]
    bench.loop.run_until_idle()
    assert bench.sent == ["m1"]
    (request,) = bench.pool.requests
    headers = request.owner.headers
    assert headers is not None
    assert headers is not checked.headers  # type: ignore[union-attr]


async def test_what_came_before_the_end_is_in_the_store_s_hands() -> None:
    bench = Bench()
    bench.put(1)
    bench.queue._intake.close()
    bench.loop.run_until_idle()
    assert bench.answers == [None]
    assert bench.sent == []
    store = bench.stores[0]
    assert isinstance(store, MemoryStore)
    assert store._taken == set()  # a successor's
    bench.put(2)
    bench.loop.run_until_idle()
    assert bench.answers[1] is not None
