"""Slow start: one probe, then doubling; halving once for each round that failed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.queue.window import LEAST, MOST, START, Window


def test_it_starts_small_and_doubles_with_each_round_while_it_is_used() -> None:
    window = Window()
    window.restart(0.0)
    assert (window.size, window.probing) == (1, True)
    window.limits = True
    sizes = []
    for _ in range(6):
        for _ in range(window.size):
            window.succeeded()
        sizes.append(window.size)
    assert sizes == [2, 4, 8, 16, 32, 64]
    assert not window.probing


def test_it_does_not_grow_while_it_is_not_used() -> None:
    window = Window()
    for _ in range(100):
        window.succeeded()
    assert window.size == START


def test_a_round_that_fails_halves_it_once() -> None:
    window = Window()
    for _ in range(100):
        window.failed(started=5.0, now=10.0)
    assert window.size == START / 2
    for _ in range(100):
        window.failed(started=11.0, now=12.0)
    assert window.size == START / 4


@given(st.lists(st.tuples(st.sampled_from("sfr"), st.integers(0, 20_000)), max_size=300))
def test_it_stays_within_its_bounds(events: list[tuple[str, int]]) -> None:
    window, now = Window(), 0.0
    for what, active in events:
        now += 1.0
        window.limits = bool(active % 2)
        if what == "s":
            window.succeeded()
        elif what == "f":
            window.failed(now - active / 1e4, now)
        else:
            window.restart(now)
        assert LEAST <= window.size <= MOST
