"""When hooks are asked about a delivery, and what follows from what they say.

A delivery that waits for hooks has a `question`. A fault of a hook is a transient failure of that
notification, unless it is delivered (it stays that) or has no time left (it ends as it would without hooks).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from tubepost_dispatcher.delivery.headers import resolve
from tubepost_dispatcher.delivery.hooks import Hooks, Question, Ruled, Ruling
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import local_outcome, permanent_outcome
from tubepost_dispatcher.text import clean

_LOG = logging.getLogger("tubepost.policy")

_NO_TIME_LEFT: Final = frozenset({"Expired", "Dropped"})
"""Ends after which there is no further attempt, whatever a hook says."""


class _Pending:
    """A delivery's question, while it is not answered. Implements `PendingQuestion`."""

    __slots__ = ("_ruled", "handle", "unsent")

    def __init__(self, ruled: Callable[[_Pending, Ruling], None], *, unsent: bool) -> None:
        self._ruled = ruled
        self.handle: Question | None = None
        self.unsent = unsent

    def answered(self, ruling: Ruling) -> None:
        self._ruled(self, ruling)

    def give_up(self, why: str) -> None:
        self.withdraw()
        self._ruled(self, Ruling(fault=why, busy=True))

    def withdraw(self) -> None:
        if self.handle is not None:
            self.handle.withdraw()


@dataclass(frozen=True, slots=True)
class Ways:
    """How a delivery goes on: the deliverer, as hook points see it. Times in monotonic seconds.

    Attributes:
        submit: sends it now.
        conclude: goes by the outcome of an attempt.
        attempted: tells listeners what an attempt came to, without going on.
        again_or_end: goes by an outcome that is not an attempt's.
        end: ends it.
        try_again: makes another attempt, by the domain that the notification has now.
        serves: whether there is an entry for a domain.
        guarded: does a step; a fault of ours ends the delivery.
        clock: monotonic seconds.
        wall: unix seconds.
    """

    submit: Callable[[Delivery], None]
    conclude: Callable[[Delivery, Outcome, float], None]
    attempted: Callable[[Delivery, Outcome, float], None]
    again_or_end: Callable[[Delivery, Outcome, float], None]
    end: Callable[[Delivery, Outcome, float], None]
    try_again: Callable[[Delivery], None]
    serves: Callable[[str], bool]
    guarded: Callable[[Delivery, Callable[[], None]], None]
    clock: Callable[[], float]
    wall: Callable[[], float]


class HookPoints:
    """Asks `hooks` where a delivery comes by a point. Lives on one event loop.

    Args:
        hooks: of the policy in force.
        ways: how deliveries go on.
    """

    def __init__(self, hooks: Hooks, ways: Ways) -> None:
        self._hooks = hooks
        self._ways = ways

    def before_send(self, delivery: Delivery) -> bool:
        """Whether hooks were asked; the delivery is sent after their answer."""
        if delivery.push is not delivery.notification.push and not self._restored(delivery):
            return False
        ask = partial(self._hooks.before_attempt, delivery)
        return self._ask(delivery, ask, partial(self._before_send, delivery), unsent=True)

    def after_attempt(self, delivery: Delivery, outcome: Outcome) -> bool:
        """Whether hooks were asked; they are where APNs has answered."""
        if not outcome.status:
            return False
        ask = partial(self._hooks.after_attempt, delivery, outcome)
        return self._ask(delivery, ask, partial(self._after_attempt, delivery, outcome))

    def before_end(self, delivery: Delivery, outcome: Outcome) -> bool:
        """Whether hooks were asked; they are where the notification is disposed of, not given back."""
        if outcome.kind is OutcomeKind.TRANSIENT or outcome.reason == "Dropped":
            return False
        ask = partial(self._hooks.before_end, delivery, outcome)
        return self._ask(delivery, ask, partial(self._before_end, delivery, outcome))

    def _ask(
        self,
        delivery: Delivery,
        ask: Callable[[Ruled], Question | None],
        then: Callable[[Ruling], None],
        *,
        unsent: bool = False,
    ) -> bool:
        def ruled(which: _Pending, ruling: Ruling) -> None:
            if delivery.question is which and not delivery.ended:
                delivery.question = None
                self._ways.guarded(delivery, partial(self._ruled, delivery, ruling, then))

        pending = _Pending(ruled, unsent=unsent)
        pending.handle = ask(pending.answered)
        if pending.handle is None:
            return False
        delivery.question = pending
        return True

    def _ruled(self, delivery: Delivery, ruling: Ruling, then: Callable[[Ruling], None]) -> None:
        if ruling.context is not None:
            delivery.notification.context = ruling.context
        then(ruling)

    # -- what follows ---------------------------------------------------------------------------------

    def _before_send(self, delivery: Delivery, ruling: Ruling) -> None:
        notification = delivery.notification
        fault = ruling.fault
        if not fault and ruling.push is not None:
            fault = self._altered(delivery, ruling.push)
        if fault:
            # It counts as an attempt, lest one that can never succeed be tried for ever at short intervals.
            notification.attempt += not ruling.busy
            self._ways.conclude(delivery, _failed(fault), self._ways.clock())
            return
        if ruling.apns_id:
            notification.apns_id = ruling.apns_id
            delivery.request = None
        if ruling.mail is not None or ruling.outcome is not None:
            self._finish(delivery, ruling, None)
        elif not (ruling.domain and self._moved(delivery, ruling.domain)):
            self._ways.submit(delivery)

    def _after_attempt(self, delivery: Delivery, outcome: Outcome, ruling: Ruling) -> None:
        delivered = outcome.kind is OutcomeKind.DELIVERED
        if ruling.fault:
            self._ways.conclude(delivery, outcome if delivered else _failed(ruling.fault), self._ways.clock())
        elif ruling.mail is not None or _is_drop(ruling.outcome):
            self._ways.attempted(delivery, outcome, self._ways.clock())
            self._finish(delivery, ruling, outcome)
        elif ruling.domain:
            self._ways.attempted(delivery, outcome, self._ways.clock())
            if not self._moved(delivery, ruling.domain):
                self._ways.again_or_end(delivery, outcome, self._ways.clock())
        else:
            self._ways.conclude(delivery, ruling.outcome or outcome, self._ways.clock())

    def _before_end(self, delivery: Delivery, outcome: Outcome, ruling: Ruling) -> None:
        final = outcome.reason in _NO_TIME_LEFT
        if ruling.fault:
            if final or outcome.kind is OutcomeKind.DELIVERED:
                self._ways.end(delivery, outcome, self._ways.clock())
            else:
                # The hook was to see to it, and has not: it is asked again when this fails again.
                self._ways.again_or_end(delivery, _failed(ruling.fault), self._ways.clock())
        elif ruling.mail is not None or ruling.outcome is not None:
            self._finish(delivery, ruling, outcome)
        elif not (ruling.domain and not final and self._moved(delivery, ruling.domain)):
            self._ways.end(delivery, outcome, self._ways.clock())

    def _finish(self, delivery: Delivery, ruling: Ruling, outcome: Outcome | None) -> None:
        """End a delivery as a hook wants it."""
        delivery.follow_up = ruling.mail
        if ruling.mail is None:
            assert ruling.outcome is not None
            outcome = ruling.outcome
        elif outcome is None or outcome.kind is not OutcomeKind.PERMANENT:
            outcome = permanent_outcome("ReroutedByPolicy", "sent as a mail instead")
        self._ways.end(delivery, outcome, self._ways.clock())

    def _moved(self, delivery: Delivery, domain: str) -> bool:
        """Go on with another domain's routes; False: it is not done, and the log says why."""
        notification = delivery.notification
        if notification.rerouted:
            _LOG.warning("message %s: it was sent to another domain before", notification.message_id)
            return False
        if not self._ways.serves(domain):
            _LOG.warning(
                "message %s: send_to(%s): no such domain is served", notification.message_id, clean(domain)
            )
            return False
        delivery.move_to(domain)
        self._ways.try_again(delivery)
        return True

    # -- what is sent ---------------------------------------------------------------------------------

    def _altered(self, delivery: Delivery, push: PushPart) -> str:
        """Set what is to be sent in this attempt; why it cannot be, or empty."""
        route = delivery.route
        assert route is not None
        assert route.facts is not None
        expiry = delivery.domain.options.expiry
        headers = resolve(push, route.facts, now=int(self._ways.wall()), expiry=expiry)
        if isinstance(headers, Outcome):
            return f"apn_request_eval: {headers.reason}: {headers.detail}"
        delivery.push, delivery.headers = push, headers
        delivery.request = None  # one with other values is made
        return ""

    def _restored(self, delivery: Delivery) -> bool:
        """Forget what hooks made of it for the attempt before."""
        return not self._altered(delivery, delivery.notification.push)


def _is_drop(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.reason == "DroppedByPolicy"


def _failed(fault: str) -> Outcome:
    return local_outcome("PolicyFailed", fault)
