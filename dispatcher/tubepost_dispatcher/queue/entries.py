"""What a domain entry is while running: its options, and its routes with their pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tubepost_api.config import DeliveryConfig, DispatcherConfig
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.mcmt.resolve import RouteFacts
from tubepost_dispatcher.queue.throttle import TokenBucket
from tubepost_dispatcher.routing import Router


class RequestSink(Protocol):
    """The part of a pool that acceptance needs."""

    @property
    def held_until(self) -> float:
        """Monotonic seconds until which requests are refused; 0.0 when the route takes them."""

    def submit(self, request: ApnsRequest[object]) -> None:
        """Take a request; its `on_outcome` follows, once, not from inside this call."""

    def withdraw(self, request: ApnsRequest[object]) -> bool:
        """Take a request back that was not sent; False when it is too late."""


class RouteRuntime:
    """A route as one entry sees it: where requests go, and what is checked before they go.

    `facts` None: the route's credential could not be read, so nothing can be checked or sent.
    """

    __slots__ = ("facts", "name", "pool")

    def __init__(self, name: str, pool: RequestSink, facts: RouteFacts | None) -> None:
        self.name = name
        self.pool = pool
        self.facts = facts


class EntryRuntime:
    """A domain entry: delivery options, routes in order, throttle."""

    __slots__ = ("delivery", "label", "routes", "throttle")

    def __init__(
        self,
        label: str,
        delivery: DeliveryConfig,
        routes: Sequence[RouteRuntime],
        throttle: TokenBucket | None,
    ) -> None:
        self.label = label
        self.delivery = delivery
        self.routes = tuple(routes)
        self.throttle = throttle


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One configuration in force: swapped as a whole, between two transactions."""

    config: DispatcherConfig
    router: Router
    entries: tuple[EntryRuntime, ...]
    relay_auth: tuple[str, str] | None

    def entry_for(self, domain: str) -> EntryRuntime | None:
        """The entry that serves a recipient domain."""
        index = self.router.lookup(domain)
        return None if index is None else self.entries[index]
