"""Whether an outcome is reported to the sender, and as what (RFC 3461, RFC 5321 4.5.5, RFC 3834). Pure.

There is no report to the null return path (every bounce has that), none that the sender has declined with
NOTIFY, and none about an automatic reply (`Auto-Submitted: auto-replied`), as none of them could be answered
for ever. Mail of a list, of bulk or of a program (`Precedence`, `Auto-Submitted: auto-generated`) is reported
on as by other mail servers: RFC 3834 is about answers of people's programs, and a list lives on its bounces.
"""

from __future__ import annotations

import re
from typing import Final

from tubepost_dispatcher.bounces.header_text import value_of
from tubepost_dispatcher.bounces.report import ReportKind
from tubepost_dispatcher.bounces.wishes import DELAY, FAILURE, SUCCESS, Wishes, wishes_of
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome, OutcomeKind

_NOT_TOLD: Final = frozenset(
    {"ClientGone", "InternalError", "DroppedByPolicy", "ReroutedByPolicy", "Blackhole"}
)
"""Ends that are the sender's own, ours, or wanted by whoever runs this."""
_WISH: Final[dict[ReportKind, str]] = {"bounce": FAILURE, "delay": DELAY, "success": SUCCESS}
_WORD: Final = re.compile(r"[A-Za-z-]+")


def kind_of(outcome: Outcome) -> ReportKind | None:
    """What a report of an end would be; None: of this one there is none."""
    if outcome.kind is OutcomeKind.DELIVERED:
        return "success"
    return None if outcome.reason in _NOT_TOLD else "bounce"


def wanted(notification: Notification, kind: ReportKind) -> Wishes | None:
    """What the sender wants of a report; None: it wants none, or must not get one."""
    if not notification.return_path or is_automatic_reply(notification.headers):
        return None
    wishes = wishes_of(notification.dsn)
    return wishes if _WISH[kind] in wishes.notify else None


def is_automatic_reply(headers: str) -> bool:
    """Whether a header block says that its message answers another one by itself (RFC 3834 5)."""
    word = _WORD.match(value_of(headers, "auto-submitted"))
    return word is not None and word[0].lower() == "auto-replied"
