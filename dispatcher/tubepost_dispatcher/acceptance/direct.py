"""Direct acceptance: the reply to DATA waits for APNs' verdict.

250 means that APNs said 200 (or, for mail, that the relay said 250). What failed for now is tried again, on
another route where there is one, until the acceptance deadline; then the reply is 451. With
`acceptance.overflow: Queue` it goes into the queue instead, and the reply is 250 once it is on the disk.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from tubepost_api.config import DeliveryMode
from tubepost_dispatcher.acceptance.active import ActiveConfig
from tubepost_dispatcher.acceptance.base import DISCARDED, BaseAcceptance, PendingMessage
from tubepost_dispatcher.acceptance.context import AcceptanceContext
from tubepost_dispatcher.acceptance.deadlines import Deadlines
from tubepost_dispatcher.acceptance.follow_ups import FollowUps, answer
from tubepost_dispatcher.acceptance.queue_port import NotificationQueue
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.follow_up import OutgoingMail
from tubepost_dispatcher.intake.receive import Push
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import local_outcome, outcome_reply, refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.store.port import Failure
from tubepost_dispatcher.transaction import SessionFacts, Transaction

RETRIES: Final = RetryPolicy(first=0.25, most=5.0)
"""Repetitions while a client waits."""
BEFORE_QUEUE: Final = replace(RETRIES, hand_back=True)
"""The same where the queue takes over."""
DISK_PATIENCE: Final = 5.0
"""Seconds after the acceptance deadline that the disk has for what goes into the queue."""


class DirectMessage(PendingMessage):
    """A message that waits for its outcome; the owner of its delivery, too."""

    __slots__ = ("_acceptance", "delivery")

    def __init__(self, acceptance: DirectAcceptance, transaction: Transaction[Domain]) -> None:
        super().__init__(transaction)
        self._acceptance = acceptance
        self.delivery: Delivery | None = None

    def abandon(self) -> None:
        """The client has gone. What was not sent is withdrawn, since the client will send it again."""
        self._acceptance.abandoned(self)

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        """The delivery has come to its end."""
        self._acceptance.ended(self, delivery, outcome)

    def deferred(self, delivery: Delivery, outcome: Outcome, at: float) -> None:
        """Patience is over without a verdict, and there is a queue to go on with it."""
        del at
        self._acceptance.handed_back(self, delivery, outcome)


class DirectAcceptance(BaseAcceptance[DirectMessage]):
    """Implements `Acceptance` for `acceptance.mode: Direct`. For `queue` see `acceptance.overflow`."""

    def __init__(
        self,
        active: ActiveConfig,
        deliverer: Deliverer,
        context: AcceptanceContext,
        queue: NotificationQueue | None = None,
        follow_ups: FollowUps | None = None,
    ) -> None:
        super().__init__(active, deliverer, context)
        self._queue = queue
        self._follow_ups = follow_ups
        # Apart from the others: deadlines of one length pass in the order in which they were set.
        self._disk_deadlines: Deadlines[DirectMessage] = Deadlines(context.loop, context.clock, self._expired)

    @property
    def _overflow(self) -> NotificationQueue | None:
        """Where what has no verdict goes, None: back to the sender."""
        return self._queue if self._active.overflows else None

    def check_recipient(self, session: SessionFacts, domain: str, recipients_so_far: int) -> Reply | Domain:
        """What serves a recipient's domain, or 452 for a second recipient, or 550 for an unknown domain."""
        del session
        if recipients_so_far:
            return refusal("OneRecipient")
        return self._serving(domain)

    def _message(self, transaction: Transaction[Domain]) -> DirectMessage:
        return DirectMessage(self, transaction)

    def _take_push(self, message: DirectMessage, push: Push[Domain]) -> None:
        context = self._context
        notification = push.notifications[0]
        if len(push.notifications) > 1:
            self._refuse(message, push.notifications, refusal("TooManyPushParts"))
            return
        context.accounting.noted(message.transaction.message_id, push)
        recipient = push.recipients[0]
        domain = recipient.serving
        mode = domain.options.mode
        overflow = self._overflow
        if mode is DeliveryMode.SUSPEND and overflow is None:
            self._refuse(message, push.notifications, refusal("Suspended"))
            return
        now = context.clock()
        deadline = now + self._active.deadline
        policy = RETRIES if overflow is None else BEFORE_QUEUE
        delivery, outcome = self._deliverer.prepare(notification, domain, message, policy, now, deadline)
        if overflow is not None and (outcome is None or outcome.kind is OutcomeKind.TRANSIENT):
            if mode is DeliveryMode.SUSPEND:
                outcome = local_outcome("Suspended")
            elif mode is DeliveryMode.BLACKHOLE:
                outcome = None
        message.delivery = delivery
        self._deadlines.add(message, deadline)
        if outcome is not None and outcome.kind is OutcomeKind.TRANSIENT and push.email and overflow:
            # What the queue will take over has its mail before that.
            settle = partial(self._deliverer.settle, delivery, outcome)
            self._mail_first(message, push.recipients, push.email, settle)
        elif outcome is not None:
            # With an e-mail part the repetition is the sender's, since the mail has to go before the push.
            self._deliverer.settle(delivery, outcome, again=push.email is None)
        elif mode is DeliveryMode.BLACKHOLE:
            context.discard(notification)
            self._answer(message, Reply(250, "2.0.0", DISCARDED, "", "discarded"))
        elif push.email is None:
            self._deliverer.start(delivery)
        else:
            self._mail_first(message, push.recipients, push.email, partial(self._deliverer.start, delivery))

    def ended(self, message: DirectMessage, delivery: Delivery, outcome: Outcome) -> None:
        """Answer with what became of the notification, unless the deadline came first."""
        message.delivery = None  # its owner is the message: a cycle
        if outcome.kind is OutcomeKind.DELIVERED and (message.answered or message.transaction.abandoned):
            # Nobody heard the 250, or a 451 went before it: the sender will send it again.
            assert delivery.route is not None
            self._context.metrics.possible_doubles.labels(delivery.route.name).inc()
        if self._follow_ups is not None and not (message.answered or message.transaction.abandoned):
            mail = self._follow_ups.of(delivery, outcome)
            if mail is not None:
                self._guarded(message, partial(self._follow, message, self._follow_ups, mail, outcome))
                return
        self._answer(message, outcome_reply(outcome))

    def _follow(
        self, message: DirectMessage, follow_ups: FollowUps, mail: OutgoingMail, outcome: Outcome
    ) -> None:
        """Have the mail taken before the message is answered; a notice of success keeps nobody waiting."""
        if mail.kind == "success":
            self._answer(message, outcome_reply(outcome))
            follow_ups.hand_over(mail, _nothing_more)
            return

        def done(said: Reply) -> None:
            self._answer(message, answer(mail, outcome, said))

        follow_ups.hand_over(mail, done)

    def handed_back(self, message: DirectMessage, delivery: Delivery, outcome: Outcome) -> None:
        """Have the queue take over what delivery has not brought to its end."""
        message.delivery = None
        queue = self._overflow
        if message.transaction.abandoned:
            self._answer(message, refusal("ClientGone"))
        elif queue is None:  # by a configuration that came meanwhile
            self._answer(message, outcome_reply(outcome))
        else:
            self._guarded(message, partial(self._take_over, message, queue, delivery, outcome))

    def _take_over(
        self, message: DirectMessage, queue: NotificationQueue, delivery: Delivery, outcome: Outcome
    ) -> None:
        self._deadlines.drop(message)
        self._disk_deadlines.add(message, self._context.clock() + DISK_PATIENCE)
        message.putting = queue.take_over(delivery, outcome, partial(self._stored, message))
        if message.putting is None:
            self._disk_deadlines.drop(message)
            self._answer(message, outcome_reply(outcome))

    def _stored(self, message: DirectMessage, failure: Failure | None) -> None:
        message.putting = None  # it knows the message: a cycle
        self._disk_deadlines.drop(message)
        if failure is None:
            self._context.metrics.queue_accepted.labels("overflow").inc()
            text = f"Queued as {message.transaction.message_id}"
            self._answer(message, Reply(250, "2.0.0", text, "", "queued"))
        else:
            self._answer(message, self._not_stored(failure))

    def abandoned(self, message: DirectMessage) -> None:
        """The client has gone: what was not sent is withdrawn, the outcome of what was sent still logged."""
        if self._deliver_nothing_of(message):
            self._disk_deadlines.drop(message)
            self._answer(message, refusal("ClientGone"))
        elif message.delivery is not None and not message.relaying:
            self._deliverer.withdraw(message.delivery)
        elif message.hand_over is not None:
            message.hand_over.withdraw()

    def _expired(self, message: DirectMessage) -> None:
        """Answer at the acceptance deadline what has no verdict yet; a verdict that comes is still logged."""
        if self._deliver_nothing_of(message):
            self._answer(message, self._too_slow())
            return
        delivery = message.delivery
        if delivery is None or message.relaying:
            return  # the relay has time-outs of its own
        # What the queue takes over must not be sent twice: a request under way comes to its end first.
        if not self._deliverer.give_up(delivery) and not delivery.policy.hand_back:
            outcome = local_outcome("ResponseTimeout", "no answer by the acceptance deadline")
            self._answer(message, outcome_reply(outcome))


def _nothing_more(said: Reply) -> None:
    """A notice of success that the relay has not taken was counted and logged."""
    del said
