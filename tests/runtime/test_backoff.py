from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_runtime.backoff import Backoff, Exponential


def test_delays_grow_to_their_limit() -> None:
    delays = Exponential(0.5, 8.0)
    assert [delays.delay(failures) for failures in (1, 2, 3, 4, 5, 6, 7, 10**6)] == [
        0.5,
        1.0,
        2.0,
        4.0,
        8.0,
        8.0,
        8.0,
        8.0,
    ]
    assert Exponential(1.0, 100.0, factor=3.0).delay(3) == 9.0


@pytest.mark.parametrize(("drawn", "delay"), [(0.0, 1.0), (0.5, 2.0), (1.0, 3.0)])
def test_jitter(drawn: float, delay: float) -> None:
    assert Exponential(1.0, 10.0, jitter=(0.5, 1.5)).delay(2, lambda: drawn) == delay


@given(
    failures=st.integers(1, 10**9),
    first=st.floats(0.001, 10),
    factor=st.floats(1, 10),
    low=st.floats(0, 1),
    high=st.floats(1, 2),
    drawn=st.floats(0, 1),
)
def test_no_delay_is_out_of_bounds(
    failures: int, first: float, factor: float, low: float, high: float, drawn: float
) -> None:
    delays = Exponential(first, 300.0, factor, (low, high))
    delay = delays.delay(failures, lambda: drawn)
    assert first * low * 0.999 <= delay <= 300.0 * high * 1.001


def test_a_success_forgets_all_failures() -> None:
    backoff = Backoff(Exponential(0.25, 30.0, jitter=(0.1, 1.0)), lambda: 1.0)
    assert (backoff.failures, backoff.until) == (0, 0.0)
    assert [backoff.failure(10.0), backoff.failure(20.0)] == [0.25, 0.5]
    assert (backoff.failures, backoff.until) == (2, 20.5)
    backoff.success()
    assert (backoff.failures, backoff.until) == (0, 0.0)
    assert backoff.failure(30.0) == 0.25
