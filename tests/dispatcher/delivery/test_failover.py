from __future__ import annotations

from tests.dispatcher.delivery.support import FACTS, FakePool
from tubepost_dispatcher.delivery.domain import Route
from tubepost_dispatcher.delivery.failover import blames_route, pick_route
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import local_outcome

NOW = 1_000.0


def route(name: str, held_until: float = 0.0, *, usable: bool = True) -> Route:
    return Route(name, FakePool(held_until=held_until), FACTS if usable else None)


def picked(*routes: Route, failed: tuple[str, ...] = ()) -> tuple[str, bool]:
    found, fresh = pick_route(routes, failed, NOW)
    return found.name, fresh


def test_the_first_open_route_is_taken() -> None:
    assert picked(route("a"), route("b")) == ("a", True)
    assert picked(route("a", NOW + 1), route("b")) == ("b", True)
    assert picked(route("a", NOW), route("b")) == ("a", True)
    assert picked(route("a", usable=False), route("b")) == ("b", True)
    assert picked(route("a"), route("b"), failed=("a",)) == ("b", True)


def test_when_none_is_left_the_one_that_opens_first_has_the_best_chance() -> None:
    assert picked(route("a", NOW + 9), route("b", NOW + 5)) == ("b", False)
    assert picked(route("a", usable=False), route("b", NOW + 5)) == ("b", False)
    assert picked(route("a"), route("b"), failed=("a", "b")) == ("a", False)
    assert picked(route("a", usable=False)) == ("a", False)


def test_which_outcomes_blame_the_route() -> None:
    assert blames_route(local_outcome("ConnectFailed"), NOW)
    assert blames_route(local_outcome("Throttled", held_until=NOW + 1), NOW)
    assert not blames_route(local_outcome("Throttled", held_until=NOW), NOW)
    assert not blames_route(Outcome(OutcomeKind.TRANSIENT, "TooManyRequests", 429), NOW)


def test_how_long_to_wait_for_one_device_is_no_matter_of_routes() -> None:
    busy = Outcome(OutcomeKind.TRANSIENT, "TooManyRequests", 429, held_until=NOW + 30)
    assert not blames_route(busy, NOW)
    assert blames_route(Outcome(OutcomeKind.TRANSIENT, "Status429", 429, held_until=NOW + 30), NOW)
    assert blames_route(local_outcome("RouteResting", held_until=NOW + 30), NOW)
    assert blames_route(local_outcome("RouteSilent"), NOW)
