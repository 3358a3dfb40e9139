from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.operator.plan.test_needs import pod, running
from tubepost_api.conditions import Reason
from tubepost_operator.observed import LiveStatus, Pod, PodReport
from tubepost_operator.plan.delivering import delivering, route_delivering
from tubepost_operator.plan.push_domain import decide

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FAILING = LiveStatus(NOW, failing=("apns",), reasons={"apns": "ConnectFailed", "other": "BadTopic"})
HELD = LiveStatus(NOW, held=("apns",), reasons={"apns": "InvalidProviderToken"})


@pytest.mark.parametrize(
    ("pods", "replicas", "status", "reason"),
    [
        ((), 1, "Unknown", Reason.PENDING),
        ((), 0, "Unknown", Reason.NO_REPLICAS),
        ((pod(last_report=PodReport("x")),), 1, "True", Reason.DELIVERING),
        ((pod(last_report=PodReport("x", held=frozenset({"apns"}))),), 1, "False", Reason.ROUTE_HELD),
    ],
)
def test_delivering_is_what_the_pods_say(
    pods: tuple[Pod, ...], replicas: int, status: str, reason: Reason
) -> None:
    seen = running(*pods)
    found = delivering(seen, decide(seen).selection, replicas)
    assert (found.status, found.reason) == (status, reason)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("Suspend", Reason.SUSPENDED), ("Blackhole", Reason.BLACKHOLED), ("Refuse", Reason.REFUSED)],
)
def test_delivering_is_false_where_the_spec_says_so(mode: str, reason: Reason) -> None:
    seen = running()
    spec = {**seen.document["spec"], "delivery": {"mode": mode}}
    seen = replace(seen, document={**seen.document, "spec": spec})
    found = delivering(seen, decide(seen).selection, 1)
    assert (found.status, found.reason) == ("False", reason)
    assert mode in found.message


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "Messages are answered 451"),
        ({"acceptance": {"mode": "Queued"}, "queue": {"disk": {}}}, "Messages stay in the queue"),
    ],
)
def test_what_is_suspended_is_refused_or_kept(spec: dict[str, Any], words: str) -> None:
    seen = running()
    seen = replace(
        seen,
        document={
            **seen.document,
            "spec": {**seen.document["spec"], "delivery": {"mode": "Suspend"}, **spec},
        },
    )
    assert delivering(seen, decide(seen).selection, 1).message.startswith(words)


def test_nothing_is_delivered_while_every_attempt_fails() -> None:
    seen = replace(running(pod(last_report=PodReport("x"))), live=FAILING)
    found = delivering(seen, decide(seen).selection, 1)
    assert (found.status, found.reason) == ("False", Reason.ROUTE_FAILS)
    assert found.message.startswith(
        "Nothing is delivered by ApnRoute apns, every attempt fails, at last with ConnectFailed. Remedy: check name"
    )
    elsewhere = replace(seen, live=replace(FAILING, failing=("removed",)))
    assert delivering(elsewhere, decide(seen).selection, 1).reason is Reason.DELIVERING


def test_a_hold_has_its_reason() -> None:
    seen = replace(running(pod(last_report=PodReport("x", held=frozenset({"apns"})))), live=HELD)
    found = delivering(seen, decide(seen).selection, 1)
    assert "at last with InvalidProviderToken. Remedy: see the log" in found.message


@pytest.mark.parametrize(
    ("lives", "status", "reason", "text"),
    [
        ({}, "Unknown", Reason.PENDING, "No pod has answered yet."),
        ({"alerts": LiveStatus(NOW)}, "True", Reason.DELIVERING, ""),
        (
            {"alerts": LiveStatus(NOW), "news": FAILING},
            "False",
            Reason.ROUTE_FAILS,
            "PushDomain news: Nothing is",
        ),
        (
            {"alerts": HELD, "news": FAILING},
            "False",
            Reason.ROUTE_HELD,
            "in the dispatchers of PushDomain alerts: APNs refuses the credential or cannot be reached, at last",
        ),
    ],
)
def test_a_route_delivers_where_all_its_users_do(
    lives: dict[str, LiveStatus], status: str, reason: Reason, text: str
) -> None:
    found = route_delivering("apns", ("alerts", "news"), lives)
    assert (found.status, found.reason) == (status, reason)
    assert text in found.message


def test_a_route_that_nobody_uses_delivers_nothing() -> None:
    assert route_delivering("apns", (), {}).reason is Reason.NOT_USED
