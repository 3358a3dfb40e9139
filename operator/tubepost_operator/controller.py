"""Gather, plan, apply: one level-triggered reconcile for everything.

A create, an update, a child's change, a Secret's change and the resync timer only say *which* object to
reconcile. What to do follows from what is there at the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from tubepost_api.conditions import Reason
from tubepost_operator.actions import Event, Plan
from tubepost_operator.api import ApiError, ClusterApi
from tubepost_operator.apply import Applier, fields
from tubepost_operator.cache import Cache
from tubepost_operator.conditions import EventReason
from tubepost_operator.emptying import Emptying
from tubepost_operator.fights import Fights
from tubepost_operator.gather import Gatherer, observe_push_domain, observe_referenced
from tubepost_operator.holding import Hold, Holdings, yielded_text
from tubepost_operator.lease import NotLeader
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.observed import Document, Key
from tubepost_operator.plan import needs
from tubepost_operator.plan.children import rolled_out, upgrading
from tubepost_operator.plan.logger import plan_logger
from tubepost_operator.plan.pause import is_paused
from tubepost_operator.plan.push_domain import Decision, decide, plan_push_domain
from tubepost_operator.plan.route import plan_route
from tubepost_operator.plan.stale_secret import holding, may_be_mended, stale_secrets
from tubepost_operator.plan.trouble import no_access, operator_error, plan_trouble
from tubepost_operator.pods import PodAsker
from tubepost_operator.rollout_limit import RolloutLimit
from tubepost_operator.settings import Settings
from tubepost_operator.snapshot import PushDomainSnapshot
from tubepost_operator.workqueue import WorkQueue

_LOG = logging.getLogger("tubepost.reconcile")
_TRANSIENT_ERRORS: Final = 2
"""Errors 500 of the API server in a row that count as transient; the next one is reported on the object."""

CONFLICT_PAUSE: Final = 1.0
"""Seconds until the next reconcile after a conflict (409)."""


REFUSED_PAUSE: Final = 30.0
"""Seconds between attempts at most, where the API server refuses something that somebody else can mend."""


class Rejected(ApiError):
    """Children are rejected. The status of their PushDomain says so already."""


def _of_the_server(error: Exception) -> bool:
    """Whether the API server is in trouble itself, and so would not take a status either."""
    return isinstance(error, ApiError) and error.kind in {"connection", "throttled", "conflict"}


class Controller:
    """Reconciles what is in the queue. One for each time that this replica leads.

    Args:
        settings: the operator's.
        cluster: reads and writes objects.
        cache: filled by the watches, and by what is read and written here.
        asker: asks pods for their metrics.
        metrics: counts.
        clock: monotonic seconds.
        wall: the time, aware.
    """

    def __init__(
        self,
        settings: Settings,
        cluster: ClusterApi,
        cache: Cache,
        asker: PodAsker,
        metrics: OperatorMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._gatherer = Gatherer(cluster, cache, asker)
        self._applier = Applier(cluster, cache, metrics, settings.identity, wall)
        self._metrics = metrics
        self._clock = clock
        self._wall = wall
        self.queue = WorkQueue(settings.debounce)
        self.rollouts = RolloutLimit(settings.upgrades_at_a_time)
        metrics.queue_depth.set_function(lambda: float(self.queue.depth(self._clock())))
        self._wake = asyncio.Event()
        self._initial: set[Key] = set()
        self._fights = Fights()
        self._holdings = Holdings(settings.holder)
        self._emptying = Emptying()
        self._claims_left: dict[Key, int] = {}

    # -- enqueueing ----------------------------------------------------------------------------------

    def changed(self, keys: Iterable[Key]) -> None:
        """Enqueue objects that something has changed about."""
        now = self._clock()
        for key in keys:
            self.queue.add(key, now)
        self._wake.set()

    def enqueue_all(self) -> None:
        """Enqueue every object, spread over a while so that changes are not held up."""
        now = self._clock()
        for index, key in enumerate(self._cache.keys()):
            self.queue.add_at(key, now + index * 0.01, now)
        self._wake.set()

    def begin(self) -> None:
        """Enqueue everything; rollouts of an upgrade begin once all PushDomains were reconciled once."""
        self._initial = set(self._cache.keys("PushDomain"))
        self.enqueue_all()
        self._open_rollouts()

    def _open_rollouts(self) -> None:
        if not self._initial and self.rollouts.closed:
            self.rollouts.open()
            self.changed(self.rollouts.next())

    # -- workers --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Reconcile what is enqueued, until cancelled.

        Raises:
            NotLeader: the Lease is lost.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = self.queue.take(self._clock())
            if key is None:
                await self._sleep()
                continue
            await self._attempt(key)
            self._wake.set()

    async def _sleep(self) -> None:
        due = self.queue.next_due()
        timeout = None if due is None else max(0.0, due - self._clock())
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wake.wait()

    async def _attempt(self, key: Key) -> None:
        began = self._clock()
        try:
            result, again = await self.reconcile(key)
        except NotLeader:
            raise
        except ApiError as error:
            self._metrics.errors.labels(key.kind, error.kind).inc()
            result = "failed"
            if error.kind == "conflict":
                _LOG.debug("%s: conflict, reconciling again", key, extra=fields(key))
                self.queue.done(key, self._clock(), CONFLICT_PAUSE)
            else:
                # Nothing tells when a permission is given back, or a policy changed.
                refused = error.kind == "forbidden" or isinstance(error, Rejected)
                most = REFUSED_PAUSE if refused else math.inf
                delay = self.queue.failed(key, self._clock(), most)
                _LOG.warning("%s: %s; retrying in %.0f s", key, error, delay, extra=fields(key))
                await self._tell_trouble(key, error)
        except Exception as error:  # noqa: BLE001 - an error with one object must not stop the others
            self._metrics.errors.labels(key.kind, "internal").inc()
            result = "failed"
            delay = self.queue.failed(key, self._clock())
            _LOG.exception("%s: reconcile failed; retrying in %.0f s", key, delay, extra=fields(key))
            await self._tell_trouble(key, error)
        else:
            self.queue.done(key, self._clock(), again)
        self._initial.discard(key)
        self._open_rollouts()
        self._metrics.reconciles.labels(key.kind, result).inc()
        self._metrics.seconds.labels(key.kind).observe(self._clock() - began)

    async def reconcile(self, key: Key) -> tuple[str, float | None]:
        """Bring an object to what its spec says.

        Returns:
            The result (`written`, `unchanged`), and seconds until the next reconcile, None for none.

        Raises:
            ApiError: the API server did not do what it was asked.
            NotLeader: the Lease is lost.
        """
        document = self._cache.get(key)
        if document is None:
            self._forget(key)
            return "unchanged", None
        if key.kind == "PushDomain":
            plan = await self._push_domain(key, document)
        else:
            plan = await self._referenced(key, document)
        return ("written" if plan.writes else "unchanged"), plan.again

    async def _tell_trouble(self, key: Key, error: Exception) -> None:
        """Have the status of an object say that it cannot be reconciled, where that will last."""
        document = self._cache.get(key)
        if document is None or isinstance(error, Rejected):
            return
        if isinstance(error, ApiError) and error.status == 403 and not error.namespace_terminating:
            plan = plan_trouble(document, Reason.NO_ACCESS, no_access(error.message), self._wall())
        elif self.queue.failures(key) > _TRANSIENT_ERRORS and not _of_the_server(error):
            text = operator_error(f"{type(error).__name__}: {error}")
            plan = plan_trouble(document, Reason.OPERATOR_ERROR, text, self._wall())
        else:
            return
        try:
            await self._report(key, document, plan)
        except ApiError as again:
            _LOG.warning("%s: its status cannot say so: %s", key, again, extra=fields(key))

    def _forget(self, key: Key) -> None:
        # The queue forgets nothing: another object of that name may have been enqueued already.
        self._holdings.forget(key)
        self._emptying.forget(key)
        self._claims_left.pop(key, None)
        self._metrics.claims_left.set(sum(self._claims_left.values()))
        self.changed(self.rollouts.finished(key))
        self._metrics.upgrades_waiting.set(self.rollouts.waiting)

    async def _referenced(self, key: Key, document: Document) -> Plan:
        """An ApnRoute or ApnLogger."""
        seen = observe_referenced(self._cache, key, document, self._wall())
        seen = await self._gatherer.gather(seen, needs.for_status)
        plan = plan_route(seen) if key.kind == "ApnRoute" else plan_logger(seen)
        await self._report(key, document, plan)
        return plan

    async def _push_domain(self, key: Key, document: Document) -> Plan:
        seen = observe_push_domain(self._cache, key, document, self._settings, self._wall())
        owned = (child.meta for child in seen.children.values() if child.meta.owner == seen.uid)
        hold = self._holdings.look(key, owned, self._clock())
        self._metrics.yielded.set(self._holdings.yielded)
        if hold.action != "serve":
            return await self._left_alone(key, document, hold)
        seen = await self._gatherer.gather(seen, needs.for_decision)
        decision = decide(seen)
        published = decision.selection.published
        if published is not None:
            self._cache.set_published(key, seen.uid, published.name, published.text)
        seen = await self._gatherer.gather(seen, partial(needs.for_plan, decision=decision))
        if decision.arranged is not None and decision.arranged.waits:
            decision = decide(seen)  # again, knowing what is in the queues
        self._claims_left[key] = len(decision.arranged.claims.left) if decision.arranged is not None else 0
        self._metrics.claims_left.set(sum(self._claims_left.values()))
        awaited = decision.digest if decision.awaited(seen.pods) else None
        # No await between asking for room and taking it: workers share the rollout limit.
        seen = replace(
            seen,
            unconfirmed_for=self._cache.unconfirmed_for(key, awaited, self._clock()),
            may_upgrade=self.rollouts.may(key),
            fights={
                child: fight
                for child in seen.children
                if (fight := self._fights.of(child, self._clock())) is not None
            },
        )
        seen = self._emptying_of(key, seen, decision)
        plan = plan_push_domain(seen, decision)
        self._track_rollout(
            key,
            plan,
            rolled_out=rolled_out(seen, decision.kind),
            under_way=upgrading(seen, decision.kind),
        )
        for meta in plan.in_sync:
            self._cache.set_in_sync(meta)
        rejected = await self._applier.children(key, plan, partial(self._is_rejection, key))
        for child, repair in plan.repaired.items():
            if child not in rejected:
                self._fights.put_back(child, repair, self._clock())
                self._metrics.repairs.labels(child.kind).inc()
        if rejected:
            refused = plan_push_domain(replace(seen, may_upgrade=False, rejected=rejected), decision)
            await self._report(key, document, refused)
            message = "; ".join(f"{child}: {text}" for child, text in rejected.items())
            raise Rejected(422, f"refused: {message}")
        await self._report(key, document, plan)
        return plan

    def _emptying_of(self, key: Key, seen: PushDomainSnapshot, decision: Decision) -> PushDomainSnapshot:
        """The snapshot with the immutable Secrets that its pods must not mount now, since theirs are old."""
        may = may_be_mended(seen, decision.arranged) and not is_paused(seen.document)
        stale = stale_secrets(seen, decision.digest) if may else ()
        before = self._emptying.done(key, decision.digest)
        emptying = self._emptying.look(key, decision.digest, holding(seen), self._clock(), stale=stale)
        return replace(seen, emptying=emptying, emptied_before=before)

    async def _left_alone(self, key: Key, document: Document, hold: Hold) -> Plan:
        """What another operator has written: ask whether it lives, or leave it alone."""
        if hold.action == "claim" and hold.child is not None:
            _LOG.warning("%s: written by the operator %s; asking", key, hold.other, extra=fields(key))
            await self._applier.claim(key, hold.child, self._holdings.holder)
        told: tuple[Event, ...] = ()
        if hold.action == "yield" and hold.news:
            text = yielded_text(self._holdings.holder, hold.other)
            told = (Event("Warning", str(EventReason.YIELDED), text),)
        plan = Plan(events=told, again=hold.again)
        await self._report(key, document, plan)
        return plan

    def _is_rejection(self, key: Key, error: ApiError) -> bool:
        """Whether the API server will not take the object, however often it is tried."""
        # It answers 500 for some malformed objects, and for transient errors of its own.
        lasting = error.status == 500 and self.queue.failures(key) >= _TRANSIENT_ERRORS
        return (error.rejection or lasting) and not error.namespace_terminating

    def _track_rollout(self, key: Key, plan: Plan, *, rolled_out: bool, under_way: bool) -> None:
        if plan.upgrade == "waiting":
            self.rollouts.queued(key)
        elif plan.upgrade == "rolling":
            self.rollouts.started(key)
        elif rolled_out:
            self.changed(self.rollouts.finished(key))
        elif self.rollouts.closed and under_way:
            # Its rollout began before we did: it counts.
            self.rollouts.started(key)
        self._metrics.upgrades_waiting.set(self.rollouts.waiting)

    async def _report(self, key: Key, document: Document, plan: Plan) -> None:
        if not await self._applier.status_and_events(key, document, plan):
            self._forget(key)
