from __future__ import annotations

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.apns.reasons import (
    APNS_REASONS,
    LOCAL_REASONS,
    REASONS,
    Action,
    ReasonSpec,
    clean,
    is_route_fault,
    local_outcome,
    lookup,
    parse_body,
    smtp_reply,
)
from tubepost_dispatcher.outcome import Outcome, OutcomeKind

DOCUMENTED = {
    400: "BadCollapseId BadExpirationDate BadMessageId BadPriority BadTopic DuplicateHeaders InvalidPushType "
    "MissingDeviceToken MissingTopic PayloadEmpty TopicDisallowed BadDeviceToken DeviceTokenNotForTopic IdleTimeout",
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
    assert len(REASONS) == len(APNS_REASONS) + len(LOCAL_REASONS)


@pytest.mark.parametrize("spec", REASONS.values(), ids=lambda spec: spec.reason)
def test_rows_are_consistent(spec: ReasonSpec) -> None:
    permanent = spec.status in PERMANENT and spec.reason != "IdleTimeout"
    assert spec.kind is (OutcomeKind.PERMANENT if permanent else OutcomeKind.TRANSIENT)
    assert spec.smtp_code // 100 == (5 if permanent else 4)
    assert re.fullmatch(rf"{spec.smtp_code // 100}\.\d\.\d{{1,2}}", spec.enhanced)
    # Momentum's: 2 to 8 are permanent, 1, 10 and 255 transient.
    assert spec.legacy_code in ({2, 3, 4, 5, 6, 7, 8} if permanent else {1, 10, 255})
    assert spec.help.endswith(".")
    assert lookup(spec.status, spec.reason) is spec
    assert spec.known


def test_only_what_is_about_the_token_tells_scripts_to_drop_it() -> None:
    dropped = {spec.reason for spec in REASONS.values() if spec.legacy_code in {5, 8}}
    assert dropped == {"BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered", "ExpiredToken"}


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


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.floats(),
        lambda x: st.dictionaries(st.sampled_from(["reason", "timestamp"]), x),
    ).map(orjson.dumps)
)
def test_any_body_is_read(body: bytes) -> None:
    reason, timestamp = parse_body(body)
    assert re.fullmatch(r"[\x20-\x7e]{0,128}", reason)
    assert 0 <= timestamp < 253_402_300_800_000


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"reason":"Unregistered","timestamp":1454402113000}', ("Unregistered", 1454402113000)),
        (b'{"reason":"X","timestamp":1454402113000.0}', ("X", 1454402113000)),
        (b'{"reason":"X","timestamp":true}', ("X", 0)),
        (b'{"reason":"X","timestamp":"1"}', ("X", 0)),
        (b'{"reason":7}', ("", 0)),
        (b"[]", ("", 0)),
        (b"<html>", ("", 0)),
        (b"", ("", 0)),
        (b'{"reason":"a\\r\\nb\\u0000\\u00e9"}', ("a??b??", 0)),
    ],
)
def test_bodies(body: bytes, expected: tuple[str, int]) -> None:
    assert parse_body(body) == expected


@given(st.text())
def test_clean_is_one_short_printable_line(text: str) -> None:
    assert re.fullmatch(r"[\x20-\x7e]{0,128}", clean(text))


def test_replies() -> None:
    assert smtp_reply(Outcome(OutcomeKind.DELIVERED, status=200, apns_id="x")) == (
        250,
        "2.0.0",
        "Delivered apns-id=x",
    )
    gone = Outcome(OutcomeKind.PERMANENT, "Unregistered", 410)
    assert smtp_reply(gone) == (550, "5.1.6", "APNs: Unregistered")
    assert smtp_reply(local_outcome("ConnectFailed", "no route")) == (
        451,
        "4.4.1",
        "Not delivered: ConnectFailed (no route)",
    )


def test_route_faults() -> None:
    assert is_route_fault("ConnectFailed")
    assert is_route_fault("InvalidProviderToken")
    assert not is_route_fault("BadDeviceToken")
    assert not is_route_fault("TooManyRequests")
    assert not is_route_fault("")
