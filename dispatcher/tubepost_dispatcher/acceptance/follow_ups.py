"""Mails that follow notifications whose sender waits for the answer: there is nothing to keep them in."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from tubepost_dispatcher.bounces.relay_sender import RelaySender
from tubepost_dispatcher.bounces.reports import Reports
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.follow_up import OutgoingMail
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import MAX_REPLY_TEXT, outcome_reply, refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.text import hide_tokens

_LOG = logging.getLogger("tubepost.bounces")

_REROUTED: Final = "ReroutedByPolicy"
Done = Callable[[Reply], None]


class MailJournal(Protocol):
    """Who remembers what became of mails."""

    def mailed(self, mail: OutgoingMail, outcome: Outcome, at: float, due: float = 0.0) -> None:
        """It was sent, or given up."""


class FollowUps:
    """Lives on one event loop; every method is called on it.

    Args:
        reports: what senders are told.
        sender: hands mails to the relay.
        metrics: where to count.
        journal: told what became of them.
        wall: unix seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        reports: Reports,
        sender: RelaySender,
        metrics: Metrics,
        journal: MailJournal,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reports = reports
        self._sender = sender
        self._metrics = metrics
        self._journal = journal
        self._wall = wall
        self._clock = clock

    def of(self, delivery: Delivery, outcome: Outcome) -> OutgoingMail | None:
        """The mail that follows an end whose sender waits; None: the answer says it all.

        That of a policy follows whatever the outcome is. A failure is reported where `bounces.direct` is
        Mail, success where the sender asks for that; what failed for now stays with the sender.
        """
        if delivery.follow_up is not None:
            return delivery.follow_up
        if outcome.kind is OutcomeKind.TRANSIENT:
            return None
        if outcome.kind is OutcomeKind.DELIVERED:
            wanted = delivery.notification.dsn is not None
        else:
            wanted = delivery.domain.bounces is not None and delivery.domain.bounces.direct == "Mail"
        return self._reports.of(delivery, outcome, self._wall()) if wanted else None

    def hand_over(self, mail: OutgoingMail, done: Done) -> None:
        """Hand a mail to the relay; `done`, never called from inside this call, hears the answer.

        While the relay has a trouble of its own nothing is tried, lest all senders wait for a time-out.
        """

        def answered(reply: Reply) -> None:
            self._record(mail, reply)
            done(reply)

        if self._sender.held_until > self._clock():
            self._sender.refuse(refusal("RelayUnreachable"), answered)
        else:
            self._sender.send(mail, answered)

    def _record(self, mail: OutgoingMail, reply: Reply) -> None:
        if reply.code < 300:
            self._metrics.bounces.labels(mail.kind, "sent").inc()
            self._journal.mailed(mail, Outcome(OutcomeKind.DELIVERED), self._wall())
            return
        self._metrics.bounces.labels(mail.kind, "rejected").inc()
        outcome = Outcome(
            OutcomeKind.PERMANENT, reply.reason, detail=f"{reply.code} {reply.enhanced} {reply.text}"
        )
        self._journal.mailed(mail, outcome, self._wall())
        text = "message %s: the relay has not taken the mail (%s) to %s (%s): %s"
        to = hide_tokens(mail.recipient)
        _LOG.warning(text, mail.message_id, mail.kind, to, outcome.reason, outcome.detail)


def answer(mail: OutgoingMail, outcome: Outcome, said: Reply) -> Reply:
    """What a sender hears whose notification was not delivered: the relay has `said` this to the mail."""
    if said.code < 300:
        if mail.kind != "reroute":
            text = f"Not delivered ({outcome.reason}), reported by mail"
            return Reply(250, "2.0.0", text, "", "reported")
        why = "" if outcome.reason == _REROUTED else f"Not delivered ({outcome.reason}), "
        return Reply(250, "2.0.0", f"{why}{'sent' if why else 'Sent'} as mail instead", "", "mailed")
    if outcome.reason == _REROUTED:
        # There is nothing else that the notification came to.
        return said._replace(text=f"The mail in its place: {said.text}"[:MAX_REPLY_TEXT])
    return outcome_reply(outcome)
