"""Delivery without any listener in front: pools, domains and notifications made by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.loop import FakeLoop
from tubepost_api.config import DeliveryConfig, EntryConfig, RouteDefaults
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Domain, Domains, Route
from tubepost_dispatcher.delivery.headers import RouteFacts
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.domain_lookup import DomainLookup
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import Notification, PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind

NAME = "apn_example.com"
DELIVERED = Outcome(OutcomeKind.DELIVERED, status=200, apns_id="11111111-2222-4333-8444-555555555555")
BUSY = Outcome(OutcomeKind.TRANSIENT, "ServiceUnavailable", status=503)
DEAD = Outcome(OutcomeKind.PERMANENT, "Unregistered", status=410, timestamp=1_700_000_000_000)
FACTS = RouteFacts(frozenset(), "com.example.app", "token", RouteDefaults())


@dataclass
class FakePool:
    """A pool that keeps what it is given."""

    requests: list[ApnsRequest[Any]] = field(default_factory=list)
    held_until: float = 0.0
    withdrawable: bool = True

    def submit(self, request: ApnsRequest[object]) -> None:
        self.requests.append(request)

    def withdraw(self, request: ApnsRequest[object]) -> bool:
        if self.withdrawable:
            self.requests.remove(request)
        return self.withdrawable

    def answer(self, outcome: Outcome) -> None:
        request = self.requests.pop(0)
        request.on_outcome(request, outcome)


def domain(
    *pools: FakePool, facts: RouteFacts | None = FACTS, options: DeliveryConfig | None = None
) -> Domain:
    routes = [Route(f"route{number}", pool, facts) for number, pool in enumerate(pools)]
    return Domain(options or DeliveryConfig(), routes)


def domains(only: Domain | None) -> Domains:
    if only is None:
        return Domains(DomainLookup(()), ())
    routes = tuple(route.name for route in only.routes)
    entry = EntryConfig(name=NAME, routes=routes, delivery=only.options)
    return Domains(DomainLookup((entry,)), (only,))


def notification(number: int = 1, **values: Any) -> Notification:
    push = values.pop("push", None) or PushPart(b"ab" * 32, b'{"aps":{}}')
    name = values.pop("domain", NAME)
    return Notification(
        push,
        b"00000000-0000-4000-8000-%012d" % number,
        f"m{number}",
        values.pop("sender", "a@b.example"),
        f"s@{name}",
        name,
        **values,
    )


class Told:
    """A listener, and an owner, that keep what they are told."""

    def __init__(self) -> None:
        self.attempts: list[tuple[str, str]] = []
        self.ends: list[tuple[str, str]] = []
        self.owner_ends: list[tuple[Notification, Outcome]] = []
        self.deferrals: list[tuple[Notification, Outcome, float]] = []

    @property
    def listener(self) -> Listener:
        return Listener(self)

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        self.owner_ends.append((delivery.notification, outcome))

    def deferred(self, delivery: Delivery, outcome: Outcome, at: float) -> None:
        self.deferrals.append((delivery.notification, outcome, at))


class Listener:
    def __init__(self, told: Told) -> None:
        self.told = told

    def attempted(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        self.told.attempts.append((delivery.notification.message_id, outcome.reason))

    def ended(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        self.told.ends.append((delivery.notification.message_id, outcome.reason))


POLICY = RetryPolicy(first=1.0, most=8.0)


class Bench:
    """A deliverer whose time, pools and owner are the test's."""

    def __init__(self, only: Domain | None = None, pools: int = 1) -> None:
        self.loop = FakeLoop()
        self.told = Told()
        self.pools = [FakePool() for _ in range(pools)]
        self.domain = only or domain(*self.pools)
        self.deliverer = self.made()

    def made(self) -> Deliverer:
        return Deliverer(
            domains(self.domain),
            (self.told.listener,),
            Metrics(),
            loop=self.loop,
            clock=lambda: self.loop.now,
            wall=lambda: 1_800_000_000.0,
            chance=lambda: 0.5,
        )

    def deliver(
        self, what: Notification | None = None, policy: RetryPolicy = POLICY, seconds: float = 60.0
    ) -> Delivery:
        delivery, outcome = self.deliverer.prepare(
            what or notification(), self.domain, self.told, policy, self.loop.now, self.loop.now + seconds
        )
        if outcome is None:
            self.deliverer.start(delivery)
        else:
            self.deliverer.settle(delivery, outcome)
        return delivery
