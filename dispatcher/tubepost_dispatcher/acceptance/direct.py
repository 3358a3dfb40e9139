"""Direct acceptance: the reply to DATA waits for APNs' verdict.

250 means that APNs said 200 (or, for mail, that the relay said 250): nothing is stored here. What failed for
now is tried again, on another route where there is one, until the acceptance deadline; then the reply is 451.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tubepost_api.config import DeliveryMode
from tubepost_dispatcher.acceptance.accounting import Accounting, MessageKind
from tubepost_dispatcher.acceptance.active import ActiveConfig
from tubepost_dispatcher.acceptance.deadlines import Deadlines
from tubepost_dispatcher.acceptance.relay import HandOver, MailRelay
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.feeds.delivery_log import DeliveryLog
from tubepost_dispatcher.intake.apns_ids import apns_ids
from tubepost_dispatcher.intake.receive import Mail, Push, receive
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import local_outcome, outcome_reply, refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.outgoing import unmap
from tubepost_dispatcher.transaction import Mailing, SessionFacts, Transaction

_LOG = logging.getLogger("tubepost.acceptance")

RETRIES: Final = RetryPolicy(first=0.25, most=5.0)
"""Repetitions while a client waits."""
LARGE: Final = 256 * 1024
"""Octets of a message above which it is read in a thread: that takes milliseconds for each megabyte."""


class DirectMessage:
    """A message between the end of DATA and its reply: the pending one, and the owner of its delivery."""

    __slots__ = ("_acceptance", "answered", "delivery", "hand_over", "kind", "relaying", "transaction")

    def __init__(self, acceptance: DirectAcceptance, transaction: Transaction[Domain]) -> None:
        self._acceptance = acceptance
        self.transaction = transaction
        self.kind: MessageKind = "push"
        self.delivery: Delivery | None = None
        self.hand_over: HandOver | None = None
        """Its way to the relay, None without."""
        self.relaying = False
        """The relay has its e-mail part and has not answered yet."""
        self.answered = False

    def abandon(self) -> None:
        """The client has gone. What was not sent is withdrawn, since the client will send it again."""
        self._acceptance.abandoned(self)

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        """The delivery has come to its end."""
        self._acceptance.ended(self, delivery, outcome)

    def deferred(self, delivery: Delivery, outcome: Outcome, at: float) -> None:
        """Not asked for by `RETRIES`; the client is told to come again."""
        del at
        self._acceptance.ended(self, delivery, outcome)


class DirectAcceptance:
    """Implements `Acceptance` for `acceptance.mode: Direct`.

    Args:
        active: the configuration in force; `swap` replaces it.
        deliverer: delivers; it has the same domains.
        log: for messages that are refused before they are notifications.
        metrics: where to count.
        loop: schedules; the running loop by default.
        clock: monotonic seconds.
        wall: unix seconds.
    """

    def __init__(
        self,
        active: ActiveConfig,
        deliverer: Deliverer,
        log: DeliveryLog,
        metrics: Metrics,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._active = active
        self._deliverer = deliverer
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._wall = wall
        self._next_id = apns_ids()
        self._relay = MailRelay(metrics)
        self._accounting = Accounting(metrics)
        self._loop = loop or asyncio.get_running_loop()
        self._deadlines: Deadlines[DirectMessage] = Deadlines(self._loop, clock, self._expired)
        # One thread: large messages are read one after the other.
        self._reader = ThreadPoolExecutor(1, "intake")
        self._readers_id = apns_ids()

    @property
    def open(self) -> int:
        """Messages between the end of DATA and the reply."""
        return self._accounting.open

    def swap(self, active: ActiveConfig) -> None:
        """Put another configuration in force; what is under way goes on."""
        self._active = active

    async def close(self, grace: float) -> None:
        """Wait for hand-overs to the relay that are under way, at most `grace` seconds."""
        await self._relay.close(grace)
        self._reader.shutdown(wait=False, cancel_futures=True)

    # -- the listener's questions ---------------------------------------------------------------------

    def check_recipient(self, session: SessionFacts, domain: str, recipients_so_far: int) -> Reply | Domain:
        """What serves a recipient's domain, or 452 for a second recipient, or 550 for an unknown domain."""
        del session
        if recipients_so_far:
            return refusal("OneRecipient")
        return self._active.domains.find(domain) or refusal("UnknownDomain")

    def accept(self, transaction: Transaction[Domain]) -> None:
        """Take a message at the end of its DATA; `transaction.reply` follows once, now or later."""
        self._accounting.opened()
        message = DirectMessage(self, transaction)
        transaction.pending = message
        try:
            if len(transaction.content) <= LARGE:
                self._take(message, self._receive(transaction, self._next_id))
                return
            reading = self._loop.run_in_executor(self._reader, self._receive_large, transaction)
            reading.add_done_callback(functools.partial(self._was_read, message))
        except Exception:  # noqa: BLE001 - whatever it is, a fault of ours must never become a bounce
            _LOG.exception("message %s: internal error", transaction.message_id)
            self._answer(message, refusal("InternalError"))

    # -- taking ---------------------------------------------------------------------------------------

    def _receive(self, transaction: Transaction[Domain], next_id: Callable[[], bytes]) -> Push | Mail | Reply:
        config = self._active.config
        return receive(
            transaction,
            transaction.recipients[0],
            config.listener.mcmt_reception,
            relay=config.passthru is not None,
            next_id=next_id,
            now=self._wall(),
        )

    def _receive_large(self, transaction: Transaction[Domain]) -> Push | Mail | Reply:
        """Read a message in the reader's thread."""
        received = self._receive(transaction, self._readers_id)
        unmap(transaction.content)
        return received

    def _was_read(self, message: DirectMessage, reading: asyncio.Future[Push | Mail | Reply]) -> None:
        if reading.cancelled():
            return
        try:
            received = reading.result()
            if message.transaction.abandoned:
                self._answer(message, refusal("ClientGone"))
            else:
                self._take(message, received)
        except Exception:  # noqa: BLE001 - as in `accept`
            _LOG.exception("message %s: internal error", message.transaction.message_id)
            self._answer(message, refusal("InternalError"))

    def _take(self, message: DirectMessage, received: Push | Mail | Reply) -> None:
        transaction = message.transaction
        if isinstance(received, Push):
            self._take_push(message, received)
        elif isinstance(received, Mail):
            self._accounting.noted_mail(transaction.message_id, received)
            self._take_mail(message, received.content)
        else:
            self._log.message_refused(transaction, received, self._wall())
            self._answer(message, received)

    def _take_push(self, message: DirectMessage, push: Push) -> None:
        transaction, config = message.transaction, self._active.config
        notification = push.notifications[0]
        if len(push.notifications) > 1:
            self._refuse(message, notification, refusal("TooManyPushParts"))
            return
        self._accounting.noted(transaction.message_id, push)
        domain = transaction.recipients[0].serving
        mode = domain.options.mode
        if mode is DeliveryMode.SUSPEND:
            self._refuse(message, notification, refusal("Suspended"))
            return
        now = self._clock()
        deadline = now + config.acceptance.deadline
        delivery, outcome = self._deliverer.prepare(notification, domain, message, RETRIES, now, deadline)
        message.delivery = delivery
        self._deadlines.add(message, deadline)
        if outcome is not None:
            # With an e-mail part the repetition is the sender's, since the mail has to go before the push.
            self._deliverer.settle(delivery, outcome, again=push.email is None)
        elif mode is DeliveryMode.BLACKHOLE:
            self._metrics.blackholed.inc()
            self._answer(message, Reply(250, "2.0.0", "Discarded: delivery mode is Blackhole"))
        elif push.email is None:
            self._deliverer.start(delivery)
        elif config.passthru is None:
            self._accounting.email_dropped(transaction.message_id)
            self._deliverer.start(delivery)
        else:
            self._mail_first(message, delivery, push.email)

    def _refuse(self, message: DirectMessage, notification: Notification, reply: Reply) -> None:
        self._log.notification_refused(notification, reply, self._wall())
        self._answer(message, reply)

    # -- mail -----------------------------------------------------------------------------------------

    def _take_mail(self, message: DirectMessage, content: Mailing) -> None:
        message.kind = "mail"
        if self._active.config.passthru is None:
            self._answer(message, refusal("NotMcmt"))
            return

        def done(reply: Reply) -> None:
            self._answer(message, reply)

        message.hand_over = self._relay.hand_over(self._active, message.transaction, content, done)

    def _mail_first(self, message: DirectMessage, delivery: Delivery, email: Mailing) -> None:
        # The e-mail part goes first: the relay's yes is remembered, so that a sender who repeats the
        # message after a failed push does not make a second mail, and a relay that says no has not yet
        # caused a push that the repetition would double. It is forgotten with the final answer to a client
        # that hears it: the same message after that is a new one.
        def done(reply: Reply) -> None:
            message.relaying = False
            if reply.code >= 300:
                self._answer(message, reply._replace(text=f"E-mail part: {reply.text}"))
            elif message.transaction.abandoned:
                self._answer(message, refusal("ClientGone"))
            else:
                self._deliverer.start(delivery)

        message.relaying = True
        message.hand_over = self._relay.hand_over(
            self._active, message.transaction, email, done, remember=True
        )

    # -- the end --------------------------------------------------------------------------------------

    def ended(self, message: DirectMessage, delivery: Delivery, outcome: Outcome) -> None:
        """Answer with what became of the notification, unless the deadline came first."""
        if outcome.kind is OutcomeKind.DELIVERED and (message.answered or message.transaction.abandoned):
            # Nobody heard the 250, or a 451 went before it: the sender will send it again.
            assert delivery.route is not None
            self._metrics.possible_doubles.labels(delivery.route.name).inc()
        self._answer(message, outcome_reply(outcome))

    def abandoned(self, message: DirectMessage) -> None:
        """The client has gone: what was not sent is withdrawn, the outcome of what was sent still logged."""
        if message.delivery is not None and not message.relaying:
            self._deliverer.withdraw(message.delivery)
        elif message.hand_over is not None:
            message.hand_over.withdraw()

    def _expired(self, message: DirectMessage) -> None:
        """Answer at the acceptance deadline what has no verdict yet; a verdict that comes is still logged."""
        if message.delivery is None or message.relaying:
            return  # the relay has time-outs of its own
        if not self._deliverer.give_up(message.delivery):
            outcome = local_outcome("ResponseTimeout", "no answer by the acceptance deadline")
            self._answer(message, outcome_reply(outcome))

    def _answer(self, message: DirectMessage, reply: Reply) -> None:
        if message.answered:
            return
        message.answered = True
        self._deadlines.drop(message)
        transaction = message.transaction
        if message.hand_over is not None and not transaction.abandoned and not 400 <= reply.code < 500:
            self._relay.forget(message.hand_over)
        self._accounting.closed(message.kind, reply, abandoned=transaction.abandoned)
        with contextlib.suppress(ConnectionError):
            transaction.reply(reply)
