"""Why messages and push parts are refused, or remarked upon, before APNs has seen them. Data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tubepost_dispatcher.reply import Reply


@dataclass(frozen=True, slots=True)
class LocalReason:
    """One reason of ours. `legacy_code` is the status code of Momentum's APNs module (`%S` of its logger)."""

    reason: str
    legacy_code: int
    help: str


_REASONS = (
    LocalReason("BadMessage", 4, "The mail is not a well-formed MCMT message."),
    LocalReason("MessageTruncated", 4, "A multipart has no closing boundary: the mail was cut short."),
    LocalReason("LimitExceeded", 4, "The mail exceeds a bound of the parser (headers, parts, depth)."),
    LocalReason("NoPushPart", 4, "The MCMT message has no part of type message/vnd.msys.apn."),
    LocalReason("BadPayload", 4, "The payload is not one JSON object."),
    LocalReason("PayloadEmpty", 4, "The part has no payload."),
    LocalReason("PayloadTooLarge", 7, "The payload is larger than APNs takes for the push type."),
    LocalReason("MissingDeviceToken", 2, "No device token in part, context variable or recipient."),
    LocalReason("BadDeviceToken", 8, "The device token is not made of hex digits."),
    LocalReason("DeviceTokenTooLong", 5, "The device token has more than 200 digits."),
    LocalReason("DuplicateHeaders", 4, "A header that may stand once stands twice in one block."),
    LocalReason("BadTopic", 6, "The topic is not a bundle identifier."),
    LocalReason("TopicTooLong", 6, "The topic is longer than 255 bytes."),
    LocalReason("TopicDisallowed", 6, "The route's certificate does not cover the topic."),
    LocalReason("MissingTopic", 3, "Neither the part nor the route nor its certificate names a topic."),
    LocalReason("InvalidPushType", 4, "The push type is unknown, or not allowed with this credential."),
    LocalReason("BadPriority", 4, "The priority is not one that the push type allows."),
    LocalReason("BadExpirationDate", 4, "The expiration is not one that the push type allows."),
    LocalReason("BadCollapseId", 4, "The collapse identifier is longer than 64 bytes, or not printable."),
    LocalReason("BadMessageId", 4, "The apns-id is not a UUID."),
    LocalReason("BadReturnPath", 4, "The Return-Path is not an address."),
)

REASONS: Final[Mapping[str, LocalReason]] = MappingProxyType({spec.reason: spec for spec in _REASONS})
"""Every `Reply.reason` of this package. Where APNs has a word for the same fault, it is APNs' word."""

WARNINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "trailing-comma-repaired": "The payload had a comma before } or ], which was replaced by a space.",
        "unusual-token-length": "The device token has an odd number of digits, or fewer than 64.",
        "payload-without-aps": "The payload has neither an `aps` nor an `mdm` member.",
    }
)
"""Every warning slug that a push part can carry."""

NO_PUSH_PART: Final = Reply(
    554, "5.6.0", "the MCMT message has no part of type message/vnd.msys.apn", "NoPushPart"
)
"""The answer to an MCMT message with nothing to push, and nowhere to relay its e-mail part to."""

TEXT_LIMIT: Final = 400
"""Characters of a rejection's text."""


def printable(value: bytes | str, limit: int = 64) -> str:
    r"""`value` in quotes for a text that people read: ASCII, the rest as \xHH, cut after `limit`."""
    raw = value[: limit + 1] if isinstance(value, bytes) else value[: limit + 1].encode("utf-8", "replace")
    cut = "..." if len(value) > limit else ""
    raw = raw[:limit]
    body = "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in raw)
    return f'"{body}{cut}"'


def reject(reason: str, text: str, code: int = 554, enhanced: str = "5.6.0") -> Reply:
    """A rejection whose reason is in `REASONS`; `text` holds foreign bytes only by way of `printable`."""
    return Reply(code, enhanced, text[:TEXT_LIMIT], reason)


def in_part(number: int, rejection: Reply) -> Reply:
    """The same rejection with the part's number (counted from 1, in the order of the message) before it."""
    return Reply(
        rejection.code,
        rejection.enhanced,
        f"part {number}: {rejection.text}"[:TEXT_LIMIT],
        rejection.reason,
    )
