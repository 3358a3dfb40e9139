"""When a notification that failed for now is tried again. Pure: the time and the chance are arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tubepost_dispatcher.outcome import Outcome
from tubepost_runtime.backoff import Exponential

INSTANT_RETRIES: Final = 2
"""Repetitions at once of one notification, where the cause is mended (a new token, a new connection)."""

DOUBTFUL_SENDS: Final = 2
"""Times that a notification is sent, from the first whose answer was lost, while somebody waits for it."""

_NOT_NOW: Final = frozenset({"Suspended", "Throttled", "DomainGone", "PolicyFailed"})
"""No attempt within seconds would come to anything else."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient delivery is with one notification. Durations in seconds.

    `first` is the wait before the first repetition; it doubles up to `most` (Momentum's `retry_interval` and
    `max_retry_interval`). Each wait is multiplied by 0.5 to 1.5, lest the messages of an outage come back
    together. `max_attempts` 0: any number. `in_memory`: a longer wait is not delivery's to sit out, the
    notification is handed back to its owner. `queued`: nobody waits for an answer, so what is suspended,
    throttled or without a domain waits like what failed; else it ends, for the sender to repeat. `hand_back`:
    what failed for now and is not tried again is the owner's to keep, not ended.
    """

    first: float
    most: float
    max_attempts: int = 0
    in_memory: float = float("inf")
    queued: bool = False
    hand_back: bool = False

    def wait(self, attempt: int, chance: float) -> float:
        """Seconds after the failed attempt `attempt` (from 1); `chance` from 0.0 to 1.0 picks the jitter."""
        return Exponential(self.first, self.most, jitter=(0.5, 1.5)).delay(max(attempt, 1), lambda: chance)


def next_attempt(
    policy: RetryPolicy,
    outcome: Outcome,
    *,
    attempt: int,
    instant_retries: int,
    another_route: bool,
    end_at: float,
    now: float,
    chance: float,
) -> float | None:
    """Decide on a transient failure.

    Args:
        policy: how patient to be.
        outcome: what the last attempt came to.
        attempt: attempts made so far.
        instant_retries: how many of the repetitions were made at once because the cause was mended.
        another_route: whether a route that has not failed is open.
        end_at: monotonic seconds at which there is no sense in another attempt.
        now: monotonic seconds.
        chance: a random number from 0.0 to 1.0.

    Returns:
        When to try again, monotonic seconds (`now`: at once), or None: no attempt fits, this was the end.
    """
    if policy.max_attempts and attempt >= policy.max_attempts:
        return None
    if outcome.reason == "RouteSilent" and not policy.queued and not another_route:
        return None  # whoever waits is told at once; probes find out when it answers again
    if outcome.reason in _NOT_NOW:
        if not policy.queued:
            return None
        delay = policy.wait(attempt, chance)
    elif (outcome.retry_at_once and instant_retries < INSTANT_RETRIES) or another_route:
        delay = 0.0
    else:
        delay = policy.wait(attempt, chance)
        if outcome.held_until > now:
            delay = max(delay, outcome.held_until - now)
    at = now + delay
    return None if at >= end_at else at
