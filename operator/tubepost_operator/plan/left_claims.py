"""The claims of a PushDomain as they were observed, and what the rules of `claims.py` make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tubepost_operator.kinds import CLAIM
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Key, Pod
from tubepost_operator.plan.claims import Claims, QueueClaim, plan_claims
from tubepost_operator.plan.moves import QueuePod, Settlement, Target, Workload, WorkloadKind
from tubepost_operator.plan.ownership import owns_claim
from tubepost_operator.plan.queue_pods import asked, claim_key, kind_of, ordinal
from tubepost_operator.resources.common import Source
from tubepost_operator.snapshot import PushDomainSnapshot


def abandons(snapshot: PushDomainSnapshot) -> bool:
    """Whether the user says that queues are not waited for, in this generation."""
    wish = (snapshot.document["metadata"].get("annotations") or {}).get(Names.ABANDON_ANNOTATION)
    return bool(wish == str(snapshot.generation))


def deletes(selected: Source) -> bool:
    """Whether claims that are empty and have no pod any more go."""
    disk = selected.spec.queue.disk if selected.spec.queue else None
    return bool(disk and disk.claim and disk.claim.when_scaled == "Delete")


def left_claims(
    snapshot: PushDomainSnapshot,
    selected: Source,
    target: Target,
    there: Mapping[WorkloadKind, Workload],
    pods: Sequence[QueuePod],
    settlement: Settlement,
) -> Claims:
    """What becomes of the claims that there are."""
    known = there.get("StatefulSet")
    have = known.replicas if known is not None else 0
    keep = settlement.replicas if target.kind == "StatefulSet" else 0 if settlement.remove_old else have
    of_pods = {
        ordinal(pod): pod.meta.key.name
        for pod in snapshot.pods
        if not pod.sidecar and kind_of(pod) == "StatefulSet"
    }
    going = {
        pod.ordinal
        for pod in pods
        if pod.kind == "StatefulSet"
        and pod.ordinal is not None
        and keep <= pod.ordinal < have
        and pod.left == 0
    }
    delete = deletes(selected)
    found = []
    for key, child in snapshot.children.items():
        number = key.name.rpartition("-")[2]
        if key.kind != CLAIM.name or not number.isdigit() or claim_key(snapshot, int(number)) != key:
            continue
        drains = [pod for pod in snapshot.drains if pod.meta.labels[Names.DRAIN_LABEL] == number]
        # The one that goes may be on a node that is lost, and has a successor.
        drain = min(drains, key=lambda pod: pod.meta.deleting, default=None)
        found.append(
            QueueClaim(
                int(number),
                _phase(child),
                Names.DRAINED_ANNOTATION in child.meta.annotations,
                owns_claim(snapshot, child.meta),
                child.meta.deleting,
                of_pods.get(int(number), ""),
                _drain_pod(snapshot, drain, int(number), stays=not delete) if drain is not None else None,
                _refused(snapshot, int(number)),
            )
        )
    return plan_claims(found, taken=max(have, keep), going=going, delete=delete, abandon=abandons(snapshot))


def _drain_pod(snapshot: PushDomainSnapshot, pod: Pod, number: int, *, stays: bool) -> QueuePod:
    found = QueuePod(pod.meta.key.name, "StatefulSet", number)
    return asked(snapshot, pod, found, "", stays=stays)


def _phase(claim: Child) -> str:
    # What is not known is not taken for one that never had a volume.
    return (
        str((claim.body.get("status") or {}).get("phase", "Pending")) if claim.body is not None else "Bound"
    )


def _refused(snapshot: PushDomainSnapshot, number: int) -> str:
    """Why the Deployment of a drain pod makes none: a quota, a policy; empty where nothing is known."""
    child = snapshot.children.get(Key("Deployment", snapshot.namespace, Names.drain(snapshot.name, number)))
    status = ((child.body or {}).get("status") or {}) if child is not None else {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return f"its drain pod is refused: {condition.get('message', '')}"
    return ""
