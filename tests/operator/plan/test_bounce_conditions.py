from __future__ import annotations

from typing import Any

import pytest

from tests.operator.objects import push_domain
from tubepost_api.conditions import ConditionType
from tubepost_api.pushdomain import PushDomain
from tubepost_operator.conditions import PlannedCondition
from tubepost_operator.plan.bounce_conditions import bounce_conditions
from tubepost_operator.plan.candidate import read_spec

QUEUED: dict[str, Any] = {"acceptance": {"mode": "Queued"}, "queue": {"disk": {}}}
RELAY = {"relay": {"host": "2001:db8::1", "port": 587}}


def conditions(**spec: Any) -> list[PlannedCondition]:
    resource, problems = read_spec(push_domain(**spec))
    assert isinstance(resource, PushDomain), problems
    return [*bounce_conditions(resource.spec)]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"queue": {"disk": {}}},
        {"bounces": {"enabled": False}, **QUEUED},
        {"bounces": {"enabled": False, "direct": "Mail"}},
        {"domains": [{"name": "a.example", "bounces": {"enabled": False}}], **QUEUED},
        {"bounces": RELAY},
    ],
)
def test_where_no_sender_gets_mail_nothing_is_said(spec: dict[str, Any]) -> None:
    assert conditions(**spec) == []


@pytest.mark.parametrize(
    "spec",
    [
        QUEUED,
        {"acceptance": {"overflow": "Queue"}, "queue": {"disk": {}}},
        {"bounces": {"direct": "Mail"}},
        {"domains": [{"name": "push.example.com", "bounces": {"direct": "Mail"}}, {"name": "b.example"}]},
        {
            "bounces": {"enabled": False},
            "domains": [{"name": "push.example.com", "bounces": {"enabled": True}}, {"name": "b.example"}],
            **QUEUED,
        },
    ],
)
def test_it_is_said_whether_there_is_a_relay(spec: dict[str, Any]) -> None:
    (without,) = conditions(**spec)
    assert (without.type, without.status, without.reason) == (
        ConditionType.BOUNCES_DELIVERABLE,
        "False",
        "NoRelay",
    )
    assert "to push.example.com: " in without.message
    assert "Remedy: set spec.bounces.relay, or " in without.message
    (relayed,) = conditions(**{**spec, "bounces": {**spec.get("bounces", {}), **RELAY}})
    assert (relayed.status, relayed.reason) == ("True", "Relayed")
    assert relayed.message == "Reports go to the relay [2001:db8::1]:587."


def test_what_happens_instead_is_said() -> None:
    assert (
        "what fails after it was acknowledged is logged and counted only" in conditions(**QUEUED)[0].message
    )
    direct = conditions(bounces={"direct": "Mail"})[0].message
    assert "the answer to DATA is the 5xx" in direct
    assert direct.endswith("or spec.bounces.direct: Reply.")


def test_some_of_many_domains_are_named() -> None:
    domains = [{"pattern": f"d{number}[.].*"} for number in range(9)]
    (found,) = conditions(domains=domains, **QUEUED)
    assert "to d0[.].*, d1[.].*, d2[.].*, d3[.].*, d4[.].*, ...: " in found.message


def test_of_what_cannot_be_read_nothing_is_said() -> None:
    assert [*bounce_conditions(None)] == []
