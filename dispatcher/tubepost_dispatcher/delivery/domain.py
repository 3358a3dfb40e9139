"""What a domain is while running: its options, and its routes with their pools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from tubepost_api.config import DeliveryConfig
from tubepost_api.config_relay import BounceConfig
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.delivery.headers import RequestHeaders, RouteFacts, resolve
from tubepost_dispatcher.domain_lookup import DomainLookup
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.pod_limits.interface import Bucket


class RequestSink(Protocol):
    """The part of a pool that delivery needs."""

    @property
    def held_until(self) -> float:
        """Monotonic seconds until which another route should be taken; 0.0 when this one takes requests."""

    def submit(self, request: ApnsRequest[object]) -> None:
        """Take a request; its `on_outcome` follows, once, not from inside this call."""

    def withdraw(self, request: ApnsRequest[object]) -> bool:
        """Take a request back that was not sent; False when it is too late."""


class Route:
    """A route as one domain sees it: where requests go, and what is checked before they go.

    `facts` None: the route's credential could not be read, so nothing can be checked or sent. `host` is the
    name of APNs' side, for reports.
    """

    __slots__ = ("facts", "host", "name", "pool")

    def __init__(self, name: str, pool: RequestSink, facts: RouteFacts | None, host: str = "") -> None:
        self.name = name
        self.pool = pool
        self.facts = facts
        self.host = host


class Domain:
    """A domain, or a pattern of domains, of the PushDomain: options, routes in order, throttle.

    `bounces` None: which reports its senders get is not known.
    """

    __slots__ = ("bounces", "options", "routes", "throttle")

    def __init__(
        self,
        options: DeliveryConfig,
        routes: Sequence[Route],
        throttle: Bucket | None = None,
        bounces: BounceConfig | None = None,
    ) -> None:
        self.options = options
        self.bounces = bounces
        self.routes = tuple(routes)
        self.throttle = throttle

    def check(self, part: PushPart, now: float) -> Checked | Outcome | None:
        """Whether a part can be sent as it is, or the outcome that says why it never can.

        None: that cannot be told at present. `now` in unix seconds.

        The routes are of one environment and topic: what the first says that has a credential holds for all.
        """
        for route in self.routes:
            if route.facts is not None:
                second = int(now)
                found = resolve(part, route.facts, now=second, expiry=self.options.expiry)
                if isinstance(found, Outcome):
                    return found
                return _checked_of((self, route.facts, second, found))
        return None


class Checked(NamedTuple):
    """A part can be sent: what it is sent with, as long as all this is so."""

    domain: Domain
    facts: RouteFacts
    second: int
    """Of the check, in unix time."""
    headers: RequestHeaders

    def holds(self, domain: Domain, facts: RouteFacts, second: int) -> bool:
        """Whether a check would find the same again."""
        return self.second == second and self.facts is facts and self.domain is domain


_checked_of: Final[Callable[[tuple[Domain, RouteFacts, int, RequestHeaders]], Checked]] = partial(
    tuple.__new__, Checked
)
"""As `Checked(...)`, at a third of the cost: this is done for every message of a queue."""


NO_ENTRY: Final = "other"
"""Label of domains that no entry serves."""


class DomainsInForce(Protocol):
    """What the configuration of the moment says of a domain."""

    def find(self, name: str) -> Domain | None:
        """The domain that serves a recipient's, None when there is none any more."""


class Domains:
    """The domains of one configuration; replaced as a whole, never changed."""

    __slots__ = ("_domains", "_lookup")

    def __init__(self, lookup: DomainLookup, domains: Sequence[Domain]) -> None:
        self._lookup = lookup
        self._domains = tuple(domains)
        """By the index that `DomainLookup` gives."""

    def find(self, name: str) -> Domain | None:
        """The domain that serves a recipient's, None when there is none."""
        index = self._lookup.find(name)
        return None if index is None else self._domains[index]

    def label(self, name: str) -> str:
        """The entry that serves a recipient's domain, as a label of metrics: there are only so many."""
        index = self._lookup.find(name)
        return NO_ENTRY if index is None else self._lookup.entries[index]
