"""What the modes of acceptance have together: counts, log, relay, clocks, the reader of large messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

from tubepost_dispatcher.acceptance.accounting import Accounting
from tubepost_dispatcher.acceptance.relay import MailRelay
from tubepost_dispatcher.feeds.delivery_log import DeliveryLog
from tubepost_dispatcher.feeds.tracing import Tracing
from tubepost_dispatcher.intake.apns_ids import apns_ids
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import Notification, PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Transaction

DomainT = TypeVar("DomainT")

_NOTHING: Final = PushPart(b"", b"")
"""Stands for the part of a message that could not be read."""


class MessageJournal(Protocol):
    """Who remembers what became of messages that delivery never had."""

    def blackholed(self, notification: Notification) -> None:
        """Delivery mode Blackhole has discarded it."""

    def refused(self, notification: Notification, outcome: Outcome) -> None:
        """Its sender was told so."""


class AcceptanceContext:
    """Outlives changes of the mode: a message that began in one mode ends in it.

    Args:
        log: for messages that are refused before they are notifications.
        metrics: where to count.
        journal: told what is refused, and what delivery mode Blackhole discards; None: there is none.
        tracing: told of every message; None: there are no traces.
        loop: schedules; the running loop by default.
        clock: monotonic seconds.
        wall: unix seconds.
    """

    def __init__(
        self,
        log: DeliveryLog,
        metrics: Metrics,
        journal: MessageJournal | None = None,
        tracing: Tracing | None = None,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.log = log
        self.metrics = metrics
        self._journal = journal
        self.tracing = tracing
        self.loop = loop or asyncio.get_running_loop()
        self.clock = clock
        self.wall = wall
        self.accounting = Accounting(metrics)
        self.relay = MailRelay(metrics)
        self.next_id = apns_ids()
        # One thread: large messages are read one after the other.
        self.reader = ThreadPoolExecutor(1, "intake")
        self.readers_id = apns_ids()

    def discard(self, notification: Notification) -> None:
        """Delivery mode Blackhole: it is counted, and not delivered."""
        self.metrics.blackholed.inc()
        if self._journal is not None:
            self._journal.blackholed(notification)

    def notification_refused(self, notification: Notification, reply: Reply) -> None:
        """Tell log and journal of a notification that was refused before delivery had it."""
        self.log.notification_refused(notification, reply, self.wall())
        if self._journal is not None:
            self._journal.refused(notification, _outcome(reply))

    def message_refused(self, transaction: Transaction[DomainT], reply: Reply) -> None:
        """Tell log and journal of a message that could not be read."""
        wall = self.wall()
        self.log.message_refused(transaction, reply, wall)
        if self._journal is None:
            return
        for recipient in transaction.recipients:
            what = Notification(
                _NOTHING,
                b"",
                transaction.message_id,
                transaction.mail_from,
                recipient.address,
                recipient.domain,
                user=transaction.session.user,
                client_address=transaction.session.remote_ip,
                accepted_at=wall,
            )
            self._journal.refused(what, _outcome(reply))

    @property
    def open(self) -> int:
        """Messages between the end of DATA and the reply."""
        return self.accounting.open

    async def close(self, grace: float) -> None:
        """Wait for hand-overs to the relay that are under way, at most `grace` seconds."""
        await self.relay.close(grace)
        self.reader.shutdown(wait=False, cancel_futures=True)


def _outcome(reply: Reply) -> Outcome:
    kind = OutcomeKind.TRANSIENT if reply.code < 500 else OutcomeKind.PERMANENT
    return Outcome(kind, reply.reason, detail=f"{reply.code} {reply.enhanced} {reply.text}")
