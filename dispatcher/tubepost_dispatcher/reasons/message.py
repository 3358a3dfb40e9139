"""Reasons of the reader of messages, for faults that APNs has no word for. All are permanent. Data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tubepost_dispatcher.outcome import OutcomeKind
from tubepost_dispatcher.reasons.spec import ReasonSpec, Source


def _row(
    reason: str,
    help_: str,
    remedy: str,
    legacy_code: int = 4,
    smtp_code: int = 554,
    enhanced: str = "5.6.0",
    text: str = "",
) -> ReasonSpec:
    return ReasonSpec(
        reason,
        OutcomeKind.PERMANENT,
        smtp_code,
        enhanced,
        help_,
        remedy,
        legacy_code,
        text,
        source=Source.MESSAGE,
    )


MESSAGE_REASONS: Final[tuple[ReasonSpec, ...]] = (
    _row(
        "BadMessage",
        "The mail is not a well-formed MCMT message.",
        "The reply names the part and the fault: correct the sender's MIME.",
    ),
    _row(
        "MessageTruncated",
        "A multipart has no closing boundary: the mail was cut short.",
        "Send the whole message, down to the closing boundary.",
    ),
    _row(
        "LimitExceeded",
        "The mail exceeds a bound of the parser (headers, parts, depth).",
        "Send fewer headers or parts; the reply names the bound.",
    ),
    _row(
        "EmailPartTooLarge",
        "The encoded e-mail part exceeds the bound for decoding.",
        "Send the e-mail part as 8bit, without an encoding.",
        4,
        552,
        "5.3.4",
    ),
    _row(
        "NoPushPart",
        "The MCMT message has no part of type message/vnd.msys.apn.",
        "Add a push part.",
        text="the MCMT message has no part of type message/vnd.msys.apn",
    ),
    _row(
        "BadPayload",
        "The payload is not one JSON object.",
        "The reply names line and column: correct the JSON.",
    ),
    _row(
        "DeviceTokenTooLong",
        "The device token has more than 200 digits.",
        "Send the token as the app got it, in hex.",
        5,
        550,
        "5.1.1",
    ),
    _row(
        "TopicTooLong",
        "The topic is longer than 255 bytes.",
        "Correct apns-topic or the route's topic.",
        6,
        550,
    ),
    _row(
        "PushTypeNotAllowed",
        "The push type is not allowed with this credential.",
        "Use token authentication on the route for this push type.",
        4,
        550,
        "5.7.0",
    ),
    _row("BadReturnPath", "The Return-Path is not an address.", "Give an address, or leave it out."),
    _row(
        "TooManyNotifications",
        "Recipients times push parts are more than one message may make.",
        "Send it to fewer recipients at a time.",
        enhanced="5.5.3",
    ),
)

SHARED: Final = frozenset(
    {
        "BadChannelId",
        "BadCollapseId",
        "BadDeviceToken",
        "BadExpirationDate",
        "BadMessageId",
        "BadPriority",
        "BadTopic",
        "DuplicateHeaders",
        "InvalidPushType",
        "MissingDeviceToken",
        "MissingTopic",
        "PayloadEmpty",
        "PayloadTooLarge",
        "TopicDisallowed",
    }
)
"""APNs' words for faults that are found here already, before APNs sees the notification."""

WARNINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "trailing-comma-repaired": "The payload had a comma before } or ], which was replaced by a space.",
        "unusual-token-length": "The device token has an odd number of digits, or fewer than 64.",
        "payload-without-aps": "The payload has neither an `aps` nor an `mdm` member.",
        "line-ends-compacted": "The payload was within the limit with LF for CR LF, and was sent with LF.",
        "decorated-token": "The device token stood in brackets, quotes or groups (`<abcd 1234 ...>`).",
        "expiration-in-milliseconds": "apns-expiration was in milliseconds since 1970, not in seconds.",
        "expiration-in-microseconds": "apns-expiration was in microseconds since 1970, not in seconds.",
        "expiration-in-nanoseconds": "apns-expiration was in nanoseconds since 1970, not in seconds.",
        "expiration-relative": "apns-expiration was below 1,000,000,000, and was taken as seconds from now.",
        "quoted-printable-padding": "Blanks followed a soft line break of quoted-printable (RFC 2045 6.7).",
        "apns-id-repeated": "One apns-id stood for several notifications (of more than one recipient "
        "or part): the first has it, the others have their own.",
        "context-reserved": "X-Tubepost-Context named a variable that is Tubepost's to set; it was ignored.",
        "context-address-ignored": "X-Tubepost-Context named DLV_Source_Addr or DLV_Dest_Addr, and "
        "context.addresses is Ignore.",
        "boundary-rfc2231": "The boundary was split or encoded as of RFC 2231.",
    }
)
"""Every warning slug that a push part can carry. Those of the message stand with its first part."""
