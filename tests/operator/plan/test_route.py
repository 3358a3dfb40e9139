from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.operator.objects import START, route, secret
from tubepost_api.conditions import Reason
from tubepost_operator.actions import Plan
from tubepost_operator.observed import Secret
from tubepost_operator.plan.route import plan_route
from tubepost_operator.snapshot import ReferencedSnapshot

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def planned(*secrets: Secret, users: tuple[str, ...] = ("alerts",), **spec: Any) -> Plan:
    return plan_route(
        ReferencedSnapshot(
            now=NOW,
            document=route(**spec),
            secrets={secret.name: secret for secret in secrets},
            users=users,
        )
    )


def conditions(plan: Plan) -> dict[str, tuple[str, str]]:
    assert plan.status is not None
    return {item["type"]: (item["status"], item["reason"]) for item in plan.status["conditions"]}


def test_a_usable_route_says_what_its_credential_is_and_is_planned_again_when_it_expires() -> None:
    plan = planned(secret(days=365))
    assert conditions(plan)["Ready"] == ("True", Reason.READY)
    assert plan.status is not None
    assert plan.status["topics"] == ["com.example.app"]
    assert plan.status["address"] == "api.push.apple.com:443"
    assert plan.status["users"] == ["alerts"]
    assert plan.again == (START + timedelta(days=365) - NOW).total_seconds() + 1.0


def test_without_users_it_says_so() -> None:
    assert conditions(planned(secret(), users=()))["Ready"] == ("True", Reason.NOT_USED)


def test_without_its_secret_nothing_can_be_said_of_the_credential() -> None:
    found = conditions(planned())
    assert found["ReferencesResolved"] == ("False", Reason.SECRET_NOT_FOUND)
    assert found["CredentialsValid"] == ("Unknown", Reason.SECRET_NOT_FOUND)
    assert found["Ready"] == ("False", Reason.SECRET_NOT_FOUND)


def test_what_cannot_be_read_is_not_accepted() -> None:
    plan = planned(secret(), certificate="oh")
    found = conditions(plan)
    assert found["Accepted"] == ("False", Reason.INVALID_SPEC)
    assert found["CredentialsValid"] == ("Unknown", Reason.INVALID_SPEC)
    assert plan.again is None


def test_an_endpoint_of_the_binary_protocol_is_a_warning() -> None:
    plan = planned(secret(), endpoint="apn://gateway.push.apple.com?port=2195")
    assert conditions(plan)["Accepted"] == ("True", Reason.LEGACY_ENDPOINT)
    (event,) = [event for event in plan.events if event.reason == Reason.LEGACY_ENDPOINT]
    assert event.type == "Warning"


def test_a_name_that_no_definition_would_take_is_not_among_the_users() -> None:
    plan = planned(secret(), users=("alerts", "old.name"))
    assert plan.status is not None
    assert plan.status["users"] == ["alerts"]
    assert conditions(plan)["Ready"] == ("True", Reason.READY)
