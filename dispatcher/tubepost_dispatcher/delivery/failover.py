"""Which of a domain's routes a notification takes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from tubepost_dispatcher.delivery.domain import Route
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import is_route_fault


def pick_route(routes: Sequence[Route], failed: Collection[str], now: float) -> tuple[Route, bool]:
    """Choose a route.

    Args:
        routes: of the domain, in order; at least one.
        failed: names of those that have failed this notification.
        now: monotonic seconds.

    Returns:
        The first route that is open and has not failed; where there is none, the one that opens first has the
        best chance. The flag is False in that case: what has failed is forgotten, all start anew.
    """
    for route in routes:
        if route.name not in failed and route.facts is not None and route.pool.held_until <= now:
            return route, True
    return min(routes, key=lambda route: (route.facts is None, route.pool.held_until)), False


ROUTE_PATIENCE = 1.2
"""Seconds for which a notification waits for a stream of a route while another route has not been tried."""


def patience(
    routes: Sequence[Route], failed: Collection[str], taken: str, now: float, end_at: float
) -> float:
    """Until when to wait for a stream of the route that was taken: not for long while others are left.

    Args:
        routes: of the domain.
        failed: names of those that have failed, and of the one that was taken.
        taken: its name.
        now: monotonic seconds.
        end_at: monotonic seconds at which no further attempt is begun.
    """
    another, fresh = pick_route(routes, failed, now)
    if fresh and another.name != taken:
        return min(end_at, now + ROUTE_PATIENCE)
    return end_at


# About one device: by another route it is the same device.
_OTHER_ROUTES_DO_NOT_HELP: Final = frozenset({"TooManyRequests"})


def blames_route(outcome: Outcome, now: float) -> bool:
    """Whether another route may fare better with the same notification at once."""
    if outcome.reason in _OTHER_ROUTES_DO_NOT_HELP:
        return False
    return outcome.held_until > now or is_route_fault(outcome.reason)
