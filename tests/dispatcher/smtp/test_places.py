from __future__ import annotations

from tubepost_api.config import ListenerLimits
from tubepost_dispatcher.smtp.places import Full, OwnPlaces


def test_places_are_taken_and_given_back() -> None:
    places, limits = OwnPlaces(), ListenerLimits(max_connections=3, max_connections_per_client=2)
    assert [places.take("a", limits) for _ in range(3)] == [None, None, Full.CLIENT]
    assert [places.take("b", limits) for _ in range(2)] == [None, Full.LISTENER]
    places.give("a")
    assert places.take("b", limits) is None
    for address in "abb":
        places.give(address)
    assert not places._by_address
    assert places._taken == 0


def test_no_limit() -> None:
    places, limits = OwnPlaces(), ListenerLimits(max_connections=0, max_connections_per_client=0)
    assert [places.take("a", limits) for _ in range(1_000)] == [None] * 1_000
    assert not places.scarce("a", limits)


def test_places_are_scarce_near_either_limit() -> None:
    places, limits = OwnPlaces(), ListenerLimits(max_connections=100, max_connections_per_client=10)
    for _ in range(8):
        places.take("a", limits)
    assert not places.scarce("a", limits)
    places.take("a", limits)
    assert places.scarce("a", limits)
    assert not places.scarce("b", limits)
    for number in range(71):
        places.take(str(number), limits)
    assert not places.scarce("b", limits)
    places.take("b", limits)
    assert places.scarce("c", limits)
