from __future__ import annotations

from tubepost_operator.emptying import MOST, Emptying
from tubepost_operator.observed import Key

DOMAIN = Key("PushDomain", "default", "alerts")


def test_all_pods_go_before_one_is_started_again_and_only_once() -> None:
    emptying = Emptying()
    assert not emptying.look(DOMAIN, "new", ["a", "b"], 0.0, stale=())
    assert not emptying.done(DOMAIN, "new")
    assert emptying.look(DOMAIN, "new", ["a", "b"], 1.0, stale=("cert",))
    assert emptying.look(DOMAIN, "new", ["b"], 2.0, stale=()) == ("cert",), "one is still being stopped"
    assert not emptying.look(DOMAIN, "new", [], 3.0, stale=())
    assert not emptying.look(DOMAIN, "new", ["c"], 4.0, stale=("cert",)), "it does not help"
    assert emptying.done(DOMAIN, "new")
    assert emptying.look(DOMAIN, "newer", ["c"], 5.0, stale=("cert",)), "another Secret, another attempt"
    emptying.forget(DOMAIN)
    assert not emptying.done(DOMAIN, "newer")


def test_a_pod_that_does_not_go_keeps_none_from_being_started() -> None:
    emptying = Emptying()
    assert emptying.look(DOMAIN, "new", ["lost"], 0.0, stale=("cert",))
    assert emptying.look(DOMAIN, "new", ["lost"], MOST - 1, stale=())
    assert not emptying.look(DOMAIN, "new", ["lost"], MOST, stale=())


def test_without_pods_there_is_nothing_to_stop() -> None:
    assert not Emptying().look(DOMAIN, "new", [], 0.0, stale=("cert",))
