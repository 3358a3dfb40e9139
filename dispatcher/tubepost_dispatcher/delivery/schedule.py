"""When a queue tries a notification again, and when it gives up. Pure: the time and the chance are arguments.

Delivery makes the repetitions that make sense at once (another route, a new connection) and defers the rest
to the queue, which goes by this schedule: hours and days, where `retry` knows seconds. Times are unix
seconds, since they outlive a process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tubepost_api.config import DeliveryConfig
from tubepost_dispatcher.delivery.retry import RetryPolicy, next_attempt
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome

APPLE_PAUSE: Final = 900.0
"""Seconds after a 500 or 503 before which Apple does not want to see the request again: 15 minutes, longer
with every failure (Apple's page "Handling notification responses from APNs")."""
_KEPT: Final = frozenset({"Suspended", "DomainGone"})
"""Nothing was attempted: what keeps it ends by a change of the configuration, and then it is due."""
_BUSY: Final = frozenset({500, 503})


@dataclass(frozen=True, slots=True)
class Schedule:
    """The queue's patience with one notification, in Momentum's terms. Durations in seconds.

    The wait before a repetition starts at `retry_interval` and doubles up to `max_retry_interval`; each is
    multiplied by 0.5 to 1.5. `max_retries` None: as many as fit before `message_expiration` (Momentum's
    `auto`); 0: none. `message_expiration` counts from acceptance.
    """

    retry_interval: float = 1_200.0
    max_retry_interval: float = 43_200.0
    max_retries: int | None = None
    message_expiration: float = 604_800.0

    @classmethod
    def of(cls, options: DeliveryConfig) -> Schedule:
        """The one that a domain's options ask for."""
        return cls(
            options.retry_interval,
            options.max_retry_interval,
            options.max_retries,
            options.message_expiration,
        )

    def policy(self) -> RetryPolicy:
        """For delivery: repeat at once what makes sense at once, and hand back everything else."""
        return RetryPolicy(
            first=self.retry_interval,
            most=self.max_retry_interval,
            max_attempts=0 if self.max_retries is None else self.max_retries + 1,
            in_memory=0.0,
            queued=True,
        )

    def expires(self, notification: Notification) -> float:
        """When it is to end as expired: by our own patience, or since its `apns-expiration` has passed.

        An `apns-expiration` of 0 tells Apple not to keep the notification. It does not shorten our patience.
        """
        end = notification.accepted_at + self.message_expiration
        return min(end, float(notification.push.expiration)) if notification.push.expiration else end


def due_again(outcome: Outcome, wait: float, *, now: float, expires: float, chance: float) -> float | None:
    """Decide on a notification that delivery has deferred.

    Args:
        outcome: what the last attempt came to.
        wait: seconds that delivery wants to wait (`at - now` of `deferred`): the policy's, with its jitter,
            or longer where APNs asked for that (Retry-After) or the route takes nothing.
        now: unix seconds.
        expires: unix seconds, of `Schedule.expires`.
        chance: a random number from 0.0 to 1.0.

    Returns:
        When it is due, unix seconds, or None: it expires first, and ends now.
    """
    if outcome.status in _BUSY:
        # Spread, lest all that a busy APNs refused come back together.
        wait = max(wait, APPLE_PAUSE * (1.0 + chance / 2))
    due = now + wait
    return due if due < expires else None


def taken_over(
    policy: RetryPolicy, outcome: Outcome, clock: float, now: float, expires: float, chance: float
) -> float | None:
    """When a notification is due that was tried while its sender waited: those attempts count as one.

    Args:
        policy: of the schedule.
        outcome: what the last attempt came to, or why there was none.
        clock: monotonic seconds, as those in an outcome are.
        now: unix seconds.
        expires: unix seconds, of `Schedule.expires`.
        chance: a random number from 0.0 to 1.0.

    Returns:
        Unix seconds, or None: there is no further attempt before it expires.
    """
    if outcome.reason in _KEPT:
        return now if now < expires else None
    at = next_attempt(
        policy,
        outcome,
        attempt=1,
        instant_retries=0,
        another_route=False,
        end_at=math.inf,
        now=clock,
        chance=chance,
    )
    return None if at is None else due_again(outcome, at - clock, now=now, expires=expires, chance=chance)
