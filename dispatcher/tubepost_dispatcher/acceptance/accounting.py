"""Counts messages between the end of DATA and their reply, and what was remarkable about them."""

from __future__ import annotations

import logging
from typing import Final, Literal

from tubepost_dispatcher.intake.receive import Mail, Push
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.text import clean
from tubepost_dispatcher.transaction import DomainT

_LOG: Final = logging.getLogger("tubepost.acceptance")

MessageKind = Literal["push", "mail"]
Result = Literal["accepted", "deferred", "rejected", "abandoned"]

_KINDS: tuple[MessageKind, ...] = ("push", "mail")
_CHANNELS: Final = {
    "message/vnd.msys.smpp": "sms",
    "message/vnd.msys.mm7": "mms",
    "multipart/vnd.msys.mm7": "mms",
}
_NAMED = 5
"""Content types that a log line names."""
_RESULTS: tuple[Result, ...] = ("accepted", "deferred", "rejected", "abandoned")


def result_of(reply: Reply) -> Result:
    """What a reply to a message means, as a label of metrics."""
    if reply.code < 300:
        return "accepted"
    return "deferred" if reply.code < 500 else "rejected"


class Accounting:
    """Every message is counted in by `opened` and out by `closed`."""

    def __init__(self, metrics: Metrics) -> None:
        self._push_parts = metrics.tally(metrics.push_parts)
        self._warnings = metrics.push_part_warnings
        self._dropped = metrics.dropped_parts
        self._messages = {
            (kind, result): metrics.tally(metrics.messages.labels(kind, result))
            for kind in _KINDS
            for result in _RESULTS
        }
        self.open = 0
        """Messages between the end of DATA and the reply."""
        metrics.in_flight.set_function(lambda: self.open)

    def opened(self) -> None:
        """A message has come in whole."""
        self.open += 1

    def closed(self, kind: MessageKind, reply: Reply, *, abandoned: bool) -> None:
        """A message got its reply; `abandoned`: nobody was there to hear it."""
        self.open -= 1
        self._messages[kind, "abandoned" if abandoned else result_of(reply)].count += 1

    def noted(self, message_id: str, push: Push[DomainT]) -> None:
        """Count the push parts of a message, log and count what was charitably read or left out."""
        # Once for each part, also where every recipient has a notification of it.
        for notification in push.notifications[: push.parts]:
            self._push_parts.count += 1
            warnings = notification.push.warnings
            if warnings:
                for warning in warnings:
                    self._warnings.labels(warning).inc()
                _LOG.warning("message %s: push part read with warnings: %s", message_id, ", ".join(warnings))
        if push.ignored:
            self._note_dropped(message_id, push.ignored)

    def noted_mail(self, message_id: str, mail: Mail) -> None:
        """The same for a message of which only the e-mail part is of use."""
        for warning in mail.warnings:
            self._warnings.labels(warning).inc()
        if mail.warnings:
            _LOG.warning("message %s: read with warnings: %s", message_id, ", ".join(mail.warnings))
        if mail.ignored:
            self._note_dropped(message_id, mail.ignored)

    def email_dropped(self, message_id: str) -> None:
        """The e-mail part of a message is not sent, since there is no relay."""
        self._dropped.labels("email").inc()
        _LOG.info("message %s: its e-mail part is dropped, no relay is configured", message_id)

    def _note_dropped(self, message_id: str, types: tuple[str, ...]) -> None:
        for type_ in types:
            self._dropped.labels(_CHANNELS.get(type_, "other")).inc()
        named = ", ".join(clean(type_) for type_ in types[:_NAMED])
        more = f" and {len(types) - _NAMED} more" if len(types) > _NAMED else ""
        _LOG.info("message %s: parts of other channels ignored: %s%s", message_id, named, more)
