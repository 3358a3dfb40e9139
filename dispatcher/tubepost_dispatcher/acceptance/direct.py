"""Direct acceptance: the reply to DATA waits for APNs' verdict.

250 means that APNs said 200 (or, for mail, that the relay said 250): nothing is stored here. What failed for
now is tried again, on another route where there is one, until the acceptance deadline; then the reply is 451.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from tubepost_api.config import DeliveryMode
from tubepost_dispatcher.acceptance.base import BaseAcceptance, PendingMessage
from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.intake.receive import Push
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import local_outcome, outcome_reply, refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import SessionFacts, Transaction

RETRIES: Final = RetryPolicy(first=0.25, most=5.0)
"""Repetitions while a client waits."""


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
        """Not asked for by `RETRIES`; the client is told to come again."""
        del at
        self._acceptance.ended(self, delivery, outcome)


class DirectAcceptance(BaseAcceptance[DirectMessage]):
    """Implements `Acceptance` for `acceptance.mode: Direct`."""

    def check_recipient(self, session: SessionFacts, domain: str, recipients_so_far: int) -> Reply | Domain:
        """What serves a recipient's domain, or 452 for a second recipient, or 550 for an unknown domain."""
        del session
        if recipients_so_far:
            return refusal("OneRecipient")
        return self._serving(domain)

    def _message(self, transaction: Transaction[Domain]) -> DirectMessage:
        return DirectMessage(self, transaction)

    def _take_push(self, message: DirectMessage, push: Push[Domain]) -> None:
        context, config = self._context, self._active.config
        notification = push.notifications[0]
        if len(push.notifications) > 1:
            self._refuse(message, notification, refusal("TooManyPushParts"))
            return
        context.accounting.noted(message.transaction.message_id, push)
        recipient = push.recipients[0]
        domain = recipient.serving
        mode = domain.options.mode
        if mode is DeliveryMode.SUSPEND:
            self._refuse(message, notification, refusal("Suspended"))
            return
        now = context.clock()
        deadline = now + config.acceptance.deadline
        delivery, outcome = self._deliverer.prepare(notification, domain, message, RETRIES, now, deadline)
        message.delivery = delivery
        self._deadlines.add(message, deadline)
        if outcome is not None:
            # With an e-mail part the repetition is the sender's, since the mail has to go before the push.
            self._deliverer.settle(delivery, outcome, again=push.email is None)
        elif mode is DeliveryMode.BLACKHOLE:
            context.metrics.blackholed.inc()
            self._answer(message, Reply(250, "2.0.0", "Discarded: delivery mode is Blackhole"))
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
