"""The claims of a PushDomain as they were observed, and what the rules of `claims.py` make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tubepost_operator.kinds import CLAIM
from tubepost_operator.names import Names
from tubepost_operator.observed import Pod
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
        drain = next((pod for pod in snapshot.drains if pod.meta.labels[Names.DRAIN_LABEL] == number), None)
        found.append(
            QueueClaim(
                int(number),
                ((child.body or {}).get("status") or {}).get("phase", "Pending"),
                Names.DRAINED_ANNOTATION in child.meta.annotations,
                owns_claim(snapshot, child.meta),
                child.meta.deleting,
                of_pods.get(int(number), ""),
                _drain_pod(snapshot, drain, int(number), stays=not delete) if drain is not None else None,
            )
        )
    return plan_claims(found, taken=max(have, keep), going=going, delete=delete, abandon=abandons(snapshot))


def _drain_pod(snapshot: PushDomainSnapshot, pod: Pod, number: int, *, stays: bool) -> QueuePod:
    found = QueuePod(pod.meta.key.name, "StatefulSet", number)
    return asked(snapshot, pod, found, "", stays=stays)
