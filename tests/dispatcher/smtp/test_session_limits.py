from __future__ import annotations

from tubepost_api.config import ListenerLimits
from tubepost_dispatcher.pod_limits.local import LocalLimits
from tubepost_dispatcher.smtp.session_limits import Full, SessionLimits


def test_places_are_taken_and_given_back() -> None:
    pod = LocalLimits()
    places, limits = SessionLimits(pod), ListenerLimits(max_connections=3, max_connections_per_client=2)
    assert [places.take("a", limits) for _ in range(3)] == [None, None, Full.CLIENT]
    assert [places.take("b", limits) for _ in range(2)] == [None, Full.LISTENER]
    places.give("a")
    assert places.take("b", limits) is None
    for address in "abb":
        places.give(address)
    assert not pod._taken


def test_no_limit() -> None:
    places, limits = (
        SessionLimits(LocalLimits()),
        ListenerLimits(max_connections=0, max_connections_per_client=0),
    )
    assert [places.take("a", limits) for _ in range(1_000)] == [None] * 1_000
    assert not places.scarce("a", limits)


def test_places_are_scarce_near_either_limit() -> None:
    places, limits = (
        SessionLimits(LocalLimits()),
        ListenerLimits(max_connections=100, max_connections_per_client=10),
    )
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


def test_places_are_the_pods_whichever_worker_gives_them() -> None:
    pod = LocalLimits()
    one, two = SessionLimits(pod), SessionLimits(pod)
    limits = ListenerLimits(max_connections=3, max_connections_per_client=2)
    assert [one.take("a", limits), two.take("a", limits), two.take("a", limits)] == [None, None, Full.CLIENT]
    assert [two.take("b", limits), one.take("b", limits)] == [None, Full.LISTENER]
    one.give("a")
    assert two.take("a", limits) is None


def test_who_is_refused_for_one_limit_takes_nothing_of_the_other() -> None:
    places = SessionLimits(LocalLimits())
    limits = ListenerLimits(max_connections=2, max_connections_per_client=1)
    assert [places.take("a", limits) for _ in range(5)] == [None, *[Full.CLIENT] * 4]
    assert [places.take(address, limits) for address in "bcccc"] == [None, *[Full.LISTENER] * 4]
    places.give("a")
    assert places.take("c", limits) is None


def test_sessions_from_before_there_was_a_limit_count() -> None:
    places = SessionLimits(LocalLimits())
    unlimited = ListenerLimits(max_connections=0, max_connections_per_client=0)
    assert [places.take("a", unlimited) for _ in range(3)] == [None] * 3
    assert places.take("a", ListenerLimits(max_connections=0, max_connections_per_client=3)) is Full.CLIENT
