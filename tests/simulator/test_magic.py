from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_simulator import REASONS, BehaviourKind, Reason, behaviour_token, reason_token
from tubepost_simulator.magic import BEHAVIOURS, REASON_CODES, Behaviour, lookup
from tubepost_simulator.reasons import ABOUT_CHANNELS


def test_tables_are_total() -> None:
    assert set(REASONS) == set(Reason)
    assert set(REASON_CODES.values()) == set(Reason) - ABOUT_CHANNELS
    assert len(REASON_CODES) == len(set(REASON_CODES.values()))
    assert {spec.kind for spec in BEHAVIOURS} == set(BehaviourKind)


@pytest.mark.parametrize("reason", sorted(set(Reason) - ABOUT_CHANNELS))
def test_every_reason_has_a_token_that_names_its_status(reason: Reason) -> None:
    token = reason_token(reason, "ff")
    assert lookup(token) is reason
    assert len(token) == 64
    assert token.startswith(f"dead{reason.status}")
    assert token.endswith("ff")


@pytest.mark.parametrize("spec", BEHAVIOURS)
def test_every_behaviour_has_a_token(spec: tuple[str, BehaviourKind, str]) -> None:
    code, kind, _ = spec
    number = 12 if "NNN" in code else 0
    expected = 120 if kind is BehaviourKind.SLOW else number
    assert lookup(behaviour_token(kind, number)) == Behaviour(kind, expected)


def test_codes_stay_what_they_are() -> None:
    assert lookup("dead4001") is Reason.BAD_DEVICE_TOKEN
    assert lookup("dead4101") is Reason.UNREGISTERED
    assert lookup("beef6003") == Behaviour(BehaviourKind.FLAKY, 3)


@pytest.mark.parametrize(
    "token", ["", "dead", "dead9990", "beef", "beef1", "beef1a00", "beef9000", "abcd", "xdead4001"]
)
def test_other_tokens_are_ordinary(token: str) -> None:
    assert lookup(token) is None


@given(
    st.one_of(
        st.text(max_size=12), st.text(max_size=8).map("beef".__add__), st.text(max_size=8).map("dead".__add__)
    )
)
def test_lookup_never_raises(token: str) -> None:
    found = lookup(token)
    assert found is None or isinstance(found, Reason | Behaviour)
