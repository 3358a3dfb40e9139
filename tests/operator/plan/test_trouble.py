from __future__ import annotations

from datetime import UTC, datetime

from tests.operator.objects import push_domain, route
from tubepost_api.conditions import Reason
from tubepost_operator.plan.trouble import no_access, operator_error, plan_trouble

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_the_status_says_it_and_the_rest_of_it_stays() -> None:
    accepted = {
        "type": "Accepted",
        "status": "True",
        "reason": "Valid",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    ready = {**accepted, "type": "Ready", "reason": "Ready"}
    document = {**push_domain(), "status": {"conditions": [accepted, ready], "address": "x:25"}}
    plan = plan_trouble(document, Reason.NO_ACCESS, no_access("secrets is forbidden."), NOW)
    assert plan.status is not None
    assert plan.status["address"] == "x:25"
    found = {item["type"]: (item["status"], item["reason"]) for item in plan.status["conditions"]}
    assert found == {
        "Accepted": ("True", "Valid"),
        "Ready": ("False", "NoAccess"),
        "Programmed": ("False", "NoAccess"),
    }
    assert [event.reason for event in plan.events] == ["NoAccess"]
    again = plan_trouble(
        {**document, "status": plan.status}, Reason.NO_ACCESS, no_access("secrets is forbidden."), NOW
    )
    assert (again.status, again.events) == (None, ())


def test_a_route_has_no_children_to_be_programmed() -> None:
    plan = plan_trouble(route(), Reason.OPERATOR_ERROR, operator_error("KeyError: x"), NOW)
    assert plan.status is not None
    (condition,) = plan.status["conditions"]
    assert (condition["type"], condition["reason"]) == ("Ready", "OperatorError")
    assert "Remedy: see the log of the operator" in condition["message"]
