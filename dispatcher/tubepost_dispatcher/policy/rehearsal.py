"""What a policy would do with a notification: its hooks are called as by the dispatcher, and nothing is sent.

Blocks; for commands.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tubepost_api.config import DeliveryConfig, RouteDefaults
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.delivery.domain import Domain, Route
from tubepost_dispatcher.delivery.headers import RouteFacts, resolve
from tubepost_dispatcher.delivery.hooks import Ruling
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.notification import Notification, PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.policy.changes import Refused
from tubepost_dispatcher.policy.check import Finding, Session
from tubepost_dispatcher.policy.facts import message_facts, outcome_facts, request_facts
from tubepost_dispatcher.policy.rulings import ruling_of
from tubepost_dispatcher.policy.wire import AT, Point
from tubepost_dispatcher.reasons.catalogue import lookup

ROUTE: Final = "rehearsal"
"""Name of the route that is pretended."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call: of which hooks, how long it took, and what came of it.

    Attributes:
        point: when they are called.
        hooks: their names.
        seconds: the call took.
        answer: what they changed and asked for; JSON values.
        ruling: what that means; None after a fault.
        fault: what went wrong; empty where nothing did.
    """

    point: Point
    hooks: tuple[str, ...]
    seconds: float
    answer: dict[str, Any]
    ruling: Ruling | None
    fault: str = ""


class _Nowhere:
    """A pool and an owner that are never reached."""

    held_until = 0.0

    def submit(self, request: ApnsRequest[object]) -> None:
        raise NotImplementedError

    def withdraw(self, request: ApnsRequest[object]) -> bool:
        raise NotImplementedError

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        raise NotImplementedError

    def deferred(self, delivery: Delivery, outcome: Outcome, at: float) -> None:
        raise NotImplementedError


def rehearsed(notification: Notification, topic: str) -> Delivery | Outcome:
    """A delivery as it is before its first attempt; or why none could be begun."""
    facts = RouteFacts(frozenset(), topic, "token", RouteDefaults())
    route = Route(ROUTE, _Nowhere(), facts)
    domain = Domain(DeliveryConfig(), [route])
    delivery = Delivery(notification, domain, _Nowhere(), RetryPolicy(1.0, 1.0), 0.0, 0.0)
    headers = _headers(delivery, notification.push, facts)
    if isinstance(headers, Outcome):
        return headers
    delivery.route = route
    return delivery


def rehearse(session: Session, delivery: Delivery, answer: Outcome) -> Iterator[Step]:
    """Go with a delivery past all hooks.

    Args:
        session: with the module.
        delivery: of `rehearsed`.
        answer: what APNs answers.

    Yields:
        A step for each point that the module has a hook for, until one ends it.
    """
    notification = delivery.notification
    for point in ("request", "response", "dispose"):
        hooks = tuple(name for name in AT[point] if name in session.checked.hooks)
        if point == "response":
            notification.attempt += 1
        if not hooks or (point == "dispose" and answer.kind is OutcomeKind.TRANSIENT):
            continue
        outcome = None if point == "request" else answer
        step = _step(session, point, hooks, delivery, outcome)
        yield step
        ruling = step.ruling
        if ruling is None:
            return
        if ruling.context is not None:
            notification.context = ruling.context
        if ruling.apns_id:
            notification.apns_id = ruling.apns_id
        if ruling.mail is not None or ruling.domain or (ruling.outcome is not None and point != "response"):
            return
        if ruling.outcome is not None:
            answer = ruling.outcome
            if answer.reason == "DroppedByPolicy":
                return


def _step(
    session: Session, point: Point, hooks: tuple[str, ...], delivery: Delivery, outcome: Outcome | None
) -> Step:
    call: dict[str, Any] = {"point": point, "message": message_facts(delivery, outcome)}
    if outcome is None:
        call["request"] = request_facts(delivery)
    else:
        call["outcome"] = call["response"] = outcome_facts(outcome)
    begun = time.perf_counter()
    found = session.call(call)
    seconds = time.perf_counter() - begun
    if isinstance(found, Finding):
        where = f"{found.hook}: " if found.hook else ""
        return Step(point, hooks, seconds, {}, None, f"{where}{found}")
    try:
        ruling = ruling_of(found, delivery.notification, outcome, time.time())
        if ruling.push is not None:
            _send(delivery, ruling.push)
    except Refused as refused:
        return Step(point, hooks, seconds, found, None, str(refused))
    return Step(point, hooks, seconds, found, ruling)


def _send(delivery: Delivery, push: PushPart) -> None:
    assert delivery.route is not None
    assert delivery.route.facts is not None
    headers = _headers(delivery, push, delivery.route.facts)
    if isinstance(headers, Outcome):
        raise Refused(f"{headers.reason}: {headers.detail}")
    delivery.push = push


def _headers(delivery: Delivery, push: PushPart, facts: RouteFacts) -> Outcome | None:
    """Settle the headers of a part; why they cannot be."""
    headers = resolve(push, facts, now=int(time.time()), expiry=delivery.domain.options.expiry)
    if isinstance(headers, Outcome):
        return headers
    delivery.headers = headers
    return None


def apns_answer(text: str) -> Outcome:
    """The outcome of an answer in short: `200`, `410:Unregistered`.

    Raises:
        ValueError: no HTTP status, or a failure without a reason.
    """
    number, _, reason = text.partition(":")
    status = int(number)
    if not 200 <= status <= 599 or (status != 200 and not reason.isalnum()):
        raise ValueError("a status, and behind a colon APNs' reason: 410:Unregistered")
    spec = lookup(status, reason)
    kind = spec.kind
    timestamp = int(time.time() * 1000) if status == 410 else 0
    given = "" if kind is OutcomeKind.DELIVERED else spec.reason
    return Outcome(kind, given, status=status, timestamp=timestamp)
