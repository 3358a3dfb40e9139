"""A message's way through acceptance, as far as the modes have it together: reading, mail, the answer."""

from __future__ import annotations

import asyncio
import functools
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, TypeVar

from tubepost_api.config import DeliveryMode
from tubepost_dispatcher.acceptance import message_line
from tubepost_dispatcher.acceptance.accounting import MessageKind
from tubepost_dispatcher.acceptance.active import ActiveConfig
from tubepost_dispatcher.acceptance.context import AcceptanceContext
from tubepost_dispatcher.acceptance.deadlines import Deadlines
from tubepost_dispatcher.acceptance.queue_port import Putting, failure_reply
from tubepost_dispatcher.acceptance.relay import HandOver
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.intake.receive import Mail, Push, receive
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.outgoing import unmap
from tubepost_dispatcher.store.port import Failure, FailureKind
from tubepost_dispatcher.transaction import Mailing, Recipient, Transaction
from tubepost_runtime.metrics import begin

_LOG: Final = logging.getLogger("tubepost.acceptance")

LARGE: Final = 256 * 1024
"""Octets of a message above which it is read in a thread: that takes milliseconds for each megabyte."""
MANY: Final = 100
"""Recipients above which the same is true, since it may have to be read for each of them."""

DISCARDED: Final = "Discarded: delivery mode is Blackhole"
"""Text of the 250 to a message of which nothing is delivered."""

MessageT = TypeVar("MessageT", bound="PendingMessage")


class PendingMessage(ABC):
    """A message between the end of DATA and its reply."""

    __slots__ = (
        "answered",
        "begun",
        "hand_over",
        "kind",
        "notifications",
        "putting",
        "relaying",
        "transaction",
    )

    def __init__(self, transaction: Transaction[Domain]) -> None:
        self.transaction = transaction
        self.kind: MessageKind = "push"
        self.notifications = 0
        """That were read from it."""
        self.begun: tuple[float, int] | None = None
        """Monotonic seconds and octets, where log or traces are told of the message."""
        self.hand_over: HandOver | None = None
        """Its way to the relay, None without."""
        self.relaying = False
        """The relay has its e-mail part and has not answered yet."""
        self.putting: Putting | None = None
        """Its way into the queue, None without."""
        self.answered = False

    @abstractmethod
    def abandon(self) -> None:
        """The client has gone. What was not sent is withdrawn, since the client will send it again."""


class BaseAcceptance(ABC, Generic[MessageT]):
    """What both modes do alike. Implements `Acceptance` together with a mode.

    Args:
        active: the configuration in force; `swap` replaces it.
        deliverer: delivers; it has the same domains.
        context: what the modes have together.
    """

    def __init__(self, active: ActiveConfig, deliverer: Deliverer, context: AcceptanceContext) -> None:
        self._active = active
        self._deliverer = deliverer
        self._context = context
        begin(context.metrics.queue_refused, [*(kind.value for kind in FailureKind), "slow"])
        self._deadlines: Deadlines[MessageT] = Deadlines(context.loop, context.clock, self._expired)

    @property
    def open(self) -> int:
        """Messages between the end of DATA and the reply, of all modes."""
        return self._context.open

    def swap(self, active: ActiveConfig) -> None:
        """Put another configuration in force; what is under way goes on."""
        self._active = active

    def _serving(self, name: str) -> Reply | Domain:
        """What serves a recipient's domain, or 550."""
        domain = self._active.domains.find(name)
        if domain is None:
            return refusal("UnknownDomain")
        return refusal("DomainRefused") if domain.options.mode is DeliveryMode.REFUSE else domain

    # -- a mode's own ---------------------------------------------------------------------------------

    @abstractmethod
    def _message(self, transaction: Transaction[Domain]) -> MessageT:
        """Make the pending message of a transaction."""

    @abstractmethod
    def _take_push(self, message: MessageT, push: Push[Domain]) -> None:
        """Go on with a message that has something to push."""

    @abstractmethod
    def _expired(self, message: MessageT) -> None:
        """The acceptance deadline has come."""

    # -- taking ---------------------------------------------------------------------------------------

    def accept(self, transaction: Transaction[Domain]) -> None:
        """Take a message at the end of its DATA; `transaction.reply` follows once, now or later."""
        context = self._context
        context.accounting.opened()
        message = self._message(transaction)
        transaction.pending = message
        if self._active.told:
            message.begun = context.clock(), len(transaction.content)
        try:
            if len(transaction.content) <= LARGE and len(transaction.recipients) <= MANY:
                self._take(message, self._receive(transaction, context.next_id))
                return
            reading = context.loop.run_in_executor(context.reader, self._receive_large, transaction)
            reading.add_done_callback(functools.partial(self._was_read, message))
        except Exception:  # noqa: BLE001 - whatever it is, a fault of ours must never become a bounce
            self._fault(message)

    def _receive(
        self, transaction: Transaction[Domain], next_id: Callable[[], bytes]
    ) -> Push[Domain] | Mail | Reply:
        active = self._active
        return receive(
            transaction,
            active.reception,
            relay=active.relays,
            next_id=next_id,
            now=self._context.wall(),
            keep_headers=active.keep_headers,
            addresses=active.addresses,
        )

    def _receive_large(self, transaction: Transaction[Domain]) -> Push[Domain] | Mail | Reply:
        """Read a message in the reader's thread."""
        received = self._receive(transaction, self._context.readers_id)
        unmap(transaction.content)
        return received

    def _was_read(self, message: MessageT, reading: asyncio.Future[Push[Domain] | Mail | Reply]) -> None:
        if reading.cancelled():
            return
        if message.transaction.abandoned:
            self._answer(message, refusal("ClientGone"))
        else:
            self._guarded(message, lambda: self._take(message, reading.result()))

    def _take(self, message: MessageT, received: Push[Domain] | Mail | Reply) -> None:
        transaction = message.transaction
        if isinstance(received, Push):
            transaction.apns_id = received.notifications[0].apns_id
            message.notifications = len(received.notifications)
            self._take_push(message, received)
        elif isinstance(received, Mail):
            self._context.accounting.noted_mail(transaction.message_id, received)
            self._take_mail(message, received.content)
        else:
            self._context.message_refused(transaction, received)
            self._answer(message, received)

    def _refuse(self, message: MessageT, notifications: Iterable[Notification], reply: Reply) -> None:
        for notification in notifications:
            self._context.notification_refused(notification, reply)
        self._answer(message, reply)

    # -- mail -----------------------------------------------------------------------------------------

    def _take_mail(self, message: MessageT, content: Mailing) -> None:
        message.kind = "mail"
        if not self._active.relays:
            self._answer(message, refusal("NotMcmt"))
            return

        def done(reply: Reply) -> None:
            self._answer(message, reply)

        transaction = message.transaction
        message.hand_over = self._context.relay.hand_over(
            self._active, transaction, transaction.recipients, content, done
        )

    def _mail_first(
        self,
        message: MessageT,
        recipients: Sequence[Recipient[Domain]],
        email: Mailing,
        then: Callable[[], None],
    ) -> None:
        """Hand the e-mail part to the relay where there is one; go on with `then` after its yes."""
        # The e-mail part goes first: the relay's yes is remembered, so that a sender who repeats the
        # message after a failed push does not make a second mail, and a relay that says no has not yet
        # caused a push that the repetition would double. It is forgotten with the final answer to a client
        # that hears it: the same message after that is a new one.
        if not self._active.relays:
            self._context.accounting.email_dropped(message.transaction.message_id)
            then()
            return

        def done(reply: Reply) -> None:
            message.relaying = False
            if reply.code >= 300:
                self._answer(message, reply._replace(text=f"E-mail part: {reply.text}"))
            elif message.transaction.abandoned:
                self._answer(message, refusal("ClientGone"))
            else:
                self._guarded(message, then)

        message.relaying = True
        message.hand_over = self._context.relay.hand_over(
            self._active, message.transaction, recipients, email, done, remember=True
        )

    def _guarded(self, message: MessageT, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # noqa: BLE001 - as in `accept`
            self._fault(message)

    def _fault(self, message: MessageT) -> None:
        """Answer a message that ran into a fault of ours, from within its handler."""
        _LOG.exception("message %s: internal error", message.transaction.message_id)
        self._answer(message, refusal("InternalError"))

    # -- the queue ------------------------------------------------------------------------------------

    def _deliver_nothing_of(self, message: MessageT) -> bool:
        """Give up what the disk has not taken yet; False: there is nothing of that kind."""
        if message.putting is None:
            return False
        message.putting.abandon()
        message.putting = None
        return True

    def _not_stored(self, failure: Failure) -> Reply:
        """The queue has not taken a message: count it; the reply."""
        self._context.metrics.queue_refused.labels(failure.kind.value).inc()
        return failure_reply(failure)

    def _too_slow(self) -> Reply:
        """The same for a disk that has not answered in time."""
        self._context.metrics.queue_refused.labels("slow").inc()
        return refusal("QueueSlow")

    # -- the end --------------------------------------------------------------------------------------

    def _answer(self, message: MessageT, reply: Reply) -> None:
        if message.answered:
            return
        message.answered = True
        self._deadlines.drop(message)
        transaction = message.transaction
        transaction.pending = None  # nor does an answered message leave a cycle behind
        if message.hand_over is not None and not transaction.abandoned and not 400 <= reply.code < 500:
            self._context.relay.forget(message.hand_over)
        self._context.accounting.closed(message.kind, reply, abandoned=transaction.abandoned)
        if message.begun is not None:
            self._tell(message, reply, *message.begun)
        try:  # noqa: SIM105 - for every message, and a context manager costs more than the rest of this method
            transaction.reply(reply)
        except ConnectionError:
            pass

    def _tell(self, message: MessageT, reply: Reply, since: float, size: int) -> None:
        """Tell the log of a message, and the traces."""
        transaction, count = message.transaction, message.notifications
        seconds = self._context.clock() - since
        if self._active.config.message_log == "Enabled":
            message_line.tell(transaction, reply, message.kind, count, size=size, seconds=seconds)
        if self._context.tracing is not None:
            self._context.tracing.message_answered(transaction, reply, count, size, seconds)
