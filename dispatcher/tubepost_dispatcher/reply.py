"""An SMTP reply as a value: what a client is told, by whoever decides it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Taken = Literal["", "delivered", "queued", "discarded", "reported", "mailed"]
"""What a positive reply to a message says of it; empty: that it was taken. The last two were not
delivered: the relay has a report of that, or the mail that a policy sends instead."""


class Reply(NamedTuple):
    """One answer to an SMTP command or message (RFC 5321 4.2, enhanced codes of RFC 3463).

    `text` is printable ASCII, one line, no secrets. `reason` names the fault for logs, metrics and legacy
    status codes: a word of the catalogue in `reasons`, empty for an acceptance. `taken` tells listeners that
    have more than a line to say what became of the message.
    """

    code: int
    enhanced: str
    text: str
    reason: str = ""
    taken: Taken = ""
