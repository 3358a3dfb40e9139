"""Queued acceptance: the reply to DATA follows the queue's fsync.

250 means that every notification of the message is on the disk, and the queue's to deliver. None of them is
when the reply is another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tubepost_api.config import DeliveryMode
from tubepost_dispatcher.acceptance.active import ActiveConfig
from tubepost_dispatcher.acceptance.base import DISCARDED, BaseAcceptance, PendingMessage
from tubepost_dispatcher.acceptance.context import AcceptanceContext
from tubepost_dispatcher.acceptance.queue_port import NotificationQueue
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Checked, Domain
from tubepost_dispatcher.intake.receive import MAX_NOTIFICATIONS, Push
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import MAX_REPLY_TEXT, outcome_reply, refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.store.port import Failure
from tubepost_dispatcher.text import printable
from tubepost_dispatcher.transaction import SessionFacts, Transaction

Item = tuple[Notification, Domain]


class QueuedMessage(PendingMessage):
    """A message that waits for the disk."""

    __slots__ = ("_acceptance", "checked", "discarded", "items")

    def __init__(self, acceptance: QueuedAcceptance, transaction: Transaction[Domain]) -> None:
        super().__init__(transaction)
        self._acceptance = acceptance
        self.items: Sequence[Item] = ()
        """What is to be stored."""
        self.checked: Sequence[Checked | None] = ()
        """What the check of each has found."""
        self.discarded: Sequence[Notification] = ()
        """Notifications for domains in delivery mode Blackhole."""

    def abandon(self) -> None:
        """The client has gone. What is not stored is not delivered, since the client will send it again."""
        self._acceptance.abandoned(self)


class QueuedAcceptance(BaseAcceptance[QueuedMessage]):
    """Implements `Acceptance` for `acceptance.mode: Queued`. For `queue` see `NotificationQueue`."""

    def __init__(
        self,
        active: ActiveConfig,
        deliverer: Deliverer,
        context: AcceptanceContext,
        queue: NotificationQueue,
    ) -> None:
        super().__init__(active, deliverer, context)
        self._queue = queue
        metrics = context.metrics
        self._accepted = metrics.tally(metrics.queue_accepted.labels("queued"))

    def check_recipient(self, session: SessionFacts, domain: str, recipients_so_far: int) -> Reply | Domain:
        """What serves a recipient's domain, or 550 for an unknown domain, or 452 for one too many."""
        del session
        if recipients_so_far >= MAX_NOTIFICATIONS:
            return refusal("TooManyRecipients")
        return self._serving(domain)

    def _message(self, transaction: Transaction[Domain]) -> QueuedMessage:
        return QueuedMessage(self, transaction)

    def _take_push(self, message: QueuedMessage, push: Push[Domain]) -> None:
        items: list[Item] = []
        checked: list[Checked | None] = []
        discarded: list[Notification] = []
        several = len(push.recipients) > 1
        wall = self._context.wall()
        for notification, recipient in push.addressed():
            domain = recipient.serving
            found = domain.check(notification.push, wall)
            if isinstance(found, Outcome):
                # As with a part that cannot be read: one that cannot be sent refuses the message.
                reply = outcome_reply(found)
                if several:
                    text = f"for {printable(recipient.address)}: {reply.text}"
                    reply = reply._replace(text=text[:MAX_REPLY_TEXT])
                self._refuse(message, push.notifications, reply)
                return
            if domain.options.mode is DeliveryMode.BLACKHOLE:
                discarded.append(notification)
            else:
                items.append((notification, domain))
                checked.append(found)
        self._context.accounting.noted(message.transaction.message_id, push)
        message.items, message.checked, message.discarded = items, checked, discarded
        if push.email is None or not items:
            self._put(message)
        else:
            kept = [one for one in push.recipients if one.serving.options.mode is not DeliveryMode.BLACKHOLE]
            self._mail_first(message, kept, push.email, partial(self._put, message))

    def _put(self, message: QueuedMessage) -> None:
        if not message.items:
            self._stored(message, None)
            return
        # From here on: the relay, which was asked before, has time-outs of its own.
        deadline = self._context.clock() + self._active.deadline
        self._deadlines.add(message, deadline)
        message.putting = self._queue.put(message.items, partial(self._stored, message), message.checked)

    def _stored(self, message: QueuedMessage, failure: Failure | None) -> None:
        message.putting = None  # it knows the message: a cycle
        if failure is not None:
            self._failed(message, self._not_stored(failure))
            return
        stored, discarded = len(message.items), len(message.discarded)
        self._accepted.count += stored
        for notification in message.discarded:
            self._context.discard(notification)
        text = _text(message.transaction.message_id, stored, discarded)
        self._answer(message, Reply(250, "2.0.0", text, "", "queued" if stored else "discarded"))

    def _failed(self, message: QueuedMessage, reply: Reply) -> None:
        self._refuse(message, [notification for notification, _ in message.items], reply)

    def abandoned(self, message: QueuedMessage) -> None:
        """The client has gone: what is not on the disk yet is not delivered."""
        if self._deliver_nothing_of(message):
            self._answer(message, refusal("ClientGone"))
        elif message.hand_over is not None:
            message.hand_over.withdraw()

    def _expired(self, message: QueuedMessage) -> None:
        """The disk has not answered by the deadline: the client will send it again, so it is not kept."""
        if self._deliver_nothing_of(message):
            self._failed(message, self._too_slow())


def _text(message_id: str, stored: int, discarded: int) -> str:
    if not stored:
        return DISCARDED
    text = f"Queued as {message_id}"
    if stored > 1 or discarded:
        text += f", {stored} notification{'s' if stored > 1 else ''}"
    if discarded:
        text += f"; {discarded} discarded, delivery mode is Blackhole"
    return text
