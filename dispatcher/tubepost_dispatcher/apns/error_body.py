"""What an answer other than 200 says besides its status. Pure.

The body is JSON ("Handling notification responses from APNs").
"""

from __future__ import annotations

import email.utils

import orjson

from tubepost_dispatcher.text import foreign


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
        foreign(reason) if isinstance(reason, str) else "",
        # Up to the year 9999, beyond which date functions fail.
        int(timestamp) if 0 < timestamp < 253_402_300_800_000 else 0,
    )


def parse_retry_after(value: bytes, wall: float) -> float:
    """Seconds to wait by a Retry-After header (RFC 9110, section 10.2.3); 0.0 where it says none.

    Args:
        value: as it came: seconds, or a date; empty without the header.
        wall: unix seconds now.
    """
    text = value.strip().decode("latin-1")
    if not text:
        return 0.0
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - wall)
    except (ValueError, OverflowError):
        return 0.0
