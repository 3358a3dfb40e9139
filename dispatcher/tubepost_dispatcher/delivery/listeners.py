"""Who is told what becomes of notifications, and what they are told."""

from __future__ import annotations

import asyncio
from typing import Protocol

from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.delivery.domain import Domain, Route
from tubepost_dispatcher.delivery.headers import RequestHeaders
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.follow_up import OutgoingMail
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome


class Delivery:
    """One notification while delivery has it. Others read it; only `Deliverer` changes it."""

    __slots__ = (
        "domain",
        "doubtful_sends",
        "end_at",
        "ended",
        "failed_routes",
        "follow_up",
        "headers",
        "instant_retries",
        "notification",
        "outcome",
        "owner",
        "policy",
        "push",
        "question",
        "request",
        "route",
        "started",
        "timer",
        "withdrawn",
    )

    def __init__(
        self,
        notification: Notification,
        domain: Domain,
        owner: DeliveryOwner,
        policy: RetryPolicy,
        end_at: float,
        now: float,
    ) -> None:
        self.notification = notification
        self.domain = domain
        self.owner = owner
        self.policy = policy
        self.end_at = end_at
        """Monotonic seconds at which no further attempt is begun."""
        self.started = now
        """Monotonic seconds."""
        self.route: Route | None = None
        """The route of the last attempt, or of the one to come."""
        self.headers: RequestHeaders | None = None
        self.outcome: Outcome | None = None
        """Of the last attempt, None before there is one."""
        self.doubtful_sends = 0
        """Attempts that APNs may have taken without our knowing, and those since."""
        self.ended = False
        self.failed_routes: tuple[str, ...] = ()
        self.follow_up: OutgoingMail | None = None
        """The mail that follows the end, instead of a report; set before listeners and owner hear of it."""
        self.instant_retries = 0
        self.push = notification.push
        """What is sent: the notification's, unless a hook has changed it for the attempt at hand."""
        self.question: PendingQuestion | None = None
        """Set while it waits for hooks."""
        self.request: ApnsRequest[Delivery] | None = None
        self.timer: asyncio.TimerHandle | None = None
        """Set while it waits for its turn or for another attempt."""
        self.withdrawn = False
        """The owner wants no further attempt; the one that is under way may still come to its outcome."""

    def move_to(self, name: str) -> None:
        """Begin anew for another domain, once in the notification's life."""
        notification = self.notification
        notification.domain, notification.rerouted = name, True
        self.push = notification.push
        self.route = self.headers = self.outcome = self.request = None
        self.failed_routes = ()
        self.doubtful_sends = self.instant_retries = 0


class PendingQuestion(Protocol):
    """Of a delivery to the hooks of a policy, while it is not answered."""

    @property
    def unsent(self) -> bool:
        """Whether the delivery is to be sent after the answer; else it was sent."""

    def give_up(self, why: str) -> None:
        """Go on at once, as after a fault of the hooks."""

    def withdraw(self) -> None:
        """Whoever takes the delivery back goes on with it; the answer is of no use any more."""


class DeliveryOwner(Protocol):
    """Whoever handed a notification over. Called on the event loop, last of all: `ended` or `deferred`."""

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        """Delivered, failed for good, or given up."""

    def deferred(self, delivery: Delivery, outcome: Outcome, at: float) -> None:
        """Failed for now, and the next attempt at `at` (monotonic seconds) is too far off to wait for here.

        Delivery has forgotten the notification, whose `attempt` is up to date: whoever owns it hands it over
        again at that time.
        """


class DeliveryListener(Protocol):
    """Told of every attempt and of every end; decides nothing. Called on the event loop; must not block."""

    def attempted(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        """An attempt came to an outcome; `now` in monotonic seconds."""

    def ended(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        """The end, told once; `outcome is delivery.outcome` where the last attempt was it."""
