from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.acceptance import ACCEPTANCE_REASONS
from tubepost_dispatcher.reasons.apns import APNS_REASONS
from tubepost_dispatcher.reasons.catalogue import (
    ALL,
    REASONS,
    is_route_fault,
    legacy_code,
    local_outcome,
    lookup,
    outcome_reply,
    permanent_outcome,
    refusal,
    spec_of,
)
from tubepost_dispatcher.reasons.delivery import DELIVERY_REASONS
from tubepost_dispatcher.reasons.message import MESSAGE_REASONS
from tubepost_dispatcher.reasons.spec import Action, ReasonSpec, Source

DOCUMENTED = {
    400: "BadCollapseId BadExpirationDate BadMessageId BadPriority BadTopic DuplicateHeaders InvalidPushType "
    "MissingDeviceToken MissingTopic PayloadEmpty TopicDisallowed BadDeviceToken DeviceTokenNotForTopic IdleTimeout "
    "BadChannelId CannotCreateChannelConfig ChannelNotRegistered FeatureNotEnabled MissingChannelId "
    "MissingPushType",
    403: "BadCertificate BadCertificateEnvironment Forbidden InvalidProviderToken MissingProviderToken "
    "BadEnvironmentKeyIdInToken BadEnvironmentKeyInToken ExpiredProviderToken UnrelatedKeyIdInToken",
    404: "BadPath",
    405: "MethodNotAllowed",
    410: "Unregistered ExpiredToken",
    413: "PayloadTooLarge",
    429: "TooManyRequests TooManyProviderTokenUpdates",
    500: "InternalServerError",
    503: "ServiceUnavailable Shutdown",
}
PERMANENT = {400, 404, 405, 410, 413}


def test_every_documented_reason_has_its_row_and_nothing_else_has() -> None:
    pairs = {(status, reason) for status, names in DOCUMENTED.items() for reason in names.split()}
    assert {(spec.status, spec.reason) for spec in APNS_REASONS} == pairs


def test_one_word_has_one_row() -> None:
    assert len(REASONS) == len(ALL)


def test_permanence_is_apns_status_and_delivery_has_none() -> None:
    for spec in APNS_REASONS:
        permanent = spec.status in PERMANENT and spec.reason != "IdleTimeout"
        assert spec.kind is (OutcomeKind.PERMANENT if permanent else OutcomeKind.TRANSIENT)
    permanent_ends = {spec.reason for spec in DELIVERY_REASONS if spec.kind is OutcomeKind.PERMANENT}
    assert permanent_ends == {"Expired", "Dropped", "QueueGone", "DroppedByPolicy", "ReroutedByPolicy"}
    assert {spec.kind for spec in MESSAGE_REASONS} == {OutcomeKind.PERMANENT}


@pytest.mark.parametrize("spec", REASONS.values(), ids=lambda spec: spec.reason)
def test_rows_are_consistent(spec: ReasonSpec) -> None:
    permanent = spec.kind is OutcomeKind.PERMANENT
    assert spec.kind is not OutcomeKind.DELIVERED
    assert (spec.source is Source.APNS) == (spec.status != 0)
    assert spec.smtp_code // 100 == (5 if permanent else 4)
    assert re.fullmatch(rf"{spec.smtp_code // 100}\.\d\.\d{{1,2}}", spec.enhanced)
    # Momentum's: 2 to 8 are permanent, 1, 10 and 255 transient.
    assert spec.legacy_code in ({2, 3, 4, 5, 6, 7, 8} if permanent else {1, 10, 255})
    assert spec.help.endswith(".")
    assert spec.remedy.endswith(".") or (not spec.remedy and not permanent), (
        "a permanent failure has a remedy"
    )
    assert "|" not in spec.help + spec.remedy
    assert spec.text.isascii()
    assert lookup(spec.status, spec.reason) is spec
    assert spec.known


def test_only_what_is_about_the_token_tells_scripts_to_drop_it() -> None:
    dropped = {spec.reason for spec in REASONS.values() if spec.legacy_code in {5, 8}}
    about_the_token = {"BadDeviceToken", "DeviceTokenNotForTopic", "DeviceTokenTooLong"}
    assert dropped == about_the_token | {"Unregistered", "ExpiredToken"}


@pytest.mark.parametrize(
    ("status", "kind", "action"),
    [
        (400, OutcomeKind.PERMANENT, Action.NONE),
        (401, OutcomeKind.TRANSIENT, Action.HOLD_ROUTE),
        (403, OutcomeKind.TRANSIENT, Action.HOLD_ROUTE),
        (408, OutcomeKind.TRANSIENT, Action.BACK_OFF),
        (410, OutcomeKind.PERMANENT, Action.NONE),
        (421, OutcomeKind.TRANSIENT, Action.RECONNECT),
        (429, OutcomeKind.TRANSIENT, Action.BACK_OFF),
        (499, OutcomeKind.PERMANENT, Action.NONE),
        (502, OutcomeKind.TRANSIENT, Action.BACK_OFF),
        (302, OutcomeKind.TRANSIENT, Action.BACK_OFF),
        (0, OutcomeKind.TRANSIENT, Action.BACK_OFF),
    ],
)
def test_unknown_reasons_are_judged_by_their_status(status: int, kind: OutcomeKind, action: Action) -> None:
    spec = lookup(status, "BrandNew")
    assert (spec.status, spec.reason, spec.kind, spec.action) == (status, "BrandNew", kind, action)
    assert not spec.known
    assert lookup(status, "").reason == f"Status{status}"


def test_a_known_reason_keeps_its_meaning_under_a_neighbouring_status() -> None:
    assert lookup(404, "Unregistered").kind is OutcomeKind.PERMANENT
    assert lookup(404, "Unregistered").legacy_code == 8
    assert lookup(500, "Unregistered").kind is OutcomeKind.TRANSIENT
    assert lookup(500, "ConnectFailed").reason == "ConnectFailed"


@given(st.integers(), st.text())
def test_lookup_is_total_and_its_text_is_safe(status: int, reason: str) -> None:
    spec = lookup(status, reason)
    assert re.fullmatch(r"[\x20-\x7e]{0,128}", spec.reason)
    assert spec.smtp_code in {250, 451, 550, 552}


def test_replies() -> None:
    delivered = Outcome(OutcomeKind.DELIVERED, status=200, apns_id="x")
    assert outcome_reply(delivered) == (250, "2.0.0", "Delivered apns-id=x", "", "delivered")
    gone = Outcome(OutcomeKind.PERMANENT, "Unregistered", 410)
    assert outcome_reply(gone)[:4] == (550, "5.1.6", "APNs: Unregistered", "Unregistered")
    assert outcome_reply(local_outcome("ConnectFailed", "no route"))[:4] == (
        451,
        "4.4.1",
        "Not delivered: ConnectFailed (no route)",
        "ConnectFailed",
    )
    assert outcome_reply(permanent_outcome("TopicTooLong", "the topic has 300 bytes"))[:4] == (
        550,
        "5.6.0",
        "the topic has 300 bytes",
        "TopicTooLong",
    )
    assert outcome_reply(local_outcome("Suspended")).text == "Delivery is suspended for this domain"


@pytest.mark.parametrize("spec", ACCEPTANCE_REASONS, ids=lambda spec: spec.reason)
def test_what_acceptance_refuses_is_said_in_a_fixed_text(spec: ReasonSpec) -> None:
    assert refusal(spec.reason)[:4] == (spec.smtp_code, spec.enhanced, spec.text, spec.reason)
    assert spec.text


def test_the_row_of_an_outcome() -> None:
    assert spec_of(permanent_outcome("MissingTopic", "no topic")).legacy_code == 3
    assert spec_of(local_outcome("Throttled")) is REASONS["Throttled"]
    assert spec_of(Outcome(OutcomeKind.PERMANENT, "Odd", 499)).reason == "Odd"
    assert spec_of(Outcome(OutcomeKind.DELIVERED, status=200)).legacy_code == 0
    assert legacy_code("MissingDeviceToken") == 2
    assert legacy_code("") == 4


def test_route_faults() -> None:
    assert is_route_fault("ConnectFailed")
    assert is_route_fault("InvalidProviderToken")
    assert not is_route_fault("BadDeviceToken")
    assert not is_route_fault("TooManyRequests")
    assert not is_route_fault("")


def test_a_reply_has_no_whole_device_token() -> None:
    token = "0123456789abcdef" * 4
    text = refusal("BadReturnPath", f'Return-Path "{token}@x" is no address').text
    assert text == 'Return-Path "01234567...@x" is no address'
    # Not even where the text is cut.
    assert token[:40] not in refusal("BadReturnPath", "x" * 370 + token).text
