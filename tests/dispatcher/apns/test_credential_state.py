from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.apns.support import Outcomes, certificate_credential, request, token_credential
from tubepost_dispatcher.apns.credential_state import CredentialState, Interpretation
from tubepost_dispatcher.outcome import OutcomeKind
from tubepost_dispatcher.reasons.catalogue import APNS_REASONS, Action, ReasonSpec

WALL = 1_700_000_000.0


def refuse(
    state: CredentialState,
    status: int,
    reason: str,
    *,
    sent_at: float = 99.0,
    now: float = 100.0,
    source: bytes = b"",
) -> Interpretation:
    body = json.dumps({"reason": reason}).encode()
    return state.interpret(status, body, request(Outcomes(), source=source), sent_at, now, WALL)


@pytest.mark.parametrize("spec", APNS_REASONS, ids=lambda spec: spec.reason)
def test_each_reason_does_what_its_row_says(spec: ReasonSpec) -> None:
    state = CredentialState(token_credential())
    state.bearer(50.0, WALL)
    interpretation = refuse(state, spec.status, spec.reason)
    outcome = interpretation.outcome
    assert (outcome.kind, outcome.reason, outcome.status) == (spec.kind, spec.reason, spec.status)
    assert state.hold.held == (spec.action is Action.HOLD_ROUTE)
    assert outcome.held_until == state.hold.until
    assert outcome.retry_at_once == (spec.action in {Action.NEW_TOKEN, Action.RECONNECT})
    assert interpretation.replace_connection == (spec.action in {Action.RECONNECT, Action.KEEP_TOKEN})
    assert not outcome.possible_double


@given(st.integers(100, 999).filter(lambda status: status != 200), st.binary(max_size=200))
def test_any_answer_is_judged(status: int, body: bytes) -> None:
    state = CredentialState(token_credential())
    outcome = state.interpret(status, body, request(Outcomes()), 1.0, 2.0, WALL).outcome
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
    state = CredentialState(token_credential())
    refuse(state, 403, "InvalidProviderToken")
    assert state.refusal(101.0, WALL)
    assert state.refusal(105.0, WALL) is None
    assert state.hold.admit(105.0)
    refuse(state, status, reason, sent_at=105.0, now=105.1)
    assert state.hold.held != opens


def mismatched() -> CredentialState:
    state = CredentialState(token_credential())
    for number in range(100):
        item = request(Outcomes(), number, source=b"ab"[number % 2 : number % 2 + 1])
        state.interpret(400, b'{"reason":"BadDeviceToken"}', item, 99.0, 100.0, WALL)
    assert state.hold.reason == "EnvironmentMismatch"
    return state


@pytest.mark.parametrize(
    ("status", "reason", "opens"),
    [(410, "Unregistered", True), (400, "BadDeviceToken", False), (413, "PayloadTooLarge", False)],
)
def test_only_a_token_that_was_valid_here_ends_a_mismatch(status: int, reason: str, opens: bool) -> None:
    state = mismatched()
    until = state.hold.until
    assert state.hold.admit(until)
    refuse(state, status, reason, sent_at=until, now=until + 0.1, source=b"a")
    assert state.hold.held != opens
    if reason == "BadDeviceToken":
        assert state.hold.until > until + 9


def test_a_success_ends_a_mismatch() -> None:
    state = mismatched()
    state.accepted(99.0, 106.0)
    assert state.hold.held
    state.accepted(106.0, 106.1)
    assert not state.hold.held
    assert not state.blames_some


def test_a_mismatch_concerns_those_alone_who_brought_the_tokens() -> None:
    state = mismatched()
    until = state.hold.until
    assert (state.blames(b"a"), state.blames(b"b"), state.blames(b"c")) == (True, True, False)
    assert state.refusal(101.0, WALL) is None
    assert state.hold.admit(until)
    refuse(state, 400, "BadDeviceToken", sent_at=until, now=until + 0.1, source=b"c")
    assert state.hold.until == until + 5.0  # as the probe left it: not doubled by somebody else's old token
    refuse(state, 403, "InvalidProviderToken", source=b"c")
    assert state.hold.reason == "EnvironmentMismatch"


def test_a_token_that_others_accept_is_not_blamed_on_the_clock() -> None:
    state = CredentialState(token_credential())
    state.bearer(50.0, WALL)
    refuse(state, 403, "ExpiredProviderToken")
    state.accepted(101.0, 101.1)
    for _ in range(3):
        again = refuse(state, 403, "ExpiredProviderToken", sent_at=102.0, now=102.1)
        assert again.outcome.retry_at_once
        assert again.replace_connection
    assert not state.hold.held


def test_what_was_sent_with_the_token_before_does_not_step_again() -> None:
    state = CredentialState(token_credential())
    state.bearer(50.0, WALL)
    assert refuse(state, 403, "ExpiredProviderToken").outcome.retry_at_once
    for _ in range(10):
        assert refuse(state, 403, "ExpiredProviderToken", now=101.0).outcome.retry_at_once
    assert not state.hold.held
    assert not refuse(state, 403, "ExpiredProviderToken", sent_at=102.0, now=103.0).outcome.retry_at_once
    assert state.hold.reason == "ClockWrong"


def test_a_goaway_holds_only_for_reasons_about_the_credential() -> None:
    state = CredentialState(certificate_credential())
    for reason in ("", "Shutdown", "IdleTimeout", "Nonsense"):
        state.goaway(reason, 100.0)
        assert not state.hold.held
    state.goaway("BadCertificateEnvironment", 100.0)
    assert state.hold.held
    assert state.bearer(0.0, WALL) == b""


def test_descriptions_are_json_without_secrets() -> None:
    for state in (
        CredentialState(None),
        CredentialState(token_credential()),
        CredentialState(certificate_credential()),
        mismatched(),
    ):
        state.bearer(1.0, WALL)
        text = json.dumps(state.describe(1.0, WALL))
        assert "bearer" not in text
        assert "PRIVATE" not in text
