from __future__ import annotations

from tests.support.loop import FakeLoop
from tubepost_dispatcher.acceptance.deadlines import LATE, Deadlines


def watch(loop: FakeLoop, expired: list[str]) -> Deadlines[str]:
    return Deadlines(loop, lambda: loop.now, expired.append)


def test_items_expire_one_after_the_other_unless_they_are_dropped() -> None:
    loop, expired = FakeLoop(), list[str]()
    deadlines = watch(loop, expired)
    for number in range(5):
        deadlines.add(f"item{number}", loop.now + 10.0 + number)
    deadlines.drop("item1")
    deadlines.drop("never added")
    loop.advance(10.0 + LATE / 2)
    assert expired == []
    loop.advance(2.0 + LATE)
    assert expired == ["item0", "item2"]
    assert len(deadlines) == 2
    loop.advance(10.0)
    assert expired == ["item0", "item2", "item3", "item4"]
    assert (len(deadlines), loop.timers) == (0, [])


def test_one_timer_serves_them_all() -> None:
    loop, expired = FakeLoop(), list[str]()
    deadlines = watch(loop, expired)
    for number in range(1_000):
        deadlines.add(f"item{number}", loop.now + 10.0)
        deadlines.drop(f"item{number}")
    assert len(loop.timers) == 1
    loop.advance(20.0)
    assert expired == []
    deadlines.add("later", loop.now + 1.0)
    loop.advance(2.0)
    assert expired == ["later"]


def test_a_shortened_deadline_behind_a_longer_one_expires_with_that() -> None:
    loop, expired = FakeLoop(), list[str]()
    deadlines = watch(loop, expired)
    deadlines.add("long", loop.now + 10.0)
    deadlines.add("short", loop.now + 1.0)
    loop.advance(9.0)
    assert expired == []
    loop.advance(2.0)
    assert expired == ["long", "short"]
