"""An SMTP reply as a value: what a client is told, by whoever decides it."""

from __future__ import annotations

from typing import NamedTuple


class Reply(NamedTuple):
    """One answer to an SMTP command or message (RFC 5321 4.2, enhanced codes of RFC 3463).

    `text` is printable ASCII, one line, no secrets. `reason` names the fault for logs, metrics and legacy
    status codes: a word of the catalogue in `reasons`, empty for an acceptance.
    """

    code: int
    enhanced: str
    text: str
    reason: str = ""
