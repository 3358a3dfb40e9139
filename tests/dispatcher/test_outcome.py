from __future__ import annotations

from dataclasses import replace

from tests.dispatcher.delivery.support import DEAD, DELIVERED
from tubepost_dispatcher.outcome import identified


def test_a_unique_id_joins_an_outcome_and_changes_nothing_else() -> None:
    for outcome in (DEAD, DELIVERED):
        made = identified(outcome, "5a6b")
        assert (outcome.unique_id, made.unique_id) == ("", "5a6b")
        assert (made.kind, made.reason, made.status) == (outcome.kind, outcome.reason, outcome.status)
        assert (made.apns_id, made.timestamp) == (outcome.apns_id, outcome.timestamp)


def test_outcomes_are_values() -> None:
    for outcome in (DEAD, DELIVERED, identified(DEAD, "5a6b")):
        same, other = replace(outcome), replace(outcome, detail="another")
        assert (same, hash(same), repr(same)) == (outcome, hash(outcome), repr(outcome))
        assert (other.detail, other.kind, other.unique_id) == ("another", outcome.kind, outcome.unique_id)
        assert other != outcome
    assert identified(DEAD, "5a6b") != identified(DEAD, "5a6c")
