"""What values of APNs' request headers may hold (Apple, "Sending notification requests to APNs"). Pure."""

from __future__ import annotations

import re
from typing import Final

MAX_TOPIC: Final = 255
"""Bytes of the longest topic."""
MAX_COLLAPSE_ID: Final = 64
"""Bytes of the longest apns-collapse-id."""
MAX_CHANNEL_ID: Final = 256
"""Bytes of the longest apns-channel-id. Apple names no bound; those that it has given are below 64."""

_TOPIC: Final = re.compile(rb"[0-9A-Za-z._\-]+")
_BASE64: Final = re.compile(rb"(?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?")
_COLLAPSE_ID: Final = re.compile(rb"[!-~](?:[ -~]*[!-~])?")


def is_topic(value: bytes) -> bool:
    """Whether `value` has the characters of a bundle identifier; its length is not looked at."""
    return _TOPIC.fullmatch(value) is not None


def is_collapse_id(value: bytes) -> bool:
    """Whether `value` can be an apns-collapse-id: printable ASCII, at most `MAX_COLLAPSE_ID` bytes."""
    return len(value) <= MAX_COLLAPSE_ID and _COLLAPSE_ID.fullmatch(value) is not None


def is_channel_id(value: bytes) -> bool:
    """Whether `value` can be an apns-channel-id: base64 (RFC 4648 section 4), 1 to `MAX_CHANNEL_ID` bytes."""
    return 0 < len(value) <= MAX_CHANNEL_ID and _BASE64.fullmatch(value) is not None
