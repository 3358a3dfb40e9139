from __future__ import annotations

from datetime import UTC, datetime

from tests.operator.objects import logger
from tubepost_api.conditions import Reason
from tubepost_operator.actions import Plan
from tubepost_operator.observed import Document, Secret
from tubepost_operator.plan.logger import plan_logger
from tubepost_operator.snapshot import ReferencedSnapshot

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def planned(document: Document, users: tuple[str, ...] = ()) -> Plan:
    return plan_logger(ReferencedSnapshot(now=NOW, document=document, users=users))


WEBHOOK = {"type": "Webhook", "webhook": {"url": "https://a", "signature": {"secretName": "s", "key": "k"}}}


def conditions(**secrets: dict[str, bytes]) -> dict[str, tuple[str, str]]:
    found = {name: Secret(name, "1", data) for name, data in secrets.items()}
    plan = plan_logger(ReferencedSnapshot(now=NOW, document=logger(sink=WEBHOOK), secrets=found))
    assert plan.status is not None
    return {item["type"]: (item["status"], item["reason"]) for item in plan.status["conditions"]}


def test_it_is_as_good_as_its_secrets() -> None:
    assert conditions(s={"k": b"0123456789abcdef"}) == {
        "Accepted": ("True", "Valid"),
        "ReferencesResolved": ("True", "Resolved"),
        "CredentialsValid": ("True", "Valid"),
        "Ready": ("True", "NotUsed"),
    }
    assert conditions() == {
        "Accepted": ("True", "Valid"),
        "ReferencesResolved": ("False", "SecretNotFound"),
        "CredentialsValid": ("Unknown", "SecretNotFound"),
        "Ready": ("False", "SecretNotFound"),
    }
    found = conditions(s={"k": b"short"})
    assert found["CredentialsValid"] == found["Ready"] == ("False", "Malformed")


def ready(plan: Plan) -> tuple[str, str]:
    assert plan.status is not None
    found = next(item for item in plan.status["conditions"] if item["type"] == "Ready")
    return found["status"], found["reason"]


def test_it_is_ready_and_says_who_uses_it() -> None:
    plan = planned(logger(), ("b", "a"))
    assert ready(plan) == ("True", Reason.READY)
    assert plan.status is not None
    assert plan.status["users"] == ["a", "b"]
    assert ready(planned(logger())) == ("True", Reason.NOT_USED)


def test_what_cannot_be_read_is_not_ready() -> None:
    assert ready(planned(logger(format=7))) == ("False", Reason.INVALID_SPEC)


def test_a_status_that_is_up_to_date_is_not_written() -> None:
    status = planned(logger()).status
    again = planned({**logger(), "status": status})
    assert (again.status, again.events, again.writes) == (None, (), False)
