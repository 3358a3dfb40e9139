"""The groups of lanes: those of domains by their routes, and the one of the mails."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final, Protocol

from tubepost_api.config import DeliveryMode
from tubepost_dispatcher.delivery.domain import Domain, DomainsInForce
from tubepost_dispatcher.queue.lanes import MOST_ACTIVE, Group
from tubepost_dispatcher.queue.window import Window

MAILS: Final = "\0mail"
"""Stands for a domain in the lane of the mails; no recipient's domain is called so."""
MOST_MAILS: Final = 32
"""Mails of one worker that are on their way to the relay at a time, a connection each."""
RELAY: Final = "mail relay"
"""What stands in the place of a route's name; none is called so."""
LOOK_AGAIN: Final = 1.0
"""Seconds until routes are looked at again that do not say when."""
SELDOM: Final = 30.0
"""Seconds between two looks at such routes at most, whatever they say."""
THROTTLED: Final = 10.0
"""Seconds for which a throttle has something in memory to let through."""


class Gate(Protocol):
    """The relay, as far as it says whether it takes mails."""

    @property
    def held_until(self) -> float:
        """Monotonic seconds before which there is no sense in trying; infinite: there is no relay."""


class Groups:
    """Made anew with every configuration; windows stay with those who keep their routes.

    Args:
        domains: those in force.
        gate: of the mails.
        clock: monotonic seconds.
    """

    def __init__(self, domains: DomainsInForce, gate: Gate, clock: Callable[[], float]) -> None:
        self._domains = domains
        self._gate = gate
        self._clock = clock
        self._groups: dict[Hashable, Group] = {}
        self._windows: dict[Hashable, Window] = {}

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def of(self, name: str) -> Group:
        """The group of a domain, or of the mails."""
        domain = None
        key: Hashable = MAILS
        if name != MAILS:
            key, domain = None, self._domains.find(name)
            if domain is not None:
                pools = ((route.name, id(route.pool)) for route in domain.routes)
                key = (domain.options.mode, id(domain.throttle), *pools)
        found = self._groups.get(key)
        if found is None:
            window = self._windows.setdefault(MAILS if name == MAILS else _routes(domain), Window())
            most = MOST_MAILS if name == MAILS else _most(domain)
            found = self._groups[key] = Group(window, domain, most, mails=name == MAILS)
            self.look_at(found, self._clock())
        return found

    def swap(self, domains: DomainsInForce) -> Callable[[str], Group]:
        """Put other domains in force; what is returned is `of`, for many lanes of few domains."""
        self._domains = domains
        self._groups = {}
        return functools.cache(self.of)

    def forget_windows(self) -> None:
        """Forget those of routes that no group has."""
        named = {MAILS if group.mails else _routes(group.domain) for group in self}
        self._windows = {key: window for key, window in self._windows.items() if key in named}

    def look_at(self, group: Group, now: float) -> None:
        """See whether its routes take anything; those that have taken nothing begin with a probe."""
        closed = self._takes_nothing(group, now)
        if closed and not group.closed:
            group.window.restart(now)
        group.closed = closed

    def _takes_nothing(self, group: Group, now: float) -> bool:
        if group.mails:
            return self._gate.held_until > now
        domain = group.domain
        if domain is None or domain.options.mode is DeliveryMode.SUSPEND:
            return True
        if domain.options.mode in {DeliveryMode.BLACKHOLE, DeliveryMode.REFUSE}:
            return False
        return all(route.facts is None or route.pool.held_until > now for route in domain.routes)

    def opens_in(self, group: Group, now: float) -> float:
        """In how many seconds to look again whether a closed group is open."""
        domain = group.domain
        if not group.closed:
            return math.inf
        if group.mails:
            opens = self._gate.held_until
            if opens == math.inf:
                return math.inf  # `swap` tells
        elif domain is None or domain.options.mode is not DeliveryMode.DELIVER:
            return math.inf  # the same
        else:
            opens = min(
                (route.pool.held_until for route in domain.routes if route.facts is not None),
                default=math.inf,
            )
        return min(max(opens - now, LOOK_AGAIN), SELDOM)

    def describe(self) -> list[dict[str, Any]]:
        """What is in memory, for /status: by what routes it goes, and how many lanes wait for their turn."""
        return [
            {
                "routes": _names(group),
                "mode": None if group.domain is None else group.domain.options.mode.value,
                "open": not group.closed,
                "active": group.active,
                "window": group.window.size,
                "lanesDue": len(group.ready),
            }
            for group in self
        ]


def _names(group: Group) -> list[str]:
    if group.mails:
        return [RELAY]
    return [] if group.domain is None else [route.name for route in group.domain.routes]


def _routes(domain: Domain | None) -> tuple[str, ...] | None:
    """The names of a domain's routes: those who have them share a window."""
    return None if domain is None else tuple(route.name for route in domain.routes)


def _most(domain: Domain | None) -> int:
    """How many notifications of a group are worth having in memory."""
    throttle = None if domain is None else domain.options.throttle
    if throttle is None:
        return MOST_ACTIVE
    return min(MOST_ACTIVE, math.ceil(throttle.messages / throttle.seconds * THROTTLED) + 1)
