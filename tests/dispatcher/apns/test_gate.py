from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.apns.support import Outcomes, certificate_credential, request, token_credential
from tubepost_dispatcher.apns.gate import Gate, Verdict
from tubepost_dispatcher.apns.reasons import APNS_REASONS, Action, ReasonSpec
from tubepost_dispatcher.outcome import OutcomeKind

WALL = 1_700_000_000.0


def refuse(gate: Gate, status: int, reason: str, *, sent_at: float = 99.0, now: float = 100.0) -> Verdict:
    body = json.dumps({"reason": reason}).encode()
    return gate.refused(status, body, request(Outcomes()), sent_at, now, WALL)


@pytest.mark.parametrize("spec", APNS_REASONS, ids=lambda spec: spec.reason)
def test_each_reason_does_what_its_row_says(spec: ReasonSpec) -> None:
    gate = Gate(token_credential())
    gate.bearer(50.0, WALL)
    verdict = refuse(gate, spec.status, spec.reason)
    outcome = verdict.outcome
    assert (outcome.kind, outcome.reason, outcome.status) == (spec.kind, spec.reason, spec.status)
    assert gate.hold.held == (spec.action is Action.HOLD_ROUTE)
    assert outcome.held_until == gate.hold.until
    assert outcome.retry_at_once == (spec.action in {Action.NEW_TOKEN, Action.RECONNECT})
    assert verdict.replace_connection == (spec.action in {Action.RECONNECT, Action.KEEP_TOKEN})
    assert not outcome.possible_double


@given(st.integers(100, 999).filter(lambda status: status != 200), st.binary(max_size=200))
def test_any_answer_is_judged(status: int, body: bytes) -> None:
    gate = Gate(token_credential())
    outcome = gate.refused(status, body, request(Outcomes()), 1.0, 2.0, WALL).outcome
    assert outcome.kind is not OutcomeKind.DELIVERED
    assert outcome.status == status


@pytest.mark.parametrize(
    ("status", "reason", "opens"),
    [
        (400, "BadDeviceToken", True),
        (410, "Unregistered", True),
        (413, "PayloadTooLarge", True),
        (500, "InternalServerError", False),
        (503, "Shutdown", False),
        (403, "Forbidden", False),
        (400, "IdleTimeout", False),
        (429, "TooManyProviderTokenUpdates", False),
    ],
)
def test_a_verdict_on_the_notification_ends_a_hold_of_the_credential(
    status: int, reason: str, opens: bool
) -> None:
    gate = Gate(token_credential())
    refuse(gate, 403, "InvalidProviderToken")
    assert gate.refusal(101.0, WALL)
    assert gate.refusal(105.0, WALL) is None
    assert gate.hold.admit(105.0)
    refuse(gate, status, reason, sent_at=105.0, now=105.1)
    assert gate.hold.held != opens


def mismatched() -> Gate:
    gate = Gate(token_credential())
    for number in range(100):
        item = request(Outcomes(), number, sender=b"ab"[number % 2 : number % 2 + 1])
        gate.refused(400, b'{"reason":"BadDeviceToken"}', item, 99.0, 100.0, WALL)
    assert gate.hold.reason == "EnvironmentMismatch"
    return gate


@pytest.mark.parametrize(
    ("status", "reason", "opens"),
    [(410, "Unregistered", True), (400, "BadDeviceToken", False), (413, "PayloadTooLarge", False)],
)
def test_only_a_token_that_was_valid_here_ends_a_mismatch(status: int, reason: str, opens: bool) -> None:
    gate = mismatched()
    until = gate.hold.until
    assert gate.hold.admit(until)
    refuse(gate, status, reason, sent_at=until, now=until + 0.1)
    assert gate.hold.held != opens
    if reason == "BadDeviceToken":
        assert gate.hold.until > until + 9


def test_a_success_ends_a_mismatch() -> None:
    gate = mismatched()
    gate.accepted(99.0)
    assert gate.hold.held
    gate.accepted(106.0)
    assert not gate.hold.held


def test_what_was_sent_with_the_token_before_does_not_step_again() -> None:
    gate = Gate(token_credential())
    gate.bearer(50.0, WALL)
    assert refuse(gate, 403, "ExpiredProviderToken").outcome.retry_at_once
    for _ in range(10):
        assert refuse(gate, 403, "ExpiredProviderToken", now=101.0).outcome.retry_at_once
    assert not gate.hold.held
    assert not refuse(gate, 403, "ExpiredProviderToken", sent_at=102.0, now=103.0).outcome.retry_at_once
    assert gate.hold.reason == "ClockWrong"


def test_a_goaway_holds_only_for_reasons_about_the_credential() -> None:
    gate = Gate(certificate_credential())
    for reason in ("", "Shutdown", "IdleTimeout", "Nonsense"):
        gate.goaway(reason, 100.0)
        assert not gate.hold.held
    gate.goaway("BadCertificateEnvironment", 100.0)
    assert gate.hold.held
    assert gate.bearer(0.0, WALL) == b""


def test_descriptions_are_json_without_secrets() -> None:
    for gate in (Gate(None), Gate(token_credential()), Gate(certificate_credential()), mismatched()):
        gate.bearer(1.0, WALL)
        text = json.dumps(gate.describe(1.0, WALL))
        assert "bearer" not in text
        assert "PRIVATE" not in text
