from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from tests.operator.cases import names, plan
from tubepost_api.conditions import Condition, ConditionType, Reason
from tubepost_operator.conditions import (
    MAX_MESSAGE,
    REASONS,
    SHOWN,
    EventReason,
    bad,
    events,
    first_fault,
    good,
    merged,
    of_findings,
    unix_time,
    unknown,
)
from tubepost_operator.credentials import Finding

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
READY = ConditionType.READY


def test_a_condition_is_what_the_schema_says() -> None:
    (written,) = merged([], [bad(READY, Reason.EXPIRED, "x" * 10_000)], 3, NOW)
    condition = Condition.model_validate_json(json.dumps(written))
    assert condition.observed_generation == 3
    assert len(condition.message) == MAX_MESSAGE


def test_the_transition_time_moves_with_the_status_alone() -> None:
    old = merged([], [bad(READY, Reason.EXPIRED, "a")], 1, NOW)
    later = NOW + timedelta(hours=1)
    (same,) = merged(old, [bad(READY, Reason.MALFORMED, "b")], 2, later)
    assert same["lastTransitionTime"] == old[0]["lastTransitionTime"]
    assert (same["reason"], same["message"], same["observedGeneration"]) == ("Malformed", "b", 2)
    (other,) = merged(old, [good(READY, Reason.READY)], 2, later)
    assert other["lastTransitionTime"] == "2026-11-23T13:00:00Z"


def test_events_tell_changes_once() -> None:
    verdicts = [
        bad(ConditionType.CREDENTIALS_VALID, Reason.EXPIRED, "it ended"),
        bad(READY, Reason.EXPIRED, "it ended"),
    ]
    (event,) = events([], verdicts)
    assert (event.type, event.reason, event.message) == ("Warning", "Expired", "it ended")
    old = merged([], verdicts, 1, NOW)
    assert events(old, verdicts) == ()
    well = [good(ConditionType.CREDENTIALS_VALID, Reason.VALID), good(READY, Reason.READY)]
    (event,) = events(old, well)
    assert (event.type, event.reason) == ("Normal", "Ready")


def test_calm_reasons_are_no_warning() -> None:
    assert events([], [bad(ConditionType.PROGRAMMED, Reason.PENDING, "soon")]) == ()
    assert events([], [bad(ConditionType.DELIVERING, Reason.SUSPENDED, "as told")]) == ()
    assert events([], [unknown(ConditionType.DELIVERING, Reason.NO_REPLICAS, "none")]) == ()
    assert events([], [good(READY, Reason.NOT_USED)]) == ()


def test_delivery_that_works_again_is_news() -> None:
    old = merged([], [bad(ConditionType.DELIVERING, Reason.ROUTE_HELD, "held")], 1, NOW)
    (event,) = events(old, [good(ConditionType.DELIVERING, Reason.DELIVERING)])
    assert event.type == "Normal"
    assert events([], [good(ConditionType.DELIVERING, Reason.DELIVERING)]) == ()


def test_many_findings_are_cut() -> None:
    findings = [Finding(Reason.SECRET_NOT_FOUND, f"number {n}", "create it") for n in range(SHOWN + 2)]
    verdict = of_findings(ConditionType.REFERENCES_RESOLVED, findings, Reason.RESOLVED)
    assert verdict.message.endswith("And 2 more.")
    assert verdict.message.startswith("number 0. Remedy: create it.")


def test_false_comes_before_unknown() -> None:
    false, nothing = bad(READY, Reason.EXPIRED, ""), unknown(READY, Reason.PENDING, "")
    assert first_fault([nothing, false]) is false
    assert first_fault([nothing]) is nothing
    assert first_fault([good(READY, Reason.READY)]) is None


def test_times_read_as_they_are_written() -> None:
    assert unix_time("1970-01-01T00:01:00Z") == 60.0


def test_reasons_of_events_have_a_meaning() -> None:
    for reason in EventReason:
        assert reason.isalpha()
        assert reason.meaning.endswith(".")


def test_every_condition_of_the_golden_plans_is_of_the_closed_set() -> None:
    seen = set()
    for name in names():
        status = plan(name).get("status") or {}
        for item in status.get("conditions", ()):
            kind = ConditionType(item["type"])
            assert item["reason"] in REASONS[kind][item["status"]], (name, item)
            seen.add((kind, item["reason"]))
    # What the goldens do not reach is reached elsewhere; most of it they do.
    assert len(seen) > 25


def test_every_reason_has_its_place() -> None:
    used = {reason for statuses in REASONS.values() for reasons in statuses.values() for reason in reasons}
    assert used == set(Reason)
