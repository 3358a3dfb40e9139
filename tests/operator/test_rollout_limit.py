from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tubepost_operator.observed import Key
from tubepost_operator.rollout_limit import RolloutLimit

KEYS = [Key("PushDomain", "default", name) for name in "abcdef"]
A, B, C, D, *_ = KEYS


def test_two_at_a_time_in_their_order() -> None:
    gate = RolloutLimit(2)
    for key in (A, B, C, D):
        assert not gate.may(key)
        gate.queued(key)
    gate.open()
    assert gate.next() == (A, B)
    assert gate.may(A)
    assert not gate.may(C)
    gate.started(A)
    gate.started(B)
    assert gate.waiting == 2
    assert not gate.may(C)
    assert gate.finished(A) == (C,)
    assert gate.may(C)
    assert not gate.may(D)


def test_those_under_way_from_before_count() -> None:
    gate = RolloutLimit(1)
    gate.started(A)
    gate.queued(B)
    gate.open()
    assert gate.next() == ()
    assert gate.finished(A) == (B,)


def test_who_goes_makes_room() -> None:
    gate = RolloutLimit(1)
    gate.open()
    gate.started(A)
    gate.queued(B)
    assert gate.finished(B) == ()
    assert gate.finished(A) == ()
    assert gate.rolling == frozenset()


class GateMachine(RuleBasedStateMachine):
    """Never more than the places, whatever comes in which order."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = RolloutLimit(2)
        self.gate.open()

    @rule(key=st.sampled_from(KEYS))
    def wants(self, key: Key) -> None:
        if self.gate.may(key):
            self.gate.started(key)
        else:
            self.gate.queued(key)

    @rule(key=st.sampled_from(KEYS))
    def finishes(self, key: Key) -> None:
        for other in self.gate.finished(key):
            assert self.gate.may(other)

    @invariant()
    def places_are_kept(self) -> None:
        assert len(self.gate.rolling) <= 2
        if len(self.gate.rolling) < 2 and self.gate.waiting:
            assert self.gate.next()


TestGate = GateMachine.TestCase


def test_more_may_be_rolling_than_there_are_places() -> None:
    gate = RolloutLimit(1)
    for name in ("a", "b"):
        gate.started(Key("PushDomain", "x", name))
    for name in ("c", "d", "e"):
        gate.queued(Key("PushDomain", "x", name))
    gate.open()
    assert gate.finished(Key("PushDomain", "x", "a")) == ()
    assert gate.finished(Key("PushDomain", "x", "b")) == (Key("PushDomain", "x", "c"),)
