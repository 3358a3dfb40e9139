"""One notification to its end: choose a route, wait for its turn, send, settle; again or the end.

Everything runs in callbacks on the event loop: no task and no future per notification. What decides is pure
and stands beside: `headers`, `failover`, `retry`.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, ParamSpec

from tubepost_api.config import DeliveryMode
from tubepost_dispatcher.apns.credential_state import CREDENTIAL_RECHECK
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.delivery.domain import Checked, Domain, DomainsInForce
from tubepost_dispatcher.delivery.failover import blames_route, patience, pick_route
from tubepost_dispatcher.delivery.headers import resolve
from tubepost_dispatcher.delivery.hook_points import HookPoints, Ways
from tubepost_dispatcher.delivery.hooks import Hooks
from tubepost_dispatcher.delivery.listeners import Delivery, DeliveryListener, DeliveryOwner
from tubepost_dispatcher.delivery.requests import prepared_request
from tubepost_dispatcher.delivery.retry import DOUBTFUL_SENDS, INSTANT_RETRIES, RetryPolicy, next_attempt
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.pod_limits.interface import Bucket
from tubepost_dispatcher.reasons.catalogue import local_outcome

_LOG: Final = logging.getLogger("tubepost.delivery")

P = ParamSpec("P")

_NO_TIME: Final = "no answer of the policy by the acceptance deadline"


class _Stage(enum.Enum):
    """How far a delivery is that was taken back."""

    WAITING = "for its turn, or for another attempt"
    ASKING = "for a policy's hook, before an attempt"
    POOLED = "for a connection"
    SENT = "for its answer"


class Deliverer:
    """Brings notifications to their end. Lives on one event loop; every method is called on it.

    Args:
        domains: the configuration in force; `swap` replaces it.
        listeners: told of every attempt and end, in this order, before the owner.
        metrics: repetitions and failovers are counted there.
        loop: schedules; the running loop by default.
        clock: monotonic seconds.
        wall: unix seconds.
        chance: random numbers from 0.0 to 1.0, for jitter.
    """

    def __init__(
        self,
        domains: DomainsInForce,
        listeners: Sequence[DeliveryListener],
        metrics: Metrics,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._domains = domains
        self.listeners: Sequence[DeliveryListener] = tuple(listeners)
        """May be replaced; whoever would do nothing is best left out."""
        self._metrics = metrics
        self._loop = loop or asyncio.get_running_loop()
        self._clock = clock
        self._wall = wall
        self._chance = chance
        self._points: HookPoints | None = None

    def set_hooks(self, hooks: Hooks | None) -> None:
        """Ask these hooks from now on, or none."""
        ways = Ways(
            partial(self._send, asked=True), self._conclude, partial(self._conclude, go_on=False),
            self._again_or_end, partial(self._end, asked=True), self._try_again,
            lambda name: self._domains.find(name) is not None, self._guarded, self._clock, self._wall,
        )  # fmt: skip
        self._points = None if hooks is None else HookPoints(hooks, ways)

    def swap(self, domains: DomainsInForce) -> None:
        """Put another configuration in force; what is under way goes on and is repeated with the new one."""
        self._domains = domains

    # -- what owners call -----------------------------------------------------------------------------

    def prepare(
        self,
        notification: Notification,
        domain: Domain,
        owner: DeliveryOwner,
        policy: RetryPolicy,
        now: float,
        end_at: float,
        checked: Checked | None = None,
    ) -> tuple[Delivery, Outcome | None]:
        """Choose a route and check the notification against it; nothing is sent, nobody is told.

        Args:
            notification: what to deliver.
            domain: the one in force for it.
            owner: hears the end.
            policy: how patient to be.
            now: monotonic seconds.
            end_at: monotonic seconds at which no further attempt is begun.
            checked: what `Domain.check` has found of it, where that was asked.

        Returns:
            The delivery, to be passed to `start`, or to `settle` with the outcome where there is one already.
        """
        delivery = Delivery(notification, domain, owner, policy, end_at, now)
        return delivery, self._choose_route(delivery, now, checked)

    def start(self, delivery: Delivery) -> None:
        """Send it as soon as the throttle lets it; what comes of it is told to listeners and owner."""
        try:
            if delivery.domain.throttle is None:
                self._send(delivery)
            else:
                self._throttle(delivery, delivery.domain.throttle, self._clock())
        except Exception:  # noqa: BLE001 - a fault of ours is a transient failure, whatever it is
            self._fault(delivery)

    def settle(self, delivery: Delivery, outcome: Outcome, *, again: bool = True) -> None:
        """Go by an outcome of `prepare`: try again where it makes sense and `again` allows it, else end."""
        delivery.withdrawn = not again
        self._guarded(delivery, self._not_sent, delivery, outcome, self._clock())

    def withdraw(self, delivery: Delivery) -> bool:
        """Make no further attempt: whoever asked for it has gone.

        A delivery that waits ends now, as ClientGone. One that was sent stays: the outcome of that attempt is
        its end.

        Returns:
            Whether it has ended.
        """
        if self._take_back(delivery) is _Stage.SENT:
            return False
        self._end(delivery, local_outcome("ClientGone"), self._clock())
        return True

    def give_up(self, delivery: Delivery) -> bool:
        """Make no further attempt: its time is over.

        A delivery that waits ends now (or is handed back), with the reason that says for what. One that was
        sent stays: the outcome of that attempt is its end.

        Returns:
            Whether it has ended.
        """
        match self._take_back(delivery):
            case _Stage.SENT:
                if delivery.question is None:
                    return False
                delivery.question.give_up(_NO_TIME)
            case _Stage.ASKING:
                failed = local_outcome("PolicyFailed", _NO_TIME)
                self._guarded(delivery, self._conclude, delivery, failed, self._clock())
            case _Stage.POOLED:
                self._guarded(
                    delivery, self._conclude, delivery, local_outcome("NoConnectionInTime"), self._clock()
                )
            case _Stage.WAITING:
                outcome = local_outcome("ResponseTimeout", "no answer by the acceptance deadline")
                if delivery.policy.hand_back and delivery.outcome is not None:
                    outcome = delivery.outcome
                self._guarded(delivery, self._again_or_end, delivery, outcome, self._clock())
        return True

    def recall(self, delivery: Delivery) -> bool:
        """Take a delivery back that has not been sent; nobody is told, and its owner may hand it over again.

        Returns:
            False where it was sent: its outcome is told as ever.
        """
        if self._take_back(delivery) is _Stage.SENT:
            delivery.withdrawn = False
            return False
        delivery.ended = True
        return True

    def end(self, delivery: Delivery, outcome: Outcome) -> None:
        """End one that was not started, without an attempt: it has expired, or an operator drops it."""
        self._guarded(delivery, self._end, delivery, outcome, self._clock())

    def _take_back(self, delivery: Delivery) -> _Stage:
        delivery.withdrawn = True
        if delivery.timer is not None:
            delivery.timer.cancel()
            delivery.timer = None
        elif delivery.question is not None:
            if not delivery.question.unsent:
                return _Stage.SENT
            delivery.question.withdraw()
            delivery.question = None
            return _Stage.ASKING
        elif delivery.request is not None and not delivery.ended:
            assert delivery.route is not None
            return _Stage.POOLED if delivery.route.pool.withdraw(delivery.request) else _Stage.SENT
        return _Stage.WAITING

    # -- the way out ----------------------------------------------------------------------------------

    def _choose_route(self, delivery: Delivery, now: float, checked: Checked | None = None) -> Outcome | None:
        """Set route and headers, or say why the notification cannot be sent now or at all."""
        routes = delivery.domain.routes
        if len(routes) == 1:
            route = routes[0]
        else:
            route, fresh = pick_route(routes, delivery.failed_routes, now)
            if not fresh:
                delivery.failed_routes = ()
        before, delivery.route = delivery.route, route
        if route.facts is None:
            delivery.headers = None
            # As a pool without a credential says it: there is no sense in trying again every second.
            return local_outcome("CredentialMissing", held_until=now + CREDENTIAL_RECHECK)
        if route is before and delivery.headers is not None:
            return None
        if before is not None and route is not before:
            self._metrics.failovers.labels(route.name).inc()
            told = delivery.notification.message_id, route.name, before.name, delivery.failed_routes
            _LOG.debug("message %s: route %s after %s, failed so far: %s", *told)
        second, domain = int(self._wall()), delivery.domain
        if checked is not None and checked.holds(domain, route.facts, second):
            delivery.headers = checked.headers
            return None
        expiry = domain.options.expiry
        headers = resolve(delivery.notification.push, route.facts, now=second, expiry=expiry)
        if isinstance(headers, Outcome):
            return headers
        delivery.headers = headers
        return None

    def _throttle(self, delivery: Delivery, bucket: Bucket, now: float) -> None:
        turn = bucket.reserve(now, delivery.end_at)
        if turn < 0:
            self._not_sent(delivery, local_outcome("Throttled"), now)
        elif turn > now:
            delivery.timer = self._loop.call_later(turn - now, self._turn_has_come, delivery)
        else:
            self._send(delivery)

    def _turn_has_come(self, delivery: Delivery) -> None:
        delivery.timer = None
        self._guarded(delivery, self._send, delivery)

    def _send(self, delivery: Delivery, *, asked: bool = False) -> None:
        if self._points is not None and not asked and self._points.before_send(delivery):
            return
        route = delivery.route
        assert route is not None
        request = prepared_request(delivery, self._on_outcome)
        if len(delivery.domain.routes) > 1:
            failed = (*delivery.failed_routes, route.name)
            request.give_up_at = patience(
                delivery.domain.routes, failed, route.name, self._clock(), delivery.end_at
            )
        delivery.notification.attempt += 1
        route.pool.submit(request)

    # -- outcomes -------------------------------------------------------------------------------------

    def _on_outcome(self, request: ApnsRequest[Delivery], outcome: Outcome) -> None:
        try:
            if self._points is None or not self._points.after_attempt(request.owner, outcome):
                self._conclude(request.owner, outcome, self._clock())
        except Exception:  # noqa: BLE001 - as in `start`
            self._fault(request.owner)

    def _conclude(self, delivery: Delivery, outcome: Outcome, now: float, *, go_on: bool = True) -> None:
        """Tell what an attempt came to; again or the end."""
        delivery.outcome = outcome
        if outcome.possible_double or delivery.doubtful_sends:
            delivery.doubtful_sends += 1
        for listener in self.listeners:
            listener.attempted(delivery, outcome, now)
        if go_on:
            self._again_or_end(delivery, outcome, now)

    def _not_sent(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        """Go by what kept it from being sent. A missing credential counts as an attempt that failed."""
        if outcome.reason == "CredentialMissing":
            self._conclude(delivery, outcome, now)
        else:
            self._again_or_end(delivery, outcome, now)

    def _again_or_end(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        at = None
        if outcome.kind is OutcomeKind.TRANSIENT and not delivery.withdrawn:
            # What may have been delivered is sent once more, by whichever route; then the owner decides.
            spent = delivery.doubtful_sends >= DOUBTFUL_SENDS and not delivery.policy.queued
            at = None if spent else self._next_attempt(delivery, outcome, now)
        if at is None and (outcome.kind is not OutcomeKind.TRANSIENT or not delivery.policy.hand_back):
            self._end(delivery, outcome, now)
        elif at is None or at - now > delivery.policy.in_memory:
            if not delivery.ended:
                delivery.ended, delivery.request = True, None
                delivery.owner.deferred(delivery, outcome, now if at is None else at)
        else:
            delivery.timer = self._loop.call_later(at - now, self._again, delivery)

    def _next_attempt(self, delivery: Delivery, outcome: Outcome, now: float) -> float | None:
        route = delivery.route
        routes = delivery.domain.routes
        another = False
        if route is not None and len(routes) > 1:
            if blames_route(outcome, now) and route.name not in delivery.failed_routes:
                delivery.failed_routes = (*delivery.failed_routes, route.name)
            picked, fresh = pick_route(routes, delivery.failed_routes, now)
            # Once all have failed the wait counts, lest two bad routes be tried in turn without a pause.
            another = fresh and picked.name != route.name
        # What may have been delivered was sent once more: whatever follows is the schedule's.
        doubtful = delivery.doubtful_sends >= DOUBTFUL_SENDS
        at = next_attempt(
            delivery.policy,
            outcome,
            attempt=delivery.notification.scheduled_attempts,
            instant_retries=INSTANT_RETRIES if doubtful else delivery.instant_retries,
            another_route=another and not doubtful,
            end_at=delivery.end_at,
            now=now,
            chance=self._chance(),
        )
        if at == now and outcome.retry_at_once:
            delivery.instant_retries += 1
        return at

    def _again(self, delivery: Delivery) -> None:
        delivery.timer = None
        self._guarded(delivery, self._try_again, delivery)

    def _try_again(self, delivery: Delivery) -> None:
        # The configuration may have changed since: the one in force now decides.
        now = self._clock()
        if delivery.request is not None:
            delivery.request.unsend()
        domain = self._domains.find(delivery.notification.domain)
        if domain is None:
            self._not_sent(delivery, local_outcome("DomainGone"), now)
            return
        if domain is not delivery.domain:
            if domain.options.mode is not DeliveryMode.DELIVER:
                # What the mode in force means is decided when the message comes again.
                self._not_sent(delivery, local_outcome("Suspended"), now)
                return
            delivery.domain = domain
            delivery.route = None
        outcome = self._choose_route(delivery, now)
        if outcome is not None:
            self._not_sent(delivery, outcome, now)
            return
        assert delivery.route is not None
        self._metrics.retries.labels(delivery.route.name).inc()
        self._send(delivery)

    def _end(self, delivery: Delivery, outcome: Outcome, now: float, *, asked: bool = False) -> None:
        if delivery.ended or (
            self._points is not None and not asked and self._points.before_end(delivery, outcome)
        ):
            return
        # Without the request: who ends leaves no cycle for the garbage collector.
        delivery.ended, delivery.request = True, None
        for listener in self.listeners:
            listener.ended(delivery, outcome, now)
        delivery.owner.ended(delivery, outcome)

    def _guarded(
        self, delivery: Delivery, step: Callable[P, None], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        try:
            step(*args, **kwargs)
        except Exception:  # noqa: BLE001 - as in `start`
            self._fault(delivery)

    def _fault(self, delivery: Delivery) -> None:
        """End a delivery that ran into a fault of ours, from within its handler."""
        _LOG.exception("message %s: internal error", delivery.notification.message_id)
        if delivery.timer is not None:
            delivery.timer.cancel()
            delivery.timer = None
        delivery.question = None
        # Listeners are left out: the fault may be theirs. The owner must hear an end in any case.
        delivery.ended, delivery.request = True, None
        delivery.owner.ended(delivery, local_outcome("InternalError"))
