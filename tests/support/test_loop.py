from __future__ import annotations

import pytest

from tests.support.loop import FakeLoop


def test_a_turn_runs_what_was_due_when_it_began() -> None:
    loop, seen = FakeLoop(), []

    def first() -> None:
        seen.append("first")
        loop.call_soon(seen.append, "next turn")

    loop.call_soon(first)
    loop.call_later(0.5, seen.append, "later")
    assert loop.turn() == 1
    assert seen == ["first"]
    loop.run_until_idle()
    assert seen == ["first", "next turn"]


def test_time_passes_from_timer_to_timer() -> None:
    loop, seen = FakeLoop(now=10.0), []
    loop.call_later(2.0, lambda: seen.append(loop.time()))
    loop.call_at(11.0, lambda: loop.call_later(0.5, lambda: seen.append(loop.time())))
    loop.call_later(4.0, lambda: seen.append(loop.time()))
    loop.advance(3.0)
    assert (seen, loop.now) == ([11.5, 12.0], 13.0)


def test_a_cancelled_timer_does_not_run() -> None:
    loop, seen = FakeLoop(), []
    loop.call_later(1.0, seen.append, "cancelled").cancel()
    loop.call_later(1.0, seen.append, "kept")
    loop.advance(1.0)
    assert (seen, loop.timers) == (["kept"], [])


def test_an_exception_in_a_callback_is_the_tests() -> None:
    loop = FakeLoop()
    loop.call_soon(int, "not a number")
    with pytest.raises(ValueError, match="not a number"):
        loop.turn()
