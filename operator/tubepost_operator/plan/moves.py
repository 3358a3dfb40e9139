"""Moves between workloads: who serves, what only delivers its queue, and what may go. Values in, values out.

A PushDomain's pods are run by a Deployment, or by a StatefulSet where their queue is on claims. A change from
one to the other, or to fewer ordinals, is a sequence that follows from what is observed each time:

1. The new workload is started beside the old one; both serve.
2. When the new one is complete, the old one retires: its pods take no more mail and deliver what they have.
3. When the queues of those pods are known to be empty, they go.

A workload without a queue has nothing to deliver and goes in step 2. Nothing here is remembered: a change of
mind in the middle is another target for the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tubepost_api.config import ServingWorkload

WorkloadKind = Literal["Deployment", "StatefulSet"]


@dataclass(frozen=True, slots=True)
class Target:
    """What there is to be. `queue`: its pods have one."""

    kind: WorkloadKind
    replicas: int
    queue: bool


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload that is there.

    `replicas` is what its own spec says; `available`: so many of its pods are ready.
    """

    kind: WorkloadKind
    replicas: int
    available: int
    queue: bool


@dataclass(frozen=True, slots=True)
class QueuePod:
    """A pod that is there, or a StatefulSet's that ought to be.

    `left`: notifications in its queue, None when that is not known; 0 only when it is known that nothing is
    there and nothing will come. `trouble` says why it is not known.
    """

    name: str
    kind: WorkloadKind
    ordinal: int | None = None
    queue: bool = True
    ready: bool = False
    left: int | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Serving:
    """Who serves. `who` is empty where nobody is told to retire; otherwise those that serve.

    `old_retires`: the workload of the other kind does not serve. `ordinals_retire`: nor do the target's
    ordinals from its number of replicas on.
    """

    who: tuple[ServingWorkload, ...] = ()
    old_retires: bool = False
    ordinals_retire: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """What may change now.

    `replicas` is that of the target, more than wanted while queues are not empty. `keep_queue`: the pods of
    the target's Deployment keep a volume that they still need. `remove_old`: the workload of the other kind
    may go. `draining` are the pods that are waited for, `abandoned` those that would have been.
    """

    replicas: int
    keep_queue: bool = False
    remove_old: bool = False
    draining: tuple[QueuePod, ...] = ()
    abandoned: tuple[QueuePod, ...] = ()


def other(kind: WorkloadKind) -> WorkloadKind:
    """The kind that is not this one."""
    return "StatefulSet" if kind == "Deployment" else "Deployment"


def who_serves(
    target: Target,
    there: Mapping[WorkloadKind, Workload],
    pods: Sequence[QueuePod],
    before: tuple[ServingWorkload, ...] = (),
) -> Serving:
    """Decide who serves.

    Args:
        target: what there is to be.
        there: what there is.
        pods: those that there are.
        before: who serves by the configuration that is published.
    """
    new, old = there.get(target.kind), there.get(other(target.kind))
    old_pods = any(pod.kind == other(target.kind) and pod.queue for pod in pods)
    # The last pods of one that is gone must not begin to serve again while they end.
    old_retires = old_pods if old is None else old.queue and _relieved(target, new, before)
    below = [pod for pod in pods if pod.kind == target.kind and _below(pod, target.replicas)]
    above = [
        pod for pod in pods if pod.kind == target.kind == "StatefulSet" and not _below(pod, target.replicas)
    ]
    fewer = target.kind == "StatefulSet" and new is not None and new.replicas > target.replicas
    ordinals_retire = (fewer or bool(above)) and (target.replicas == 0 or any(pod.ready for pod in below))
    if not (old_retires or ordinals_retire):
        return Serving()
    who = [ServingWorkload(kind=target.kind, replicas=target.replicas if ordinals_retire else None)]
    if old is not None and not old_retires:
        who.append(ServingWorkload(kind=old.kind))
    return Serving(tuple(who), old_retires, ordinals_retire)


def _relieved(target: Target, new: Workload | None, before: tuple[ServingWorkload, ...]) -> bool:
    """Whether the target does without the old workload: complete at first, then while any of it is ready."""
    if target.replicas == 0:
        return True
    if new is None:
        return False
    already = bool(before) and all(workload.kind == target.kind for workload in before)
    return new.available >= (1 if already else target.replicas)


def _below(pod: QueuePod, replicas: int) -> bool:
    return pod.ordinal is None or pod.ordinal < replicas


def settle(
    target: Target,
    there: Mapping[WorkloadKind, Workload],
    pods: Sequence[QueuePod],
    serving: Serving,
    *,
    abandon: bool = False,
) -> Settlement:
    """Decide what may go.

    Args:
        target: what there is to be.
        there: what there is.
        pods: those that there are, and those of StatefulSets that ought to be.
        serving: who serves; what is not known to be empty under that is waited for.
        abandon: by the user's word, nothing is waited for.
    """
    new, old = there.get(target.kind), there.get(other(target.kind))
    waiting: list[QueuePod] = []
    remove_old = False
    if old is not None:
        if old.queue:
            left = [pod for pod in pods if pod.kind == old.kind and pod.queue and pod.left != 0]
            waiting += left
            remove_old = serving.old_retires and (abandon or not left)
        else:
            # Nothing can be in there, so that it goes at the moment when others would retire.
            remove_old = _relieved(target, new, ())
    replicas, keep_queue = target.replicas, False
    if target.kind == "StatefulSet" and new is not None and new.replicas > target.replicas:
        above = [
            pod
            for pod in pods
            if pod.kind == "StatefulSet" and pod.ordinal is not None and pod.ordinal >= target.replicas
        ]
        left = [pod for pod in above if pod.left != 0]
        waiting += left
        if not serving.ordinals_retire:
            replicas = new.replicas
        elif left and not abandon:
            # The highest goes first: up to the last one that has something, they may go.
            replicas = max(pod.ordinal for pod in left if pod.ordinal is not None) + 1
    if target.kind == "Deployment" and not target.queue and new is not None and new.queue:
        left = [pod for pod in pods if pod.kind == "Deployment" and pod.queue and pod.left != 0]
        waiting += left
        keep_queue = bool(left) and not abandon
    return Settlement(
        replicas,
        keep_queue,
        remove_old,
        () if abandon else tuple(waiting),
        tuple(waiting) if abandon else (),
    )
