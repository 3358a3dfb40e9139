"""Every reason for which a notification is not delivered: its outcome, what the pool does, and the replies.

`REASONS` is data: APNs' own reasons ("Handling notification responses from APNs") and, with status 0, ours
for what APNs never answered. `lookup` is total: what is not in the table is judged by its status class and
keeps its text. Enhanced codes are RFC 3463's, legacy codes those of Momentum's logger (`%S`).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import orjson

from tubepost_dispatcher.outcome import Outcome, OutcomeKind

MAX_TEXT = 128
"""Characters that are kept of a text that came from outside."""


class Action(enum.Enum):
    """What the pool does about a reason, beyond returning the outcome."""

    NONE = "none"
    BACK_OFF = "leave it to the caller's schedule"
    RECONNECT = "replace the connection; an immediate repetition makes sense"
    NEW_TOKEN = "one early provider token per step, then hold the route"  # noqa: S105 - a sentence
    KEEP_TOKEN = "stay with the older provider token for 20 minutes, replace the connection"  # noqa: S105 - a sentence
    HOLD_ROUTE = "hold the route, one probe per interval"
    COUNT_MISMATCH = "count towards the environment breaker"


@dataclass(frozen=True, slots=True)
class ReasonSpec:
    """One row. `status` 0: APNs gave none. `known` is False for what `lookup` had to guess."""

    status: int
    reason: str
    kind: OutcomeKind
    action: Action
    smtp_code: int
    enhanced: str
    legacy_code: int
    help: str
    known: bool = True


_T, _P = OutcomeKind.TRANSIENT, OutcomeKind.PERMANENT

DELIVERED = ReasonSpec(200, "", OutcomeKind.DELIVERED, Action.NONE, 250, "2.0.0", 0, "APNs took it.")

_RequestRow = tuple[str, str, int, str]

# Momentum has no code for "the request is at fault in another way". 4 is permanent like these, and unlike 5
# and 8 it does not make a script that reads the log drop the device token.
_BAD_REQUEST: tuple[_RequestRow, ...] = (
    ("BadCollapseId", "5.6.0", 4, "The collapse id is longer than 64 bytes."),
    ("BadExpirationDate", "5.6.0", 4, "The expiration is not unix seconds."),
    ("BadMessageId", "5.6.0", 4, "The apns-id is not a UUID."),
    ("BadPriority", "5.6.0", 4, "The priority does not exist, or not for this push type."),
    ("BadTopic", "5.6.0", 6, "The topic is not one."),
    ("DuplicateHeaders", "5.6.0", 4, "A header came twice."),
    ("InvalidPushType", "5.6.0", 4, "The push type does not exist."),
    ("MissingDeviceToken", "5.1.1", 2, "There was no device token in the path."),
    ("MissingTopic", "5.6.0", 3, "There was no topic, and the certificate has several."),
    ("PayloadEmpty", "5.6.0", 4, "The payload is empty."),
    ("TopicDisallowed", "5.7.1", 6, "Pushing to this topic is not allowed."),
)

_CONFIGURATION = (
    ("BadCertificate", "The client certificate is not accepted."),
    ("BadCertificateEnvironment", "The client certificate belongs to the other environment."),
    ("Forbidden", "The request is not allowed with this credential."),
    ("InvalidProviderToken", "The provider token is not valid: wrong key, key id or team id."),
    ("MissingProviderToken", "No certificate was presented and no provider token sent."),
    ("BadEnvironmentKeyIdInToken", "The key belongs to the other environment."),
    ("BadEnvironmentKeyInToken", "The same, as APNs spells it on the wire."),
)


def _configuration(reason: str, text: str) -> ReasonSpec:
    return ReasonSpec(403, reason, _T, Action.HOLD_ROUTE, 451, "4.3.5", 1, text)


def _local(reason: str, enhanced: str, text: str, legacy: int = 1) -> ReasonSpec:
    return ReasonSpec(0, reason, _T, Action.BACK_OFF, 451, enhanced, legacy, text)


APNS_REASONS: tuple[ReasonSpec, ...] = (
    *(ReasonSpec(400, name, _P, Action.NONE, 550, code, old, text) for name, code, old, text in _BAD_REQUEST),
    ReasonSpec(
        400, "BadDeviceToken", _P, Action.COUNT_MISMATCH, 550, "5.1.1", 8,
        "No such token in this environment.",
    ),
    ReasonSpec(
        400, "DeviceTokenNotForTopic", _P, Action.COUNT_MISMATCH, 550, "5.1.1", 8,
        "The token belongs to another topic.",
    ),
    ReasonSpec(
        400, "IdleTimeout", _T, Action.RECONNECT, 451, "4.4.2", 1, "APNs closed the connection as idle."
    ),
    *(_configuration(name, text) for name, text in _CONFIGURATION),
    ReasonSpec(
        403, "ExpiredProviderToken", _T, Action.NEW_TOKEN, 451, "4.7.0", 1,
        "The provider token is older than an hour by APNs' clock.",
    ),
    ReasonSpec(
        403, "UnrelatedKeyIdInToken", _T, Action.RECONNECT, 451, "4.7.0", 1,
        "The connection was bound to another key by its first push.",
    ),
    ReasonSpec(404, "BadPath", _P, Action.NONE, 550, "5.3.0", 4, "The path is wrong: a fault of Tubepost."),
    ReasonSpec(
        405, "MethodNotAllowed", _P, Action.NONE, 550, "5.3.0", 4, "The method is wrong: a fault of Tubepost."
    ),
    ReasonSpec(
        410, "Unregistered", _P, Action.NONE, 550, "5.1.6", 8, "The device token is no longer in use."
    ),
    ReasonSpec(410, "ExpiredToken", _P, Action.NONE, 550, "5.1.6", 8, "The device token has expired."),
    ReasonSpec(413, "PayloadTooLarge", _P, Action.NONE, 552, "5.3.4", 7, "The payload is too large."),
    ReasonSpec(
        429, "TooManyRequests", _T, Action.BACK_OFF, 451, "4.2.1", 1,
        "Too many notifications for this one device.",
    ),
    ReasonSpec(
        429, "TooManyProviderTokenUpdates", _T, Action.KEEP_TOKEN, 451, "4.7.0", 1,
        "The provider token changed more than once in 20 minutes.",
    ),
    ReasonSpec(500, "InternalServerError", _T, Action.BACK_OFF, 451, "4.3.0", 1, "A fault of APNs."),
    ReasonSpec(503, "ServiceUnavailable", _T, Action.BACK_OFF, 451, "4.3.2", 1, "APNs is not available."),
    ReasonSpec(503, "Shutdown", _T, Action.RECONNECT, 451, "4.3.2", 10, "This APNs server is shutting down."),
)  # fmt: skip
"""APNs' own reasons."""

LOCAL_REASONS: tuple[ReasonSpec, ...] = (
    _local("ConnectFailed", "4.4.1", "No connection: name resolution or TCP failed."),
    _local("ConnectTimeout", "4.4.1", "No connection within the connect timeout."),
    _local("TlsFailed", "4.7.5", "The TLS handshake failed, or HTTP/2 was not agreed on."),
    _local("CertificateVerifyFailed", "4.7.5", "The server's certificate was not accepted."),
    _local("ProxyRefused", "4.4.1", "The HTTP CONNECT proxy refused."),
    _local("ConnectionLost", "4.4.2", "The connection ended before the answer; it may have been taken.", 255),
    _local("ResponseTimeout", "4.4.2", "No answer within the response timeout; it may have been taken.", 255),
    _local("StreamReset", "4.4.2", "APNs reset the stream; it may have been taken.", 255),
    _local("StreamRefused", "4.4.5", "APNs refused it unseen several times in a row."),
    _local("ProtocolError", "4.5.0", "The answer could not be understood; it may have been taken.", 255),
    _local("NoConnectionInTime", "4.4.1", "No connection, or no free stream on one, within the deadline."),
    _local("RouteHeld", "4.3.5", "The route is held since APNs refuses its credential."),
    _local("EnvironmentMismatch", "4.3.5", "The route is held: Sandbox and Production seem to be mixed up."),
    _local("ClockWrong", "4.3.5", "The route is held: fresh provider tokens are expired by APNs' clock."),
    _local("CredentialMissing", "4.3.5", "The route's credential is missing or unusable."),
    _local("CredentialExpired", "4.3.5", "The route's certificate is expired or not yet valid."),
    _local("Throttled", "4.7.0", "The delivery rate of this domain is used up."),
    _local("Suspended", "4.3.2", "Delivery is suspended for this domain."),
    _local("ShuttingDown", "4.3.2", "The dispatcher is stopping or this pool is being replaced.", 10),
    _local("InternalError", "4.3.0", "A fault of Tubepost.", 255),
)
"""Ours, for what APNs never answered. All are transient."""

REASONS: Mapping[str, ReasonSpec] = MappingProxyType(
    {spec.reason: spec for spec in (*APNS_REASONS, *LOCAL_REASONS)}
)
"""All rows by reason."""

# Another route may fare better at once; a repetition on this one would not.
_ROUTE_FAULTS = frozenset(
    {spec.reason for spec in APNS_REASONS if spec.action is Action.HOLD_ROUTE}
    | {"ServiceUnavailable", "InternalServerError", "Shutdown", "TooManyProviderTokenUpdates"}
    | {
        spec.reason
        for spec in LOCAL_REASONS
        if spec.reason not in {"Throttled", "Suspended", "ShuttingDown", "InternalError", "StreamReset"}
    }
)

# What an unknown reason is like, by status. 408 and 421 are RFC 9110's.
_LIKE: Mapping[int, str] = MappingProxyType(
    {
        401: "Forbidden",
        403: "Forbidden",
        404: "BadPath",
        405: "MethodNotAllowed",
        407: "ProxyRefused",
        408: "ServiceUnavailable",
        410: "Unregistered",
        413: "PayloadTooLarge",
        421: "Shutdown",
        425: "ServiceUnavailable",
        429: "TooManyRequests",
        503: "ServiceUnavailable",
    }
)
_UNSAFE = re.compile(r"[^\x20-\x7e]")


def lookup(status: int, reason: str) -> ReasonSpec:
    """Return the row for an answer; never fails, whatever came.

    A known reason keeps its meaning under another status of the same class. An unknown one is judged by its
    status; its text is kept, as `clean` leaves it. An empty one becomes `Status<n>`.
    """
    spec = REASONS.get(reason)
    if spec is not None and spec.status == status:
        return spec
    if status == DELIVERED.status:
        return DELIVERED
    if spec is not None and status > 0 and status // 100 == spec.status // 100:
        return replace(spec, status=status)
    like = REASONS.get(_LIKE.get(status, ""))
    if like is None:
        if 400 <= status < 500:
            like = REASONS["PayloadEmpty"]
        elif 500 <= status < 600:
            like = REASONS["InternalServerError"]
        else:
            like = REASONS["ProtocolError"]
    text = "Not in the table, judged by its status."
    return replace(like, status=status, reason=clean(reason) or f"Status{status}", help=text, known=False)


def clean(text: str) -> str:
    """Make a text from outside fit for SMTP replies and logs: printable ASCII, at most 128 characters."""
    return _UNSAFE.sub("?", text[:MAX_TEXT]).strip()


def parse_body(body: bytes) -> tuple[str, int]:
    """Return reason and timestamp (ms since the epoch, 0 when there is none) of an error body.

    A body that is not APNs' JSON gives `("", 0)`.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", 0
    if not isinstance(document, dict):
        return "", 0
    reason = document.get("reason")
    timestamp = document.get("timestamp")
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        timestamp = 0
    return (
        clean(reason) if isinstance(reason, str) else "",
        # Up to the year 9999, beyond which date functions fail.
        int(timestamp) if 0 < timestamp < 253_402_300_800_000 else 0,
    )


def is_route_fault(reason: str) -> bool:
    """Tell whether the route is to blame, not the notification: a later route may take it at once."""
    return reason in _ROUTE_FAULTS


def local_outcome(
    reason: str,
    detail: str = "",
    *,
    possible_double: bool = False,
    retry_at_once: bool = False,
    held_until: float = 0.0,
) -> Outcome:
    """Make the transient outcome of one of `LOCAL_REASONS`."""
    return Outcome(
        OutcomeKind.TRANSIENT,
        reason,
        detail=clean(detail),
        possible_double=possible_double,
        retry_at_once=retry_at_once,
        held_until=held_until,
    )


def smtp_reply(outcome: Outcome) -> tuple[int, str, str]:
    """Return SMTP code, enhanced code and text for an outcome (`Direct` acceptance)."""
    spec = DELIVERED if outcome.kind is OutcomeKind.DELIVERED else lookup(outcome.status, outcome.reason)
    if outcome.kind is OutcomeKind.DELIVERED:
        return spec.smtp_code, spec.enhanced, f"Delivered apns-id={outcome.apns_id}"
    who = "APNs" if outcome.status else "Not delivered"
    text = f"{who}: {outcome.reason}" + (f" ({outcome.detail})" if outcome.detail else "")
    return spec.smtp_code, spec.enhanced, text
