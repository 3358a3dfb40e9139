"""What is known of the queues of pods: of those that are there, and of those that ought to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from tubepost_operator.kinds import CLAIM
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Key, Pod, PodMetrics
from tubepost_operator.plan.moves import QueuePod, Workload, WorkloadKind
from tubepost_operator.plan.ownership import is_ours
from tubepost_operator.resources.queue import QueueVolume
from tubepost_operator.snapshot import PushDomainSnapshot

QUIET: Final = 2.0
"""Seconds for which a pod has to say that nothing is in its queue: its figures are of a moment ago."""


def workload(snapshot: PushDomainSnapshot, kind: WorkloadKind) -> Child | None:
    """Our own workload of a kind, None when there is none that stays."""
    child = snapshot.children.get(Key(kind, snapshot.namespace, snapshot.name))
    return child if child is not None and is_ours(snapshot, child.meta) and not child.meta.deleting else None


def workload_body(snapshot: PushDomainSnapshot, kind: WorkloadKind) -> Mapping[str, Any] | None:
    """The same as it is, None when there is none."""
    child = workload(snapshot, kind)
    return child.body if child is not None else None


def kind_of(pod: Pod) -> WorkloadKind:
    """Kind of the workload that runs a pod."""
    return "StatefulSet" if (pod.meta.owner_name or "").startswith("StatefulSet/") else "Deployment"


def ordinal(pod: Pod) -> int | None:
    """The number of a StatefulSet's pod."""
    number = pod.meta.key.name.rpartition("-")[2]
    return int(number) if number.isdigit() else None


def queue_pod(
    snapshot: PushDomainSnapshot, pod: Pod, in_place: str, stays: Mapping[WorkloadKind, bool]
) -> QueuePod:
    """A pod, and what is known to be in its queue.

    Args:
        snapshot: what was observed.
        pod: the pod.
        in_place: hash of the configuration under which pods that serve put nothing in their queue; empty for
            none.
        stays: whether the volumes of a workload's pods stay when they go for good.
    """
    kind = kind_of(pod)
    name = pod.meta.key.name
    number = ordinal(pod) if kind == "StatefulSet" else None
    volume = pod.meta.annotations.get(Names.QUEUE_ANNOTATION)
    found = QueuePod(name, kind, number, queue=volume is not None, ready=pod.ready and not pod.meta.deleting)
    if volume is None:
        return replace(found, left=0)
    # What was in an emptyDir is gone with a pod that has ended, and nothing ever was where none has begun.
    if volume == QueueVolume.EMPTY_DIR and (pod.ended or not pod.began):
        return replace(found, left=0)
    if volume == QueueVolume.JETSTREAM and pod.ended:
        return replace(found, left=0)  # the others tell what is in the stream
    if number is not None and not pod.began and not bound(snapshot, number):
        return replace(found, left=0)
    return asked(snapshot, pod, found, in_place, stays=stays[kind])


def asked(snapshot: PushDomainSnapshot, pod: Pod, found: QueuePod, in_place: str, *, stays: bool) -> QueuePod:
    """A pod with what it says of its queue itself.

    Args:
        snapshot: what was observed.
        pod: the pod.
        found: what is known without asking it.
        in_place: as for `queue_pod`.
        stays: its volume does, when it goes for good.
    """
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
    if report.set_aside and not stays:
        return replace(found, trouble="empty, but damaged parts of its queue were set aside there")
    return replace(found, left=0)


def bound(snapshot: PushDomainSnapshot, ordinal: int) -> bool:
    """Whether a pod's claim has a volume, for all that is known."""
    key = claim_key(snapshot, ordinal)
    claim = snapshot.children.get(key)
    if claim is None:
        return key not in snapshot.read  # it was looked for, and is not there
    return claim.body is None or (claim.body.get("status") or {}).get("phase") != "Pending"


def claim_key(snapshot: PushDomainSnapshot, ordinal: int) -> Key:
    """The claim of one of the StatefulSet's pods."""
    return Key(CLAIM.name, snapshot.namespace, Names.claim(snapshot.name, ordinal))


def missing(snapshot: PushDomainSnapshot, there: Mapping[WorkloadKind, Workload]) -> Iterator[QueuePod]:
    """The StatefulSet's pods that are not there: their claims may hold something."""
    known = there.get("StatefulSet")
    if known is None:
        return
    names = {pod.meta.key.name for pod in snapshot.pods}
    for ordinal in range(known.replicas):
        name = f"{snapshot.name}-{ordinal}"
        if name not in names:
            left = None if bound(snapshot, ordinal) else 0
            yield QueuePod(
                name, "StatefulSet", ordinal, left=left, trouble="" if left == 0 else "is not there"
            )
