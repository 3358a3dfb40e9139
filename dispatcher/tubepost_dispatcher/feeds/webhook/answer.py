"""What a receiver's answer means for the batch that it is about. Pure."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from tubepost_dispatcher.apns.error_body import parse_retry_after
from tubepost_dispatcher.text import foreign

MOST_WAIT: Final = 3600.0
"""Seconds of a Retry-After that are heeded."""


class Verdict(enum.Enum):
    """What becomes of a batch."""

    TAKEN = "taken"
    """Done."""
    AGAIN = "failed"
    """It is sent again, for as long as it can be kept."""
    SMALLER = "too_large"
    """It is sent again in two halves; a single event cannot be."""
    REFUSED = "refused"
    """The receiver will not take what is in it. It is sent a few times more, then dropped."""


class Answer(NamedTuple):
    """The verdict, with its reason in words."""

    verdict: Verdict
    text: str = ""
    wait: float = 0.0
    """Seconds that the receiver asks to be left alone."""


_WHERE_AND_WHO: Final = frozenset({401, 403, 404, 405, 407, 410, 421, 451})
"""Not about the batch: URL or credentials are wrong, or the receiver is not deployed. That can be mended."""
_LATER: Final = frozenset({408, 409, 423, 425, 429})


def judge(status: int, retry_after: bytes, body: bytes, wall: float, *secrets: str) -> Answer:
    """What an answer means.

    Args:
        status: HTTP status.
        retry_after: that header field as it came, empty without.
        body: the beginning of the body.
        wall: unix seconds now.
        secrets: what was sent and must not come back in words.
    """
    if 200 <= status < 300:
        return Answer(Verdict.TAKEN)
    said = foreign(body.decode("utf-8", "replace"), *secrets)
    text = f"it answered {status}" + (f": {said}" if said else "")
    if status == 413:
        return Answer(Verdict.SMALLER, text)
    if 300 <= status < 400:
        return Answer(Verdict.AGAIN, f"{text} (redirects are not followed: write the final URL)")
    if 400 <= status < 500 and status not in _WHERE_AND_WHO and status not in _LATER:
        return Answer(Verdict.REFUSED, text)
    return Answer(Verdict.AGAIN, text, min(parse_retry_after(retry_after, wall), MOST_WAIT))
