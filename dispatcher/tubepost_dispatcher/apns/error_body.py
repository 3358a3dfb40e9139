"""The JSON body of an answer other than 200 ("Handling notification responses from APNs"). Pure."""

from __future__ import annotations

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
