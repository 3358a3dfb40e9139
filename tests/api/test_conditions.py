from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from tubepost_api.conditions import Condition, ConditionType, Reason

TIME = "2026-11-23T12:00:00Z"


def test_words_are_what_kubernetes_takes_and_have_a_meaning() -> None:
    for word in (*ConditionType, *Reason):
        assert word.isalpha()
        assert word[0].isupper()
        assert word.meaning.endswith(".")
    of_all = {"Accepted", "ReferencesResolved", "CredentialsValid", "Programmed", "Ready", "Delivering"}
    assert {*of_all, "QueueDurable", "QueueSettled", "BouncesDeliverable"} == {*ConditionType}


def test_a_condition_reads_and_writes_as_metav1_condition() -> None:
    raw = {
        "type": "Ready",
        "status": "False",
        "reason": "Expired",
        "message": "the certificate ended",
        "lastTransitionTime": TIME,
        "observedGeneration": 3,
    }
    condition = Condition.model_validate_json(json.dumps(raw))
    assert condition.reason is Reason.EXPIRED
    assert condition.last_transition_time == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert condition.model_dump(mode="json", by_alias=True) == raw


def test_reasons_are_a_closed_set() -> None:
    raw = {"type": "Ready", "status": "True", "reason": "Because", "lastTransitionTime": TIME}
    with pytest.raises(ValidationError):
        Condition.model_validate_json(json.dumps(raw))
