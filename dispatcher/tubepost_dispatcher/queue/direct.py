"""Direct acceptance: the reply to DATA waits for APNs' verdict.

A message is read, checked, handed to the pool of its route; transient failures are tried again, on the
next route where there is one, until the acceptance deadline. 250 means that APNs said 200 (or, for mail,
that the relay said 250): nothing is stored here. Everything runs in callbacks on the event loop; there is
no task and no future per notification.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from typing import Any

from tubepost_api.config import DeliveryMode, McmtReception
from tubepost_dispatcher.apns import reasons
from tubepost_dispatcher.apns.credential_state import LOOK_AGAIN
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.logging.hub import LogHub
from tubepost_dispatcher.mcmt.message import McmtMessage, PushPart
from tubepost_dispatcher.mcmt.parser import is_mcmt, parse_message
from tubepost_dispatcher.mcmt.reasons import NO_PUSH_PART
from tubepost_dispatcher.mcmt.resolve import ResolvedPush, resolve
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.queue.deadlines import Deadlines
from tubepost_dispatcher.queue.entries import EntryRuntime, RouteRuntime, Snapshot
from tubepost_dispatcher.queue.events import log_attempt, log_refusal
from tubepost_dispatcher.queue.ids import apns_ids
from tubepost_dispatcher.queue.mail import MailHandover
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Content, SessionFacts, Transaction

_LOG = logging.getLogger("tubepost.acceptance")

RETRY_FIRST = 0.25
"""Seconds before the first repetition of a transient failure; doubles up to `RETRY_MOST`."""
RETRY_MOST = 5.0

_UNKNOWN_DOMAIN = Reply(550, "5.1.2", "No such push domain here")
_ONE_RECIPIENT = Reply(452, "4.5.3", "One recipient per message with Direct acceptance, send it again")
_SUSPENDED = Reply(451, "4.3.2", "Delivery is suspended for this domain", "Suspended")
_NO_LONGER = Reply(451, "4.3.5", "This domain is no longer served here, try again later")
_REJECTED = Reply(554, "5.7.1", "MCMT messages are not accepted here", "McmtRejected")
_NO_RELAY = Reply(
    554, "5.6.0", "Not an MCMT message, and no passthru relay is configured for mail", "NotMcmt"
)
_MANY_PARTS = Reply(
    554, "5.6.0", "More than one push part in a message needs acceptance: Queued", "TooManyPushParts"
)
_THROTTLED = Reply(
    451, "4.7.0", "Throttled: the delivery rate of this domain is used up, try later", "Throttled"
)


class Delivery:
    """One push part between the end of DATA and the reply."""

    __slots__ = (
        "acceptance",
        "attempt",
        "deadline",
        "entry",
        "excluded",
        "instant_retries",
        "message",
        "part",
        "request",
        "resolved",
        "route",
        "started",
        "timer",
        "transaction",
    )

    def __init__(
        self,
        acceptance: DirectAcceptance,
        transaction: Transaction[EntryRuntime],
        message: McmtMessage,
        part: PushPart,
        deadline: float,
        now: float,
    ) -> None:
        self.acceptance = acceptance
        self.transaction = transaction
        self.message = message
        self.part = part
        self.entry = transaction.recipients[0].serving
        self.deadline = deadline
        self.started = now
        self.attempt = 0
        self.instant_retries = 0
        self.excluded: set[str] | None = None
        self.request: ApnsRequest[Delivery] | None = None
        self.resolved: ResolvedPush | None = None
        self.route: RouteRuntime | None = None
        self.timer: asyncio.TimerHandle | None = None

    def abandon(self) -> None:
        """The client is gone."""
        self.acceptance.abandon(self)


class DirectAcceptance:
    """Implements `tubepost_dispatcher.transaction.Acceptance` for `acceptance.mode: Direct`."""

    def __init__(
        self,
        snapshot: Snapshot,
        hub: LogHub,
        metrics: Metrics,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._snapshot = snapshot
        self._hub = hub
        self._metrics = metrics
        self._loop = loop or asyncio.get_running_loop()
        self._clock = clock
        self._wall = wall
        self._rng = rng
        self._next_id = apns_ids()
        self._mail = MailHandover(metrics)
        self._deadlines: Deadlines[Delivery] = Deadlines(self._loop, clock, self._expire)
        self._in_flight = metrics.in_flight
        self._push_parts = metrics.push_parts
        self._messages = {
            (kind, result): metrics.messages.labels(kind, result)
            for kind in ("push", "mail")
            for result in ("accepted", "deferred", "rejected", "abandoned")
        }
        self._attempt_children: dict[tuple[str, OutcomeKind, str], Any] = {}
        self.open = 0
        """Messages between the end of DATA and the reply."""

    # -- the listener's questions ---------------------------------------------------------------------

    def swap(self, snapshot: Snapshot) -> None:
        """Put another configuration in force; what is under way goes on and retries with the new one."""
        self._snapshot = snapshot

    def check_recipient(
        self, session: SessionFacts, domain: str, recipients_so_far: int
    ) -> Reply | EntryRuntime:
        """The entry of a recipient domain, or 452 for a second recipient, or 550 for an unknown domain."""
        del session
        if recipients_so_far:
            return _ONE_RECIPIENT
        return self._snapshot.entry_for(domain) or _UNKNOWN_DOMAIN

    def accept(self, transaction: Transaction[EntryRuntime]) -> None:
        """Take a message at the end of its DATA; `transaction.reply` follows once, now or later."""
        self.open += 1
        self._in_flight.inc()
        try:
            self._take(transaction)
        except Exception:  # noqa: BLE001 - whatever it is, a fault of ours must never become a bounce
            _LOG.exception("message %s: internal error", transaction.message_id)
            self._finish(transaction, "push", 451, "4.3.0", "Internal error, try again later")

    def abandon(self, delivery: Delivery) -> None:
        """The client is gone: what was not sent is withdrawn, since the client will send it again."""
        if delivery.timer is not None:
            delivery.timer.cancel()
            delivery.timer = None
        elif delivery.request is None or delivery.route is None:
            return
        elif not delivery.route.pool.withdraw(delivery.request):
            return  # it was sent: its outcome is logged and counted when it comes
        self._finish(delivery.transaction, "push", 451, "4.4.2", "Connection lost")

    # -- reading --------------------------------------------------------------------------------------

    def _take(self, transaction: Transaction[EntryRuntime]) -> None:
        config = self._snapshot.config
        reception = config.listener.mcmt_reception
        if reception is not McmtReception.ALLOW:
            mcmt = is_mcmt(transaction.content)
            if mcmt and reception is McmtReception.REJECT:
                self._refuse(transaction, None, _REJECTED)
            else:
                self._take_mail(transaction, transaction.content)
            return
        local_part = transaction.recipients[0].address.rpartition("@")[0]
        message = parse_message(transaction.content, recipient_local_part=local_part)
        if isinstance(message, Reply):
            self._refuse(transaction, None, message)
        elif not isinstance(message, McmtMessage):
            self._take_mail(transaction, transaction.content)
        elif not message.parts:
            if message.email is not None and config.passthru:
                self._take_mail(transaction, message.email)
            else:
                self._refuse(transaction, None, NO_PUSH_PART)
        elif len(message.parts) > 1:
            self._refuse(transaction, message.parts[0], _MANY_PARTS)
        else:
            self._take_push(transaction, message)

    def _take_push(self, transaction: Transaction[EntryRuntime], message: McmtMessage) -> None:
        part = message.parts[0]
        self._push_parts.inc()
        if part.warnings:
            for warning in part.warnings:
                self._metrics.push_part_warnings.labels(warning).inc()
            _LOG.warning(
                "message %s: push part read with warnings: %s",
                transaction.message_id,
                ", ".join(part.warnings),
            )
        if message.ignored:
            _LOG.info(
                "message %s: parts of other channels ignored: %s",
                transaction.message_id,
                ", ".join(message.ignored),
            )
        entry = transaction.recipients[0].serving
        mode = entry.delivery.mode
        if mode is DeliveryMode.SUSPEND:
            self._refuse(transaction, part, _SUSPENDED)
            return
        now = self._clock()
        delivery = Delivery(
            self, transaction, message, part, now + self._snapshot.config.acceptance.deadline, now
        )
        transaction.pending = delivery
        self._deadlines.add(delivery, delivery.deadline)
        if not self._choose_route(delivery, now):
            return
        if mode is DeliveryMode.BLACKHOLE:
            self._metrics.blackholed.inc()
            self._finish(transaction, "push", 250, "2.0.0", "Discarded: delivery mode is Blackhole")
            return
        if message.email is not None:
            if self._snapshot.config.passthru is None:
                _LOG.info(
                    "message %s: its e-mail part is dropped, no relay is configured", transaction.message_id
                )
            else:
                self._mail_first(delivery, message.email)
                return
        self._throttle(delivery, now)

    # -- mail -----------------------------------------------------------------------------------------

    def _take_mail(self, transaction: Transaction[EntryRuntime], content: Content) -> None:
        snapshot = self._snapshot
        if snapshot.config.passthru is None:
            self._refuse(transaction, None, _NO_RELAY, kind="mail")
            return

        def done(code: int, enhanced: str, text: str) -> None:
            self._finish(transaction, "mail", code, enhanced, text)

        self._mail.hand_over(snapshot, transaction, content, done)

    def _mail_first(self, delivery: Delivery, email: bytes) -> None:
        # The e-mail part goes first: the relay's yes is remembered, so that a sender who repeats the
        # message after a failed push does not make a second mail, and a relay that says no has not yet
        # caused a push that the repetition would double.
        transaction = delivery.transaction

        def done(code: int, enhanced: str, text: str) -> None:
            if code >= 300:
                self._finish(transaction, "push", code, enhanced, f"E-mail part: {text}")
            elif transaction.abandoned:
                self._finish(transaction, "push", 451, "4.4.2", "Connection lost")
            else:
                self._guarded(delivery, self._throttle, delivery, self._clock())

        self._mail.hand_over(self._snapshot, transaction, email, done, remember=True)

    # -- sending --------------------------------------------------------------------------------------

    def _choose_route(self, delivery: Delivery, now: float) -> bool:
        """Set route and resolved headers; False when the message was refused (and answered)."""
        route = self._pick(delivery, now)
        if route.facts is None:
            delivery.route = route
            # As a pool without a credential says it: there is no sense in trying again every second.
            outcome = reasons.local_outcome("CredentialMissing", held_until=now + LOOK_AGAIN)
            self._settle(delivery, outcome)
            return False
        if route is not delivery.route:
            if delivery.route is not None:
                self._metrics.failovers.labels(route.name).inc()
            wall = int(self._wall())
            resolved = resolve(delivery.part, route.facts, now=wall, expiry=delivery.entry.delivery.expiry)
            if isinstance(resolved, Reply):
                delivery.route = route
                self._refuse(delivery.transaction, delivery.part, resolved, route=route)
                return False
            delivery.route = route
            delivery.resolved = resolved
        return True

    def _pick(self, delivery: Delivery, now: float) -> RouteRuntime:
        routes = delivery.entry.routes
        if len(routes) == 1:
            return routes[0]
        excluded = delivery.excluded or ()
        for route in routes:
            if route.name not in excluded and route.facts is not None and route.pool.held_until <= now:
                return route
        # All are held or have failed this message: the one that opens first has the best chance.
        delivery.excluded = None
        return min(routes, key=lambda route: (route.facts is None, route.pool.held_until))

    def _throttle(self, delivery: Delivery, now: float) -> None:
        bucket = delivery.entry.throttle
        if bucket is not None:
            turn = bucket.reserve(now, delivery.deadline)
            if turn < 0:
                self._refuse(delivery.transaction, delivery.part, _THROTTLED, route=delivery.route)
                return
            if turn > now:
                delivery.timer = self._loop.call_later(turn - now, self._later, delivery)
                return
        self._send(delivery)

    def _send(self, delivery: Delivery) -> None:
        resolved, route, part = delivery.resolved, delivery.route, delivery.part
        assert resolved is not None
        assert route is not None
        request = delivery.request
        timeout = delivery.entry.delivery.response_timeout
        if request is None:
            transaction = delivery.transaction
            delivery.request = request = ApnsRequest(
                token=part.token,
                payload=part.payload,
                apns_id=part.apns_id or self._next_id(),
                topic=resolved.topic,
                push_type=resolved.push_type,
                priority=resolved.priority,
                expiration=resolved.expiration,
                collapse_id=resolved.collapse_id,
                response_timeout=timeout,
                give_up_at=delivery.deadline,
                on_outcome=self._on_outcome,
                owner=delivery,
                sender=transaction.mail_from.encode("utf-8", "replace"),
            )
        else:
            request.topic = resolved.topic
            request.push_type = resolved.push_type
            request.priority = resolved.priority
            request.collapse_id = resolved.collapse_id
            request.response_timeout = timeout
        delivery.attempt += 1
        route.pool.submit(request)

    def _later(self, delivery: Delivery) -> None:
        delivery.timer = None
        self._guarded(delivery, self._send, delivery)

    def _retry(self, delivery: Delivery) -> None:
        delivery.timer = None
        self._guarded(delivery, self._retry_now, delivery)

    def _retry_now(self, delivery: Delivery) -> None:
        # The configuration may have changed since: the entry in force now decides.
        entry = self._snapshot.entry_for(delivery.transaction.recipients[0].domain)
        if entry is None:
            # Its pools are closed or closing. Not a bounce: whoever sends it again hears what holds then.
            self._defer(delivery, _NO_LONGER)
            return
        if entry is not delivery.entry:
            if entry.delivery.mode is not DeliveryMode.DELIVER:
                # What the mode in force means is decided when the message comes again.
                self._defer(delivery, _SUSPENDED)
                return
            delivery.entry = entry
            delivery.route = None
        now = self._clock()
        if self._choose_route(delivery, now):
            assert delivery.route is not None
            self._metrics.retries.labels(delivery.route.name).inc()
            self._send(delivery)

    def _defer(self, delivery: Delivery, rejection: Reply) -> None:
        self._refuse(delivery.transaction, delivery.part, rejection)

    # -- outcomes -------------------------------------------------------------------------------------

    def _on_outcome(self, request: ApnsRequest[Delivery], outcome: Outcome) -> None:
        delivery = request.owner
        self._guarded(delivery, self._settle, delivery, outcome)

    def _expire(self, delivery: Delivery) -> None:
        """Answer at the acceptance deadline what was sent and has no verdict; the verdict is still logged."""
        if delivery.request is None:
            return  # the relay has its e-mail part: that has time-outs of its own
        if delivery.timer is not None:
            delivery.timer.cancel()  # lest it sends after the reply
            delivery.timer = None
        elif delivery.route is not None and delivery.route.pool.withdraw(delivery.request):
            self._settle(delivery, reasons.local_outcome("NoConnectionInTime"))
            return
        outcome = reasons.local_outcome("ResponseTimeout", "no answer by the acceptance deadline")
        self._finish(delivery.transaction, "push", *reasons.smtp_reply(outcome))

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        route = delivery.route
        assert route is not None
        kind = outcome.kind
        child = self._attempt_children.get((route.name, kind, outcome.reason))
        if child is None:
            child = self._attempt_child(route.name, kind, outcome.reason)
        child.inc()
        transaction = delivery.transaction
        now = self._clock()
        log_attempt(self._hub, delivery, outcome, now, self._wall())
        if kind is OutcomeKind.DELIVERED:
            if transaction.abandoned or transaction.pending is _FINISHED:
                # Nobody heard the 250, or a 451 went before it: the sender will send it again.
                self._metrics.possible_doubles.labels(route.name).inc()
            self._finish(transaction, "push", *reasons.smtp_reply(outcome))
            return
        if outcome.possible_double:
            self._metrics.possible_doubles.labels(route.name).inc()
        if outcome.status == 410:
            self._metrics.dead_tokens.labels(route.name).inc()
        if (
            kind is OutcomeKind.PERMANENT
            or transaction.abandoned
            or not self._try_again(delivery, outcome, now)
        ):
            self._finish(transaction, "push", *reasons.smtp_reply(outcome))

    def _attempt_child(self, route: str, kind: OutcomeKind, reason: str) -> Any:
        child = self._metrics.attempts.labels(route, kind.value, reason)
        if len(self._attempt_children) < 10_000:  # unknown reasons come from outside
            self._attempt_children[route, kind, reason] = child
        return child

    def _try_again(self, delivery: Delivery, outcome: Outcome, now: float) -> bool:
        """Schedule another attempt; False when none fits before the acceptance deadline."""
        route = delivery.route
        assert route is not None
        others = len(delivery.entry.routes) > 1
        if others and (outcome.held_until > now or reasons.is_route_fault(outcome.reason)):
            delivery.excluded = (delivery.excluded or set()) | {route.name}
        delay = min(RETRY_MOST, RETRY_FIRST * 2 ** min(delivery.attempt - 1, 10)) * (0.5 + self._rng())
        if outcome.retry_at_once and delivery.instant_retries < 2:
            delivery.instant_retries += 1
            delay = 0.0
        elif others and self._pick(delivery, now).name != route.name:
            delay = 0.0
        elif outcome.held_until > now:
            delay = max(delay, outcome.held_until - now)
        if now + delay >= delivery.deadline:
            return False
        delivery.timer = self._loop.call_later(delay, self._retry, delivery)
        return True

    def _guarded(self, delivery: Delivery, step: Callable[..., None], *args: Any) -> None:
        try:
            step(*args)
        except Exception:  # noqa: BLE001 - a fault of ours is a transient failure, whatever it is
            _LOG.exception("message %s: internal error", delivery.transaction.message_id)
            self._finish(delivery.transaction, "push", 451, "4.3.0", "Internal error, try again later")

    # -- replies --------------------------------------------------------------------------------------

    def _refuse(
        self,
        transaction: Transaction[EntryRuntime],
        part: PushPart | None,
        rejection: Reply,
        *,
        route: RouteRuntime | None = None,
        kind: str = "push",
    ) -> None:
        if kind == "push":
            log_refusal(
                self._hub,
                transaction,
                part,
                rejection,
                route.name if route else "",
                self._wall(),
                transaction.pending.message.context if isinstance(transaction.pending, Delivery) else None,
            )
        self._finish(transaction, kind, rejection.code, rejection.enhanced, rejection.text)

    def _finish(
        self, transaction: Transaction[EntryRuntime], kind: str, code: int, enhanced: str, text: str
    ) -> None:
        if transaction.pending is _FINISHED:
            return
        if isinstance(transaction.pending, Delivery):
            self._deadlines.drop(transaction.pending)
        transaction.pending = _FINISHED
        self.open -= 1
        self._in_flight.dec()
        if transaction.abandoned:
            result = "abandoned"
        elif code < 300:
            result = "accepted"
        else:
            result = "deferred" if code < 500 else "rejected"
        self._messages[kind, result].inc()
        with contextlib.suppress(ConnectionError):
            transaction.reply(Reply(code, enhanced, text))

    async def close(self, grace: float) -> None:
        """Wait for hand-overs to the relay that are under way, at most `grace` seconds."""
        await self._mail.close(grace)


class _Finished:
    def abandon(self) -> None: ...


_FINISHED = _Finished()
