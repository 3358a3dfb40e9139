from __future__ import annotations

from typing import Any

import pytest

from tests.support.loop import FakeLoop
from tubepost_api.config import QueueConfig
from tubepost_dispatcher.queue.bounds import BoundedQueue, Bounds
from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.store.port import Failure, FailureKind, Figures


class FakeStore:
    def __init__(self, figures: Figures) -> None:
        self.figures = figures


class FakeQueue:
    """Takes everything, and never answers."""

    def __init__(self, *figures: Figures) -> None:
        stores: list[Any] = [FakeStore(one) for one in figures]
        self.slots = {number: Slot(number, store) for number, store in enumerate(stores)}
        self.taken: list[Any] = []

    def put(self, items: Any, done: Any, checked: Any = ()) -> Any:
        del checked
        self.taken.append((items, done))
        return "putting"

    def take_over(self, delivery: Any, outcome: Any, done: Any) -> Any:
        self.taken.append((delivery, outcome, done))
        return None


@pytest.mark.parametrize(
    ("config", "workers", "bounds"),
    [
        (None, 4, Bounds()),
        (QueueConfig(persistent=True), 4, Bounds()),
        (QueueConfig(persistent=True, max_messages=10, max_bytes=7), 1, Bounds(10, 7)),
        (QueueConfig(persistent=True, max_messages=10, max_bytes=7), 4, Bounds(3, 2)),
        (QueueConfig(persistent=True, max_messages=1, max_bytes=1), 64, Bounds(1, 1)),
    ],
)
def test_a_share_is_rounded_up(config: QueueConfig | None, workers: int, bounds: Bounds) -> None:
    assert Bounds.of(config, workers) == bounds


@pytest.mark.parametrize(
    ("bounds", "more", "word"),
    [
        (Bounds(), 1_000_000, ""),
        (Bounds(notifications=12), 5, ""),
        (Bounds(notifications=12), 6, "maxMessages"),
        (Bounds(size=91), 1_000_000, ""),
        (Bounds(size=90), 1, "maxSize"),
    ],
)
def test_all_partitions_count_and_unused_space_does_not(bounds: Bounds, more: int, word: str) -> None:
    figures = [Figures(size=100, unused=30, entries=3), Figures(size=20, entries=4)]
    failure = bounds.exceeded(figures, more)
    assert (failure is not None) is bool(word)
    if failure is not None:
        assert failure.kind is FailureKind.FULL
        assert word in failure.text


def bench(limit: int) -> tuple[FakeLoop, FakeQueue, BoundedQueue]:
    loop, queue = FakeLoop(), FakeQueue(Figures(entries=2))
    return loop, queue, BoundedQueue(queue, Bounds(notifications=limit), loop)


def test_what_fits_is_the_queues() -> None:
    _, queue, bounded = bench(3)
    items: Any = ["item"]
    assert bounded.put(items, print) == "putting"  # type: ignore[comparison-overlap]
    assert queue.taken == [(items, print)]


def test_what_does_not_is_told_later_and_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    loop, queue, bounded = bench(2)
    told: list[Failure | None] = []
    items: Any = ["item"]
    bounded.put(items, told.append)
    bounded.put(items, told.append)
    assert told == []
    loop.run_until_idle()
    assert [failure.kind for failure in told if failure] == [FailureKind.FULL] * 2
    bounded.bounds = Bounds(notifications=3)
    bounded.put(items, told.append)
    assert len(queue.taken) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "answered 452" in caplog.text


def test_nobody_is_told_who_has_gone() -> None:
    loop, _, bounded = bench(2)
    told: list[Any] = []
    items: Any = ["item"]
    bounded.put(items, told.append).abandon()
    loop.run_until_idle()
    assert told == []


def test_what_direct_acceptance_hands_over_is_bounded_too() -> None:
    loop, answers = FakeLoop(), []
    queue = FakeQueue(Figures(entries=4))
    bounded = BoundedQueue(queue, Bounds(notifications=5), loop)
    delivery: Any = "delivery"
    outcome: Any = "outcome"
    assert bounded.take_over(delivery, outcome, answers.append) is None
    bounded.bounds = Bounds(notifications=4)
    assert bounded.take_over(delivery, outcome, answers.append) is not None
    loop.run_until_idle()
    assert len(queue.taken) == 1
    assert [one.kind for one in answers if one is not None] == [FailureKind.FULL]


def test_what_was_full_takes_some_again_only_when_there_is_room_for_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop, queue, bounded = bench(100)
    store = queue.slots[0].store
    answers: list[Any] = []
    taken = []
    for entries in (99, 100, 99, 96, 95, 94, 98, 100, 94):
        store.figures = Figures(entries=entries)  # type: ignore[misc]
        before = len(queue.taken)
        bounded.put(["item"], answers.append)  # type: ignore[list-item]
        loop.run_until_idle()
        taken.append(len(queue.taken) > before)
    assert taken == [True, False, False, False, False, True, True, False, True]
    assert sum("answered 452" in record.message for record in caplog.records) == 2


def test_one_for_many_does_not_close_it_for_the_others() -> None:
    loop, queue, bounded = bench(100)
    queue.slots[0].store.figures = Figures(entries=97)  # type: ignore[misc]
    answers: list[Any] = []
    bounded.put(["item"] * 50, answers.append)  # type: ignore[list-item]
    loop.run_until_idle()
    assert isinstance(answers[0], Failure)
    bounded.put(["item"], answers.append)  # type: ignore[list-item]
    assert len(queue.taken) == 1


def test_a_queue_of_one_recovers() -> None:
    loop, queue, bounded = bench(1)
    answers: list[Any] = []
    for entries in (1, 0):
        queue.slots[0].store.figures = Figures(entries=entries)  # type: ignore[misc]
        bounded.put(["item"], answers.append)  # type: ignore[list-item]
        loop.run_until_idle()
    assert len(answers) == len(queue.taken) == 1
