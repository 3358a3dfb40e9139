"""The workloads of a PushDomain as they were observed, and what the rules of `moves.py` make of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tubepost_api.acceptance import ClaimSpec
from tubepost_api.config import DispatcherConfig, ServingWorkload
from tubepost_api.digest import bundle_digest
from tubepost_operator.kinds import CLAIM
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Document, Key, Pod, PodMetrics
from tubepost_operator.plan.moves import (
    QueuePod,
    Serving,
    Settlement,
    Target,
    Workload,
    WorkloadKind,
    other,
    settle,
    who_serves,
)
from tubepost_operator.plan.ownership import is_ours
from tubepost_operator.plan.published import parsed
from tubepost_operator.resources.common import Source
from tubepost_operator.resources.queue import QueueVolume, of_spec, of_stateful_set
from tubepost_operator.snapshot import PushDomainSnapshot

QUIET: Final = 2.0
"""Seconds for which a pod has to say that nothing is in its queue: its figures are of a moment ago."""
SHOWN_CLAIMS: Final = 3
"""Claims without a volume that a message names."""
_KINDS: Final[tuple[WorkloadKind, ...]] = ("Deployment", "StatefulSet")


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Which workload there is to be, who serves, and what may go.

    `source` is what the target's children are made from; `retiring` those of the other workload's
    configuration, where that is one of its own and has to say that it retires.
    """

    target: Target
    serving: Serving
    settlement: Settlement
    source: Source
    retiring: Source | None = None


def workload(snapshot: PushDomainSnapshot, kind: WorkloadKind) -> Child | None:
    """Our own workload of a kind, None when there is none that stays."""
    child = snapshot.children.get(Key(kind, snapshot.namespace, snapshot.name))
    return child if child is not None and is_ours(snapshot, child.meta) and not child.meta.deleting else None


def workload_body(snapshot: PushDomainSnapshot, kind: WorkloadKind) -> Mapping[str, Any] | None:
    """The same as it is, None when there is none."""
    child = workload(snapshot, kind)
    return child.body if child is not None else None


def present_kind(snapshot: PushDomainSnapshot) -> WorkloadKind:
    """Kind of the workload that is there, where nothing says which is to be."""
    alone = workload(snapshot, "Deployment") is None and workload(snapshot, "StatefulSet") is not None
    return "StatefulSet" if alone else "Deployment"


def kind_of(pod: Pod) -> WorkloadKind:
    """Kind of the workload that runs a pod."""
    return "StatefulSet" if (pod.meta.owner_name or "").startswith("StatefulSet/") else "Deployment"


def arrange(snapshot: PushDomainSnapshot, selected: Source) -> Arrangement:
    """Decide on workloads for what was selected to be served."""
    config = selected.config
    on_claim = config.queue is not None and config.queue.persistent
    target = Target(
        "StatefulSet" if on_claim else "Deployment", selected.spec.replicas, queue=config.queue is not None
    )
    there = dict(_workloads(snapshot))
    pods = [_queue_pod(snapshot, pod, "") for pod in snapshot.pods if not pod.sidecar]
    serving = who_serves(target, there, pods, _serving_before(snapshot, target))
    in_place = _digest(snapshot, _told(config, serving, queue=True)) if _in_place(target, there) else ""
    pods = [
        *(_queue_pod(snapshot, pod, in_place) for pod in snapshot.pods if not pod.sidecar),
        *_missing(snapshot, there),
    ]
    settlement = settle(target, there, pods, serving, abandon=_abandons(snapshot))
    return Arrangement(
        target,
        serving,
        settlement,
        _source(snapshot, selected, target, serving, settlement),
        _retiring(snapshot, selected, target, serving),
    )


def _workloads(snapshot: PushDomainSnapshot) -> Iterator[tuple[WorkloadKind, Workload]]:
    for kind in _KINDS:
        child = workload(snapshot, kind)
        if child is not None and child.body is not None:
            status = child.body.get("status") or {}
            current = status.get("observedGeneration", 0) >= child.body["metadata"].get("generation", 1)
            yield (
                kind,
                Workload(
                    kind,
                    child.body["spec"].get("replicas", 1),
                    status.get("availableReplicas", 0) if current else 0,
                    Names.QUEUE_ANNOTATION in child.meta.annotations,
                ),
            )


def _in_place(target: Target, there: Mapping[WorkloadKind, Workload]) -> bool:
    """Whether the target's own pods empty a queue that they are to have no more."""
    now = there.get(target.kind)
    return target.kind == "Deployment" and not target.queue and now is not None and now.queue


def _serving_before(snapshot: PushDomainSnapshot, target: Target) -> tuple[ServingWorkload, ...]:
    """Who serves by the configuration that the workload of the other kind has."""
    old = workload(snapshot, other(target.kind))
    config = _config_of(snapshot, old) if old is not None else None
    return config.serving if config is not None else ()


def _config_of(snapshot: PushDomainSnapshot, child: Child) -> DispatcherConfig | None:
    name = child.meta.annotations.get(Names.CONFIG_ANNOTATION, "")
    found = parsed(snapshot.children.get(Key("ConfigMap", snapshot.namespace, name)))
    return found.config if found is not None else None


def _queue_pod(snapshot: PushDomainSnapshot, pod: Pod, in_place: str) -> QueuePod:
    """A pod, and what is known to be in its queue.

    Args:
        snapshot: what was observed.
        pod: the pod.
        in_place: hash of the configuration under which pods that serve put nothing in their queue; empty for
            none.
    """
    kind = kind_of(pod)
    name = pod.meta.key.name
    number = name.rpartition("-")[2]
    ordinal = int(number) if kind == "StatefulSet" and number.isdigit() else None
    volume = pod.meta.annotations.get(Names.QUEUE_ANNOTATION)
    found = QueuePod(name, kind, ordinal, queue=volume is not None, ready=pod.ready and not pod.meta.deleting)
    if volume is None:
        return replace(found, left=0)
    # What was in an emptyDir is gone with a pod that has ended, and nothing ever was where none has begun.
    if volume == QueueVolume.EMPTY_DIR and (pod.ended or not pod.began):
        return replace(found, left=0)
    if ordinal is not None and not pod.began and not _bound(snapshot, ordinal):
        return replace(found, left=0)
    push_domain = Key("PushDomain", snapshot.namespace, snapshot.name)
    report = pod.last_report
    if pod.url is None or PodMetrics(push_domain, pod.meta.uid, pod.url) not in snapshot.read:
        return replace(found, trouble=pod.trouble or "has not been asked")
    if report is None or not report.digest:
        return replace(found, trouble=pod.trouble or "does not answer")
    if report.queued is None:
        return replace(found, trouble="a partition of its queue is not open")
    settled = report.retiring or (in_place != "" and report.digest == in_place)
    if report.queued or not settled:
        return replace(found, left=report.queued or None, trouble="" if report.queued else "still serves")
    if not report.quiet or pod.quiet_for < QUIET:
        return replace(found, trouble="ends its last sessions")
    if report.set_aside and not _outlives(snapshot, kind):
        return replace(found, trouble="empty, but damaged parts of its queue were set aside there")
    return replace(found, left=0)


def _outlives(snapshot: PushDomainSnapshot, kind: WorkloadKind) -> bool:
    """Whether a pod's volume stays when the pod goes for good."""
    body = workload_body(snapshot, kind)
    claim = of_stateful_set(body) if body is not None else None
    return claim is not None and claim.retention == "Retain"


def _bound(snapshot: PushDomainSnapshot, ordinal: int) -> bool:
    """Whether a pod's claim has a volume, for all that is known."""
    key = claim_key(snapshot, ordinal)
    claim = snapshot.children.get(key)
    if claim is None:
        return key not in snapshot.read  # it was looked for, and is not there
    return claim.body is None or (claim.body.get("status") or {}).get("phase") != "Pending"


def claim_key(snapshot: PushDomainSnapshot, ordinal: int) -> Key:
    """The claim of one of the StatefulSet's pods."""
    return Key(CLAIM.name, snapshot.namespace, Names.claim(snapshot.name, ordinal))


def _missing(snapshot: PushDomainSnapshot, there: Mapping[WorkloadKind, Workload]) -> Iterator[QueuePod]:
    """Pods of the StatefulSet that are not there: their claims may hold something."""
    known = there.get("StatefulSet")
    if known is None:
        return
    names = {pod.meta.key.name for pod in snapshot.pods}
    for ordinal in range(known.replicas):
        name = f"{snapshot.name}-{ordinal}"
        if name not in names:
            left = None if _bound(snapshot, ordinal) else 0
            yield QueuePod(
                name, "StatefulSet", ordinal, left=left, trouble="" if left == 0 else "is not there"
            )


def _abandons(snapshot: PushDomainSnapshot) -> bool:
    wish = (snapshot.document["metadata"].get("annotations") or {}).get(Names.ABANDON_ANNOTATION)
    return bool(wish == str(snapshot.generation))


def _told(config: DispatcherConfig, serving: Serving, *, queue: bool) -> DispatcherConfig:
    """The configuration for pods with or without a queue: only the former retire."""
    return config.model_copy(update={"serving": serving.who if queue else ()})


def _digest(snapshot: PushDomainSnapshot, config: DispatcherConfig) -> str:
    return bundle_digest(config, {name: secret.data for name, secret in snapshot.secrets.items()})


def _source(
    snapshot: PushDomainSnapshot, selected: Source, target: Target, serving: Serving, settlement: Settlement
) -> Source:
    """What the children of the target are made from."""
    queue = None
    if target.kind == "StatefulSet":
        queue = QueueVolume.CLAIM
    elif target.queue or settlement.keep_queue:
        queue = QueueVolume.EMPTY_DIR
    config = _told(selected.config, serving, queue=queue is not None)
    claim = None
    if target.kind == "StatefulSet":
        body = workload_body(snapshot, "StatefulSet")
        disk = selected.spec.queue.disk if selected.spec.queue else None
        wanted = of_spec(disk.claim) if disk and disk.claim else None
        claim = of_stateful_set(body) if body is not None else None
        if claim is None:
            claim = wanted or of_spec(ClaimSpec())
        elif wanted is not None:
            claim = replace(claim, retention=wanted.retention)
    return replace(
        selected,
        config=config,
        config_map=Names.config_map(selected.name, config.secret_names(), queue=queue is not None),
        queue=queue,
        claim=claim,
        kept=_kept(snapshot) if settlement.keep_queue else None,
        replicas=settlement.replicas,
        unready=_unready(snapshot, target, serving),
    )


def _kept(snapshot: PushDomainSnapshot) -> Document | None:
    """The volume that the Deployment's pods keep, as it is: with another limit they would be replaced."""
    body = workload_body(snapshot, "Deployment")
    found = body["spec"]["template"]["spec"].get("volumes") or () if body is not None else ()
    return next((dict(volume) for volume in found if volume["name"] == Names.QUEUE_VOLUME), None)


def serving_replicas(snapshot: PushDomainSnapshot, arranged: Arrangement | None) -> int:
    """Pods that there are of what serves, as the scale subresource tells it.

    An autoscaler whose metric is within its bounds asks for as many as it is told there are: what only
    delivers its queue would be started again. During a move both workloads serve, each for the whole.
    """
    counts = []
    for kind in _KINDS:
        body = workload_body(snapshot, kind)
        count = ((body or {}).get("status") or {}).get("replicas", 0)
        if arranged is not None:
            target, serving = arranged.target, arranged.serving
            if kind != target.kind and serving.old_retires:
                continue
            if kind == target.kind and serving.ordinals_retire:
                count = min(count, target.replicas)
        counts.append(count)
    return max(counts, default=0)


def _unready(snapshot: PushDomainSnapshot, target: Target, serving: Serving) -> int:
    there = dict(_workloads(snapshot))
    old, new = there.get(other(target.kind)), there.get(target.kind)
    count = old.replicas if old is not None and serving.old_retires else 0
    if new is not None and serving.ordinals_retire:
        count += max(0, new.replicas - target.replicas)
    return count


def _retiring(
    snapshot: PushDomainSnapshot, selected: Source, target: Target, serving: Serving
) -> Source | None:
    """The configuration of a workload of the other kind, which its pods go on delivering by.

    It is the newest where they have all Secrets of that, and else the one that they have.
    """
    old = workload(snapshot, other(target.kind))
    if old is None or Names.QUEUE_ANNOTATION not in old.meta.annotations:
        return None
    name = old.meta.annotations.get(Names.CONFIG_ANNOTATION, "")
    have = _config_of(snapshot, old)
    newest = _told(selected.config, serving, queue=True)
    config = newest
    if have is not None:
        if not newest.secret_names() <= have.secret_names():
            config = _told(have, serving, queue=True)
        elif newest.model_copy(update={"generation": have.generation}) == have:
            config = have
    return replace(selected, config=config, config_map=name, queue=QueueVolume.EMPTY_DIR)


def unbound(snapshot: PushDomainSnapshot) -> dict[Key, Mapping[str, Any]]:
    """The claims of the StatefulSet that have no volume."""
    return {
        key: child.body
        for key, child in snapshot.children.items()
        if key.kind == CLAIM.name
        and child.body is not None
        and (child.body.get("status") or {}).get("phase") != "Bound"
    }


def unbound_claims(snapshot: PushDomainSnapshot) -> list[str]:
    """The first of them in words, with what is told of them."""
    found = []
    for key, body in sorted(unbound(snapshot).items())[:SHOWN_CLAIMS]:
        spec = body["spec"]
        size = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "?")
        of = f"StorageClass {spec['storageClassName']}" if spec.get("storageClassName") else "no StorageClass"
        phase = (body.get("status") or {}).get("phase", "Pending")
        told = f" ({snapshot.told[key].rstrip('.')})" if snapshot.told.get(key) else ""
        found.append(f"{CLAIM.name} {key.namespace}/{key.name} ({size}, {of}) is {phase}{told}")
    return found
