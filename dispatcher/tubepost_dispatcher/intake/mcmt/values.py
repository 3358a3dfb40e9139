"""Values of push header fields: each is checked against the characters that may stand in it."""

from __future__ import annotations

import binascii
import re
from typing import Final

from tubepost_dispatcher.header_values import (
    MAX_CHANNEL_ID,
    MAX_COLLAPSE_ID,
    MAX_TOPIC,
    is_channel_id,
    is_collapse_id,
    is_topic,
)
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.text import printable

MAX_TOKEN: Final = 200
"""Hex digits of the longest device token."""
MAX_EXPIRATION: Final = 2**63 - 1
"""The largest apns-expiration, unix seconds: what fits every 64-bit clock."""
MAX_PATH: Final = 254
"""Bytes of the longest Return-Path (RFC 5321 section 4.5.3.1.3, without the angle brackets)."""

_HEX: Final = re.compile(rb"[0-9A-Fa-f]+")
_HEX_IN_PIECES: Final = re.compile(rb"[0-9A-Fa-f]++(?:[ \t]++[0-9A-Fa-f]++)*+")
_PUSH_TYPE: Final = re.compile(rb"[0-9A-Za-z\-]{1,64}")
_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DIGITS: Final = re.compile(rb"[0-9]{1,19}")
_ATOM: Final = rb"[0-9A-Za-z!#$%&'*+/=?^_`{|}~\-]++"
_LABEL: Final = rb"[0-9A-Za-z_](?:[0-9A-Za-z_\-]{0,61}[0-9A-Za-z_])?"
_ADDRESS: Final = re.compile(
    rb"(?:" + _ATOM + rb"(?:\." + _ATOM + rb")*+|\"(?:[ !#-\[\]-~]|\\[ -~])*+\")"
    rb"@(?:" + _LABEL + rb"(?:\." + _LABEL + rb")*|\[[0-9A-Fa-f.:IPv]{3,64}\])"
)
_ENCODED_WORD: Final = re.compile(rb"=\?[0-9A-Za-z\-]++\?([QqBb])\?([!->@-~]*+)\?=")
_ENCODED_TEXT: Final = re.compile(
    rb"(?:=\?[0-9A-Za-z\-]++\?[QqBb]\?[!->@-~]*+\?=)(?:[ \t]++=\?[0-9A-Za-z\-]++\?[QqBb]\?[!->@-~]*+\?=)*+"
)
RELATIVE_EXPIRATION: Final = "expiration-relative"
"""Warning slug of a part whose `expiration` is seconds from now."""
_WHOLE_TOKEN: Final = 64
"""Hex digits of the shortest device token that APNs has given so far."""
_FIRST_TIME: Final = 10**9
"""September 2001. Less is no time that anybody means, but a number of seconds from now."""
# Numbers that mean the years 2001 to 2286 in another unit, and in seconds a year beyond 30,000. The largest
# that is taken, 2**63 - 1, is what senders write for "never".
_UNITS: Final = (
    (10**12, 10**13, 10**3, "expiration-in-milliseconds"),
    (10**15, 10**16, 10**6, "expiration-in-microseconds"),
    (10**18, 9 * 10**18, 10**9, "expiration-in-nanoseconds"),
)
_PRIORITIES: Final = {b"1": 1, b"5": 5, b"10": 10}


def unword(value: bytes) -> bytes:
    """Decode a value that is encoded words throughout (RFC 2047); any other is returned as it is.

    Python's `email` package writes a word longer than a line, such as a device token, in this form. Whatever
    comes out meets the same check of characters as a value in clear.
    """
    if not value.startswith(b"=?") or not _ENCODED_TEXT.fullmatch(value):
        return value
    words = []
    for kind, text in _ENCODED_WORD.findall(value):
        if kind in b"Qq":
            words.append(binascii.a2b_qp(text, header=True))
            continue
        try:
            words.append(binascii.a2b_base64(text, strict_mode=True))
        except binascii.Error:
            return value
    return b"".join(words)


def read_token(value: bytes, where: str) -> bytes | Reply:
    """A device token in lower case: 1 to `MAX_TOKEN` hex digits of any number; else 550 5.1.1.

    Hex digits in groups, in angle brackets or quotes, are taken too: apps print their `NSData` like this.
    What they print since iOS 13 leaves digits out, and is refused.
    """
    if _HEX.fullmatch(value) is None:
        value = unword(value)
        if not value:
            return refusal("MissingDeviceToken", f"{where} is empty")
    if _HEX.fullmatch(value) is None:
        bare = _undecorated(value)
        if bare is None:
            if b"bytes =" in value[:64] or b"..." in value[:512]:
                text = f"{where} is the description of an NSData, which leaves digits out; send all its bytes"
                return refusal("BadDeviceToken", f"{text} in hex")
            return refusal("BadDeviceToken", f"{where} is not made of hex digits: {printable(value, 24)}")
        value = bare
    if len(value) > MAX_TOKEN:
        return refusal("DeviceTokenTooLong", f"{where} has {len(value)} hex digits, the limit is {MAX_TOKEN}")
    return value.lower()


def _undecorated(value: bytes) -> bytes | None:
    """The hex digits of `<abcd 1234>`, `"abcd1234"` or `abcd 1234`; None: there is something else."""
    if value[:1] + value[-1:] in {b"<>", b'""', b"''"}:
        value = value[1:-1].strip(b" \t")
    if _HEX_IN_PIECES.fullmatch(value) is None:
        return None
    digits = value.translate(None, b" \t")
    # What is shorter than a device token may be anything.
    return digits if len(digits) >= _WHOLE_TOKEN else None


def read_address(value: bytes) -> str | None:
    """The address of a Return-Path (RFC 5321 `Path`, brackets optional, ASCII); empty for <>, None if bad."""
    if value.startswith(b"<") and value.endswith(b">"):
        value = value[1:-1]
        if not value:
            return ""
    if len(value) > MAX_PATH or _ADDRESS.fullmatch(value) is None:
        return None
    return value.decode("ascii")


def read_values(fields: dict[bytes, bytes], part: PushPart) -> Reply | None:
    """Check every field of `mime.PUSH_FIELDS` in `fields` and set it on `part`; the first bad one is told."""
    for name, raw in fields.items():
        refused = _SETTERS[name](unword(raw) if raw[:2] == b"=?" else raw, part)
        if refused is not None:
            return refused
    return None


def _topic(value: bytes, part: PushPart) -> Reply | None:
    if len(value) > MAX_TOPIC:
        return refusal("TopicTooLong", f"apns-topic has {len(value)} bytes, the limit is {MAX_TOPIC}")
    if not is_topic(value):
        return refusal("BadTopic", f"apns-topic {printable(value)} is not a bundle identifier")
    part.topic = value
    return None


def _push_type(value: bytes, part: PushPart) -> Reply | None:
    if _PUSH_TYPE.fullmatch(value) is None:
        return refusal("InvalidPushType", f"apns-push-type {printable(value)} is no push type")
    part.push_type = value.lower()
    return None


def _priority(value: bytes, part: PushPart) -> Reply | None:
    part.priority = _PRIORITIES.get(value)
    if part.priority is None:
        return refusal("BadPriority", f"apns-priority {printable(value)} is not 1, 5 or 10")
    return None


def _expiration(value: bytes, part: PushPart) -> Reply | None:
    if _DIGITS.fullmatch(value) is None or int(value) > MAX_EXPIRATION:
        return refusal(
            "BadExpirationDate", f"apns-expiration {printable(value)} is not a time in unix seconds"
        )
    time = int(value)
    if time >= _UNITS[0][0]:
        for least, above, factor, slug in _UNITS:
            if least <= time < above:
                time //= factor
                part.warnings = (*part.warnings, slug)
                break
    elif 0 < time < _FIRST_TIME:
        # The reader of the message knows what time it is, and adds it.
        part.warnings = (*part.warnings, RELATIVE_EXPIRATION)
    part.expiration = time
    return None


def _collapse_id(value: bytes, part: PushPart) -> Reply | None:
    if len(value) > MAX_COLLAPSE_ID:
        return refusal(
            "BadCollapseId", f"apns-collapse-id has {len(value)} bytes, the limit is {MAX_COLLAPSE_ID}"
        )
    if not is_collapse_id(value):
        return refusal("BadCollapseId", f"apns-collapse-id {printable(value)} is not printable ASCII")
    part.collapse_id = value
    return None


def _channel_id(value: bytes, part: PushPart) -> Reply | None:
    if not is_channel_id(value):
        return refusal(
            "BadChannelId",
            f"apns-channel-id {printable(value)} is not base64 of at most {MAX_CHANNEL_ID} bytes",
        )
    if len(value) >= _WHOLE_TOKEN and _HEX.fullmatch(value):
        return refusal("BadChannelId", "apns-channel-id is a device token; that goes into X-Device-Token")
    part.channel_id = value
    return None


def _apns_id(value: bytes, part: PushPart) -> Reply | None:
    value = value.lower()
    if _UUID.fullmatch(value) is None:
        return refusal("BadMessageId", f"apns-id {printable(value)} is not a UUID (8-4-4-4-12 hex digits)")
    part.apns_id = value
    return None


def _return_path(value: bytes, part: PushPart) -> Reply | None:
    part.return_path = read_address(value)
    if part.return_path is None:
        return refusal("BadReturnPath", f"Return-Path {printable(value)} is no address")
    return None


_SETTERS: Final = {
    b"apns-topic": _topic,
    b"apns-push-type": _push_type,
    b"apns-priority": _priority,
    b"apns-expiration": _expiration,
    b"apns-collapse-id": _collapse_id,
    b"apns-channel-id": _channel_id,
    b"apns-id": _apns_id,
    b"return-path": _return_path,
}
