from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.delivery.retry import INSTANT_RETRIES, RetryPolicy, next_attempt
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import local_outcome

BUSY = Outcome(OutcomeKind.TRANSIENT, "ServiceUnavailable", 503)
POLICY = RetryPolicy(first=10.0, most=100.0)


def decide(outcome: Outcome = BUSY, policy: RetryPolicy = POLICY, **changes: float) -> float | None:
    return next_attempt(
        policy,
        outcome,
        attempt=int(changes.get("attempt", 1)),
        instant_retries=int(changes.get("instant_retries", 0)),
        another_route=bool(changes.get("another_route", False)),
        end_at=changes.get("end_at", 10_000.0),
        now=1_000.0,
        chance=changes.get("chance", 0.5),
    )


def test_waits_double_up_to_the_most() -> None:
    waits = [(decide(attempt=attempt) or 0.0) - 1_000.0 for attempt in range(1, 8)]
    assert waits == [10.0, 20.0, 40.0, 80.0, 100.0, 100.0, 100.0]
    assert decide(attempt=1_000_000) == 1_100.0


@given(st.integers(1, 10_000), st.floats(0.0, 1.0))
def test_jitter_stays_within_half_of_the_wait(attempt: int, chance: float) -> None:
    base = POLICY.wait(attempt, 0.5)
    assert 0.5 * base <= POLICY.wait(attempt, chance) <= 1.5 * base


def test_nothing_fits_after_the_end() -> None:
    assert decide(end_at=1_010.0) is None
    assert decide(end_at=1_010.1) == 1_010.0


def test_attempts_can_be_limited() -> None:
    policy = RetryPolicy(first=1.0, most=1.0, max_attempts=3)
    assert decide(policy=policy, attempt=2) is not None
    assert decide(policy=policy, attempt=3) is None


def test_a_mended_cause_is_tried_at_once_a_few_times() -> None:
    mended = local_outcome("ConnectionLost", retry_at_once=True)
    for instant in range(INSTANT_RETRIES):
        assert decide(mended, instant_retries=instant) == 1_000.0
    assert decide(mended, instant_retries=INSTANT_RETRIES) == 1_010.0


def test_another_route_is_tried_at_once_and_a_hold_is_waited_for() -> None:
    held = local_outcome("RouteHeld", held_until=1_500.0)
    assert decide(held, another_route=True) == 1_000.0
    assert decide(held) == 1_500.0
    assert decide(local_outcome("RouteHeld", held_until=1_001.0)) == 1_010.0
    assert decide(held, end_at=1_400.0) is None


@pytest.mark.parametrize("reason", ["Suspended", "Throttled", "DomainGone"])
def test_what_was_not_attempted_waits_in_queues_only(reason: str) -> None:
    assert decide(local_outcome(reason)) is None
    queue = RetryPolicy(first=10.0, most=100.0, queued=True)
    assert decide(local_outcome(reason), queue, attempt=0) == 1_010.0


def test_who_waits_is_told_at_once_that_the_only_route_is_silent() -> None:
    silent = local_outcome("RouteSilent", held_until=1_002.0)
    assert decide(silent) is None
    assert decide(silent, another_route=True) == 1_000.0
    assert decide(silent, RetryPolicy(first=10.0, most=100.0, queued=True)) == 1_010.0


def test_what_a_device_is_to_wait_for_is_waited_for() -> None:
    busy = Outcome(OutcomeKind.TRANSIENT, "TooManyRequests", 429, held_until=1_060.0)
    assert decide(busy) == 1_060.0
    assert decide(busy, end_at=1_050.0) is None
