from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tubepost_operator.fights import FREE, PEACE, Fights
from tubepost_operator.observed import Key, Repair

CHILD = Key("Deployment", "default", "alerts")
REPAIR = Repair(("spec.replicas",), "spec.replicas was changed from 1 to 3 by x")


def test_a_mistake_is_no_fight() -> None:
    fights = Fights()
    for moment in range(FREE - 1):
        fights.put_back(CHILD, REPAIR, float(moment))
    assert fights.of(CHILD, float(FREE)) is None


def test_the_longer_it_lasts_the_later_it_is_put_back() -> None:
    fights, now, waits = Fights(), 0.0, []
    for _ in range(FREE + 8):
        fights.put_back(CHILD, REPAIR, now)
        fight = fights.of(CHILD, now)
        if fight is not None:
            waits.append(fight.wait)
            now += fight.wait
    assert waits == [15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0, 600.0]
    fight = fights.of(CHILD, now)
    assert fight is not None
    assert (fight.times, fight.wait, fight.repair, fight.left) == (FREE + 8, 0.0, REPAIR, PEACE - 600.0)


def test_after_a_while_of_peace_it_is_over() -> None:
    fights = Fights()
    for _ in range(FREE + 2):
        fights.put_back(CHILD, REPAIR, 0.0)
    assert fights.of(CHILD, PEACE) is not None
    assert fights.of(CHILD, PEACE + 1) is None
    fights.put_back(CHILD, REPAIR, PEACE + 2)
    assert fights.of(CHILD, PEACE + 2) is None, "it begins anew"
    assert fights.of(Key("Service", "default", "alerts"), 0.0) is None


@given(st.lists(st.floats(0.0, 3600.0), max_size=200))
def test_pods_come_and_go_seldom_whatever_others_do(pauses: list[float]) -> None:
    """Put back whenever it may be, at most so often within an hour."""
    fights, now, done = Fights(), 0.0, list[float]()
    for pause in pauses:
        now += pause
        fight = fights.of(CHILD, now)
        if fight is None or fight.wait == 0.0:
            fights.put_back(CHILD, REPAIR, now)
            done.append(now)
    for moment in done:
        assert sum(moment <= other <= moment + PEACE for other in done) <= FREE + 6


AUTOSCALED = Repair(("spec.replicas",), "spec.replicas was changed from 1 to 3 by hpa", autoscaled=True)


def test_an_autoscaler_is_put_back_once_and_then_seldom() -> None:
    fights, now, waits = Fights(), 0.0, []
    for _ in range(5):
        fights.put_back(CHILD, AUTOSCALED, now)
        fight = fights.of(CHILD, now)
        assert fight is not None
        waits.append(fight.wait)
        now += fight.wait
    assert waits == [120.0, 240.0, 480.0, 600.0, 600.0]


def test_what_is_gone_is_forgotten() -> None:
    fights = Fights()
    for _ in range(FREE):
        fights.put_back(CHILD, REPAIR, 0.0)
    fights.forget(CHILD)
    assert fights.of(CHILD, 0.0) is None
