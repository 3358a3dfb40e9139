"""Gather, plan, apply: one level-triggered reconcile, which everything enters.

A create, an update, a child's change, a Secret's change and the resync timer only say *which* object to look
at. What to do follows from what is there at the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from tubepost_operator.actions import Apply, Event, Plan
from tubepost_operator.api import ApiError, ClusterApi
from tubepost_operator.cache import Cache, object_key, read_meta
from tubepost_operator.gather import Gatherer
from tubepost_operator.kinds import CHILDREN, EVENT, OWN, POD
from tubepost_operator.lease import NotLeader
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key
from tubepost_operator.plan.children import rolled_out, upgrading
from tubepost_operator.plan.logger import plan_logger
from tubepost_operator.plan.managed_fields import additions, pointer_text
from tubepost_operator.plan.push_domain import plan_push_domain
from tubepost_operator.plan.route import plan_route
from tubepost_operator.rollout_limit import RolloutLimit
from tubepost_operator.settings import Settings
from tubepost_operator.workqueue import WorkQueue

_LOG = logging.getLogger("tubepost.reconcile")
_PASSING = 2
"""Errors of the API server (500) in a row that may be passing ones; the next is said of the object."""

CONFLICT_PAUSE: Final = 1.0
"""Seconds until the next look when somebody else has written at the same time."""


class Controller:
    """Works on the queue. One per term of leadership.

    Args:
        settings: the operator's.
        cluster: reads and writes objects.
        store: what the watches tell; filled by others.
        gatherer: makes snapshots.
        metrics: counts.
        clock: monotonic seconds.
        wall: the time, aware.
    """

    def __init__(
        self,
        settings: Settings,
        cluster: ClusterApi,
        cache: Cache,
        gatherer: Gatherer,
        metrics: OperatorMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._cache = cache
        self._gather = gatherer
        self._metrics = metrics
        self._clock = clock
        self._wall = wall
        self.queue = WorkQueue(settings.debounce)
        self.gate = RolloutLimit(settings.upgrades_at_a_time)
        metrics.queue_depth.set_function(lambda: float(self.queue.depth(self._clock())))
        self._wake = asyncio.Event()
        self._initial: set[Key] = set()

    # -- what enters ----------------------------------------------------------------------------------

    def changed(self, keys: Iterable[Key]) -> None:
        """Something about these objects has changed."""
        now = self._clock()
        for key in keys:
            self.queue.add(key, now)
        self._wake.set()

    def enqueue_all(self) -> None:
        """Look at every object, spread over a while so that the others are not held up."""
        now = self._clock()
        for index, key in enumerate(self._cache.keys()):
            self.queue.add_at(key, now + index * 0.01, now)
        self._wake.set()

    def begin(self) -> None:
        """First look at everything; places of an upgrade are given once it is over."""
        self._initial = set(self._cache.keys("PushDomain"))
        self.enqueue_all()
        self._begun()

    def _begun(self) -> None:
        if not self._initial and self.gate.closed:
            self.gate.open()
            self.changed(self.gate.next())

    # -- work -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled.

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
                _LOG.debug("%s: written by somebody else meanwhile", key, extra=fields(key))
                self.queue.done(key, self._clock(), CONFLICT_PAUSE)
            else:
                delay = self.queue.failed(key, self._clock())
                _LOG.warning("%s: %s; next attempt in %.0f s", key, error, delay, extra=fields(key))
        except Exception:  # noqa: BLE001 - a fault with one object must not stop the others
            self._metrics.errors.labels(key.kind, "internal").inc()
            result = "failed"
            delay = self.queue.failed(key, self._clock())
            _LOG.exception("%s: failed; next attempt in %.0f s", key, delay, extra=fields(key))
        else:
            self.queue.done(key, self._clock(), again)
        self._initial.discard(key)
        self._begun()
        self._metrics.reconciles.labels(key.kind, result).inc()
        self._metrics.seconds.labels(key.kind).observe(self._clock() - began)

    async def reconcile(self, key: Key) -> tuple[str, float | None]:
        """Look at an object and do what is to be done.

        Returns:
            What came of it (`written`, `unchanged`), and seconds until the next look, None for none.

        Raises:
            ApiError: the API server did not do what it was asked.
            NotLeader: the Lease is lost.
        """
        document = self._cache.get(key)
        if document is None:
            self._forget(key)
            return "unchanged", None
        if key.kind == "PushDomain":
            return await self._push_domain(key, document)
        snapshot = await self._gather.part(key, document, self._wall())
        plan = plan_route(snapshot) if key.kind == "ApnRoute" else plan_logger(snapshot)
        await self._tell(key, document, plan)
        return ("written" if plan.writes else "unchanged"), plan.again

    def _forget(self, key: Key) -> None:
        self.queue.forget(key)
        self._gather.forget(key)
        self.changed(self.gate.finished(key))
        self._metrics.upgrades_waiting.set(self.gate.waiting)

    async def _push_domain(self, key: Key, document: Document) -> tuple[str, float | None]:
        gathered = await self._gather.push_domain(key, document, self._wall())
        # No await between asking for a place and taking it: workers share the gate.
        snapshot = gathered.snapshot(may_upgrade=self.gate.may(key))
        plan = plan_push_domain(snapshot, gathered.decision)
        self._take_place(key, plan, rolled=rolled_out(snapshot), under_way=upgrading(snapshot))
        self._gather.trust(plan.same)
        rejected = await self._write(key, plan)
        if rejected:
            snapshot = gathered.snapshot(may_upgrade=False, rejected=rejected)
            refused = plan_push_domain(snapshot, gathered.decision)
            await self._tell(key, document, refused)
            message = "; ".join(f"{child}: {text}" for child, text in rejected.items())
            raise ApiError(422, f"refused: {message}")
        await self._tell(key, document, plan)
        return ("written" if plan.writes else "unchanged"), plan.again

    def _take_place(self, key: Key, plan: Plan, *, rolled: bool, under_way: bool) -> None:
        if plan.upgrade == "waiting":
            self.gate.queued(key)
        elif plan.upgrade == "rolling":
            self.gate.started(key)
        elif rolled:
            self.changed(self.gate.finished(key))
        elif self.gate.closed and under_way:
            # Before our start somebody began to roll it: it counts.
            self.gate.started(key)
        self._metrics.upgrades_waiting.set(self.gate.waiting)

    # -- writes ---------------------------------------------------------------------------------------

    async def _write(self, key: Key, plan: Plan) -> dict[Key, str]:
        """Write children, remove orphans, refresh pods; what the server refuses is returned."""
        rejected: dict[Key, str] = {}
        for apply in plan.apply:
            if apply.key.kind == "Deployment" and any(other.kind == "ConfigMap" for other in rejected):
                continue  # its pods could not start
            try:
                await self._apply(key, apply)
            except ApiError as error:
                # It says 500 of some objects that make no sense, and of its own passing troubles.
                lasting = error.status == 500 and self.queue.failures(key) >= _PASSING
                if not (error.refusal or lasting) or "being terminated" in error.message:
                    raise
                rejected[apply.key] = error.message
        if plan.scale is not None:
            patch: Document = {"spec": {"replicas": plan.scale.replicas}}
            target = plan.scale.key
            answer = await self._cluster.merge(CHILDREN[target.kind], target.namespace, target.name, patch)
            if answer is not None:
                self._gather.written(target, answer)
            self._count(key, target, "scale")
        for meta in plan.delete:
            child = meta.key
            await self._cluster.delete(CHILDREN[child.kind], child.namespace, child.name, meta.uid)
            self._cache.remove_meta(child, meta.uid)
            self._count(key, child, "delete")
        for refresh in plan.refresh:
            pod = refresh.key
            patch = {"metadata": {"annotations": {Names.REFRESH_ANNOTATION: refresh.digest}}}
            answer = await self._cluster.merge(POD, pod.namespace, pod.name, patch)
            if answer is not None:
                self._cache.put_meta(read_meta(answer, "Pod"))
            self._count(key, pod, "refresh")
        return rejected

    async def _apply(self, key: Key, apply: Apply) -> None:
        # Without force where nothing was: what somebody else made in this moment is not taken over.
        answer = await self._cluster.apply(CHILDREN[apply.key.kind], apply.manifest, force=not apply.create)
        self._count(key, apply.key, "apply")
        if places := additions(answer, apply.manifest):
            # What others added is not taken away by applying what we want.
            texts = [pointer_text(place) for place in places]
            _LOG.info("%s: removed from %s: %s", key, apply.key, ", ".join(texts), extra=fields(key))
            answer = await self._cluster.remove_fields(CHILDREN[apply.key.kind], answer, texts)
            self._count(key, apply.key, "remove")
        self._gather.written(apply.key, answer)

    def _count(self, owner: Key, key: Key, action: str) -> None:
        self._metrics.writes.labels(key.kind, action).inc()
        _LOG.info("%s: %s %s %s", owner, action, key.kind, key.name, extra=fields(owner))

    async def _tell(self, key: Key, document: Document, plan: Plan) -> None:
        """Write the status, post the events."""
        if plan.status is not None:
            await self._write_status(key, document, plan.status)
        for event in plan.events:
            await self._post(key, document, event)

    async def _write_status(self, key: Key, document: Document, status: Document) -> None:
        old = document.get("status") or {}
        gone: dict[str, Any] = dict.fromkeys(old.keys() - status.keys())
        # The version has a status that was made of something older refused.
        patch = {
            "metadata": {"resourceVersion": document["metadata"]["resourceVersion"]},
            "status": {**_nulled(old, status), **gone},
        }
        answer = await self._cluster.merge(OWN[key.kind], key.namespace, key.name, patch, "status")
        if answer is None:
            self._cache.remove(key)
            self._forget(key)
            return
        self._cache.set_status(key, answer)
        self._metrics.writes.labels(key.kind, "status").inc()
        _LOG.debug("%s: status written", key, extra=fields(key))

    async def _post(self, key: Key, document: Document, event: Event) -> None:
        log = _LOG.warning if event.type == "Warning" else _LOG.info
        log("%s: %s: %s", key, event.reason, event.message, extra=fields(key))
        try:
            await self._cluster.create(
                EVENT, key.namespace, event_document(document, event, self._settings.identity, self._wall())
            )
        except ApiError as error:
            # An event is a courtesy: the condition says the same.
            _LOG.warning("%s: event not posted: %s", key, error, extra=fields(key))
        else:
            self._metrics.writes.labels("Event", "create").inc()


def _nulled(old: Document, new: Document) -> Document:
    """The new status as a merge patch: what is gone from an object inside it is nulled."""
    result: Document = {}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            result[name] = {**_nulled(before, value), **dict.fromkeys(before.keys() - value.keys())}
        else:
            result[name] = value
    return result


def event_document(document: Document, event: Event, instance: str, now: datetime) -> Document:
    """An event as the API server takes it; its name tells events of one object apart by time."""
    key = object_key(document)
    metadata = document["metadata"]
    moment = now.astimezone(UTC)
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {
            "name": f"{key.name[:200]}.{int(moment.timestamp() * 1_000_000):x}",
            "namespace": key.namespace,
        },
        "involvedObject": {
            "apiVersion": document["apiVersion"],
            "kind": key.kind,
            "namespace": key.namespace,
            "name": key.name,
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion", ""),
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message,
        "action": "Reconcile",
        "source": {"component": Names.FIELD_MANAGER},
        "reportingComponent": Names.FIELD_MANAGER,
        "reportingInstance": instance[:128],
        "firstTimestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lastTimestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "count": 1,
    }


def fields(key: Key) -> dict[str, str]:
    """Fields of a structured log line: the object that it is about."""
    return {"object_kind": key.kind, "object_namespace": key.namespace, "object_name": key.name}
