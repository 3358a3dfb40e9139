"""Carries out plans: children by server-side apply, then status and events. Decides nothing.

What was written goes into the cache, so that the watch's echo of it causes no reconcile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from tubepost_operator.actions import Apply, Enlarge, Event, Mark, Plan, Refresh, Scale
from tubepost_operator.api import ApiError, ClusterApi
from tubepost_operator.cache import Cache
from tubepost_operator.kinds import CHILDREN, CLAIM, EVENT, OWN, POD, RELATED, WORKLOADS
from tubepost_operator.metadata import object_key, read_meta
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key, Meta
from tubepost_operator.plan.managed_fields import additions, pointer_text

_LOG = logging.getLogger("tubepost.reconcile")

_ESSENTIAL: Final = frozenset({"observedGeneration", "conditions"})
"""Of a status, what every definition of our kinds takes."""


class Applier:
    """Writes what plans say.

    Args:
        cluster: writes objects.
        cache: takes the answers.
        metrics: counts writes.
        instance: name of this replica, for events.
        wall: the time, aware.
    """

    def __init__(
        self,
        cluster: ClusterApi,
        cache: Cache,
        metrics: OperatorMetrics,
        instance: str,
        wall: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._cache = cache
        self._metrics = metrics
        self._instance = instance
        self._wall = wall

    # -- children -------------------------------------------------------------------------------------

    async def children(
        self, owner: Key, plan: Plan, is_rejection: Callable[[ApiError], bool]
    ) -> dict[Key, str]:
        """Mark claims, apply children, enlarge claims, delete orphans, refresh pods.

        Returns:
            The children that the API server rejects, each with its message.

        Raises:
            ApiError: not written, and not `is_rejection`.
            NotLeader: the Lease is lost.
        """
        rejected: dict[Key, str] = {}
        # First: no pod may get a claim that is said to be empty, nor may one go unsaid that is.
        for mark in plan.marks:
            await self._mark(owner, mark)
        for apply in plan.apply:
            if apply.key.kind in WORKLOADS and any(other.kind == "ConfigMap" for other in rejected):
                continue  # its pods could not start
            try:
                await self._apply(owner, apply)
            except ApiError as error:
                if not is_rejection(error):
                    raise
                rejected[apply.key] = error.message
        if plan.scale is not None:
            await self._scale(owner, plan.scale)
        for enlarge in plan.enlarge:
            try:
                await self._enlarge(owner, enlarge)
            except ApiError as error:
                if not is_rejection(error):
                    raise
                rejected[enlarge.key] = error.message
        for meta in plan.delete:
            try:
                await self._delete(owner, meta)
            except ApiError as error:
                if meta.key.kind != CLAIM.name or not is_rejection(error):
                    raise
                rejected[meta.key] = error.message  # the role of an older release
        for refresh in plan.refresh:
            await self._refresh(owner, refresh)
        return rejected

    async def _apply(self, owner: Key, apply: Apply) -> None:
        # Without force where nothing was: what somebody else made in this moment is not taken over.
        answer = await self._cluster.apply(CHILDREN[apply.key.kind], apply.manifest, force=not apply.create)
        self._count(owner, apply.key, "apply")
        if places := additions(answer, apply.manifest):
            # What others added is not taken away by applying what we want.
            texts = [pointer_text(place) for place in places]
            _LOG.info("%s: removed from %s: %s", owner, apply.key, ", ".join(texts), extra=fields(owner))
            answer = await self._cluster.remove_fields(CHILDREN[apply.key.kind], answer, texts)
            self._count(owner, apply.key, "remove")
        self._cache.written(apply.key, answer)
        self._cache.tried(
            apply.key,
            apply.manifest["metadata"].get("annotations", {}).get(Names.APPLIED_ANNOTATION, ""),
            answer,
            answer if places else None,
        )

    async def _scale(self, owner: Key, scale: Scale) -> None:
        patch: Document = {"spec": {"replicas": scale.replicas}}
        target = scale.key
        answer = await self._cluster.merge(CHILDREN[target.kind], target.namespace, target.name, patch)
        if answer is not None:
            self._cache.written(target, answer)
        self._count(owner, target, "scale")

    async def claim(self, owner: Key, child: Key, holder: str) -> None:
        """Write our name on a child, and nothing else.

        Raises:
            ApiError: not written.
            NotLeader: the Lease is lost.
        """
        patch: Document = {"metadata": {"annotations": {Names.HOLDER_ANNOTATION: holder}}}
        answer = await self._cluster.merge(CHILDREN[child.kind], child.namespace, child.name, patch)
        if answer is not None:
            self._cache.put_meta(read_meta(answer, child.kind))
        self._count(owner, child, "claim")

    async def _enlarge(self, owner: Key, enlarge: Enlarge) -> None:
        claim = enlarge.key
        patch: Document = {"spec": {"resources": {"requests": {"storage": enlarge.size}}}}
        answer = await self._cluster.merge(CLAIM, claim.namespace, claim.name, patch)
        if answer is not None:
            self._cache.take(claim, answer)
        self._count(owner, claim, "enlarge")

    async def _mark(self, owner: Key, mark: Mark) -> None:
        claim = mark.key
        patch: Document = {
            "metadata": {"annotations": {Names.DRAINED_ANNOTATION: "true" if mark.drained else None}}
        }
        answer = await self._cluster.merge(CLAIM, claim.namespace, claim.name, patch)
        if answer is not None:
            self._cache.take(claim, answer)
        self._count(owner, claim, "mark" if mark.drained else "unmark")

    async def _delete(self, owner: Key, meta: Meta) -> None:
        child = meta.key
        await self._cluster.delete(RELATED[child.kind], child.namespace, child.name, meta.uid)
        self._cache.remove_meta(child, meta.uid)
        self._count(owner, child, "delete")

    async def _refresh(self, owner: Key, refresh: Refresh) -> None:
        pod = refresh.key
        patch = {"metadata": {"annotations": {Names.REFRESH_ANNOTATION: refresh.digest}}}
        answer = await self._cluster.merge(POD, pod.namespace, pod.name, patch)
        if answer is not None:
            self._cache.put_meta(read_meta(answer, "Pod"))
        self._count(owner, pod, "refresh")

    def _count(self, owner: Key, key: Key, action: str) -> None:
        self._metrics.writes.labels(key.kind, action).inc()
        _LOG.info("%s: %s %s %s", owner, action, key.kind, key.name, extra=fields(owner))

    # -- the object itself ----------------------------------------------------------------------------

    async def status_and_events(self, key: Key, document: Document, plan: Plan) -> bool:
        """Write the status, post the events; False when the object is gone.

        Raises:
            ApiError: the status was not written; a conflict when the object has changed since `document`.
            NotLeader: the Lease is lost.
        """
        there = plan.status is None or await self._write_status(key, document, plan.status)
        for event in plan.events:
            await self._post(key, document, event)
        return there

    async def _write_status(self, key: Key, document: Document, status: Document) -> bool:
        old = document.get("status") or {}
        gone: dict[str, Any] = dict.fromkeys(old.keys() - status.keys())
        # Optimistic lock: the server answers 409 if the object has changed since we read it.
        patch = {
            "metadata": {"resourceVersion": document["metadata"]["resourceVersion"]},
            "status": {**_nulled(old, status), **gone},
        }
        try:
            answer = await self._cluster.merge(OWN[key.kind], key.namespace, key.name, patch, "status")
        except ApiError as error:
            if error.status != 422:
                raise
            # One value that the definition does not take must not keep back what is wrong with the object.
            _LOG.warning("%s: only its conditions can be written: %s", key, error, extra=fields(key))
            slim = {name: value for name, value in status.items() if name in _ESSENTIAL}
            answer = await self._cluster.merge(
                OWN[key.kind], key.namespace, key.name, {**patch, "status": slim}, "status"
            )
        if answer is None:
            self._cache.remove(key, document["metadata"]["uid"])
            return False
        self._cache.set_status(key, answer)
        self._metrics.writes.labels(key.kind, "status").inc()
        _LOG.debug("%s: status written", key, extra=fields(key))
        return True

    async def _post(self, key: Key, document: Document, event: Event) -> None:
        log = _LOG.warning if event.type == "Warning" else _LOG.info
        log("%s: %s: %s", key, event.reason, event.message, extra=fields(key))
        try:
            await self._cluster.create(
                EVENT, key.namespace, event_document(document, event, self._instance, self._wall())
            )
        except ApiError as error:
            # Events are best effort: the condition says the same.
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
