from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tubepost_api.config import Throttle
from tubepost_dispatcher.pod_limits.bucket import TokenBucket


def test_a_burst_leaves_at_once_and_the_rest_in_turn() -> None:
    bucket = TokenBucket(Throttle(messages=3, seconds=3.0))
    turns = [bucket.reserve(100.0, 1000.0) for _ in range(5)]
    assert turns == [100.0, 100.0, 100.0, 101.0, 102.0]


def test_what_would_come_too_late_reserves_nothing() -> None:
    bucket = TokenBucket(Throttle(messages=1, seconds=10.0))
    assert bucket.reserve(0.0, 5.0) == 0.0
    assert bucket.reserve(0.0, 5.0) == -1.0
    assert bucket.reserve(0.0, 10.0) == 10.0


@given(
    messages=st.integers(1, 50),
    seconds=st.floats(0.1, 60.0),
    gaps=st.lists(st.floats(0.0, 5.0), min_size=1, max_size=150),
)
def test_no_window_holds_more_than_twice_the_limit_and_turns_never_go_back(
    messages: int, seconds: float, gaps: list[float]
) -> None:
    bucket = TokenBucket(Throttle(messages=messages, seconds=seconds))
    now, turns = 0.0, []
    for gap in gaps:
        now += gap
        turn = bucket.reserve(now, float("inf"))
        assert turn >= now
        turns.append(turn)
    assert turns == sorted(turns)
    # A bucket of that size that refills at that rate: size + rate * window.
    for start in turns:
        inside = sum(start <= turn < start + seconds * 0.999 for turn in turns)
        assert inside <= 2 * messages
