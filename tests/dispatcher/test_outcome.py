from __future__ import annotations

from dataclasses import fields, replace

from tests.dispatcher.delivery.support import DEAD, DELIVERED
from tubepost_dispatcher.outcome import Outcome, OutcomeKind, identified

_FULL = Outcome(OutcomeKind.TRANSIENT, "Busy", 429, "9c8b", 1_700_000_000, "text", True, True, 12.5)
"""An outcome that has no field at its default."""


def test_a_unique_id_joins_an_outcome_and_changes_nothing_else() -> None:
    names = [field.name for field in fields(Outcome)]
    for outcome in (DEAD, DELIVERED, _FULL):
        made = identified(outcome, "5a6b")
        assert (outcome.unique_id, made.unique_id) == ("", "5a6b")
        assert [getattr(made, name) for name in names] == [getattr(outcome, name) for name in names]
    bare = Outcome(OutcomeKind.DELIVERED)
    assert all(getattr(_FULL, name) != getattr(bare, name) for name in names)


def test_outcomes_are_values() -> None:
    for outcome in (DEAD, DELIVERED, identified(DEAD, "5a6b")):
        same, other = replace(outcome), replace(outcome, detail="another")
        assert (same, hash(same), repr(same)) == (outcome, hash(outcome), repr(outcome))
        assert (other.detail, other.kind, other.unique_id) == ("another", outcome.kind, outcome.unique_id)
        assert other != outcome
    assert identified(DEAD, "5a6b") != identified(DEAD, "5a6c")
