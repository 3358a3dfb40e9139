"""Compares the children that exist with those that should: what to apply, what to delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from tubepost_operator.actions import Apply, Enlarge, Mark, Scale
from tubepost_operator.kinds import CHILDREN, CLAIM, WORKLOADS
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Document, Fight, Key, Meta
from tubepost_operator.plan.drift import Change, drift, on_admission
from tubepost_operator.plan.moves import WorkloadKind, other
from tubepost_operator.plan.ownership import is_leaving, is_orphan, is_ours
from tubepost_operator.plan.queue_pods import claim_key, workload, workload_body
from tubepost_operator.plan.workloads import Arrangement
from tubepost_operator.quantities import amount
from tubepost_operator.resources.common import Source
from tubepost_operator.resources.configmap import config_map
from tubepost_operator.resources.deployment import deployment
from tubepost_operator.resources.drain import drain
from tubepost_operator.resources.networkpolicy import network_policy
from tubepost_operator.resources.pdb import disruption_budget
from tubepost_operator.resources.service import service
from tubepost_operator.resources.serviceaccount import service_account
from tubepost_operator.resources.statefulset import stateful_set
from tubepost_operator.snapshot import PushDomainSnapshot

_NEEDED_BY_PODS: Final = frozenset({"ConfigMap", "ServiceAccount"})


@dataclass(slots=True)
class ChildrenPlan:
    """What to apply and to delete.

    `conflicts` are foreign objects with the name of a child, `leaving` those of a deleted PushDomain of the
    same name that are still being deleted. `repaired` names what somebody else deleted or changed, `adopted`
    what was nobody's and is taken back.
    """

    apply: list[Apply] = field(default_factory=list)
    delete: list[Meta] = field(default_factory=list)
    in_sync: list[Meta] = field(default_factory=list)
    conflicts: list[Key] = field(default_factory=list)
    leaving: list[Key] = field(default_factory=list)
    repaired: dict[Key, list[Change]] = field(default_factory=dict)
    contested: dict[Key, Fight] = field(default_factory=dict)
    mutated: dict[Key, list[str]] = field(default_factory=dict)
    adopted: list[Key] = field(default_factory=list)
    withheld: list[Key] = field(default_factory=list)
    paused: bool = False
    scale: Scale | None = None
    enlarge: list[Enlarge] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    upgrade: Literal["none", "waiting", "rolling"] = "none"


def wanted_children(arranged: Arrangement) -> dict[Key, Document]:
    """The children that a PushDomain should have, in the order in which they are applied."""
    source, retiring = arranged.source, arranged.retiring
    manifests = [config_map(source)]
    if retiring is not None and retiring.config_map != source.config_map:
        manifests.append(config_map(retiring))
    manifests += [service_account(source), service(source)]
    manifests.append(stateful_set(source) if arranged.target.kind == "StatefulSet" else deployment(source))
    manifests.append(disruption_budget(source))
    if source.settings.network_policies:
        manifests.append(network_policy(source))
    if arranged.draining:
        manifests.append(config_map(arranged.draining[0]))
    manifests += [drain(one) for one in arranged.draining]
    return {
        Key(manifest["kind"], source.namespace, manifest["metadata"]["name"]): manifest
        for manifest in manifests
    }


def plan_children(
    snapshot: PushDomainSnapshot, arranged: Arrangement, wanted: Mapping[Key, Document]
) -> ChildrenPlan:
    """Decide what to apply and what to delete.

    Args:
        snapshot: what is there.
        arranged: which workloads there are to be.
        wanted: the manifests, in the order in which they are applied (`wanted_children`).
    """
    plan = ChildrenPlan()
    was_there = _was_there(snapshot)
    for key, manifest in wanted.items():
        child = snapshot.children.get(key)
        if child is None:
            if key not in snapshot.rejected:
                plan.apply.append(Apply(key, manifest, create=True))
            moves = key.kind in WORKLOADS and workload(snapshot, other(arranged.target.kind)) is not None
            if was_there and key.kind != "ConfigMap" and not moves and not drains_claim(key, snapshot.name):
                plan.repaired[key] = []
            continue
        if is_leaving(snapshot, child.meta):
            plan.leaving.append(key)
        elif is_orphan(snapshot, child.meta):
            if key not in snapshot.rejected:
                plan.apply.append(Apply(key, manifest))
                plan.adopted.append(key)
        elif not is_ours(snapshot, child.meta):
            plan.conflicts.append(key)
        elif key.kind in WORKLOADS and not drains_claim(key, snapshot.name):
            _workload(plan, snapshot, key, child, manifest)
        else:
            _compare(plan, snapshot, key, child, manifest)
    if any(key.kind in _NEEDED_BY_PODS for key in plan.conflicts):
        # Pods would mount a foreign ConfigMap, or run as a foreign account.
        plan.apply = [apply for apply in plan.apply if apply.key.kind not in WORKLOADS]
    plan.delete += _orphans(snapshot, arranged, wanted)
    _left_claims(plan, snapshot, arranged)
    if arranged.target.kind == "StatefulSet":
        plan.enlarge += _small_claims(snapshot, arranged.source)
    return plan


def drains_claim(key: Key, push_domain: str) -> bool:
    """Whether a child is the Deployment of a drain pod."""
    return key.kind == "Deployment" and key.name != push_domain


def _left_claims(plan: ChildrenPlan, snapshot: PushDomainSnapshot, arranged: Arrangement) -> None:
    """What is written about claims that no pod of the StatefulSet has."""
    claims = arranged.claims
    plan.marks += [Mark(claim_key(snapshot, number), drained=True) for number in claims.mark]
    plan.marks += [Mark(claim_key(snapshot, number), drained=False) for number in claims.unmark]
    keys = [claim_key(snapshot, number) for number in claims.delete]
    plan.delete += [snapshot.children[key].meta for key in keys if key not in snapshot.rejected]


def _small_claims(snapshot: PushDomainSnapshot, source: Source) -> list[Enlarge]:
    """Claims that are smaller than the spec says.

    A StatefulSet's own template of them cannot be changed, so that those of new replicas are enlarged as
    well.
    """
    disk = source.spec.queue.disk if source.spec.queue else None
    wanted = amount(disk.claim.size) if disk and disk.claim else None
    if disk is None or disk.claim is None or wanted is None:
        return []
    found = []
    for ordinal in range(source.wanted_replicas):
        key = claim_key(snapshot, ordinal)
        claim = snapshot.children.get(key)
        if claim is None or claim.body is None or claim.meta.deleting or key in snapshot.rejected:
            continue
        requests = (claim.body["spec"].get("resources") or {}).get("requests") or {}
        have = amount(requests.get("storage", ""))
        # One without a volume is made anew by its StatefulSet when it is deleted; it cannot be enlarged.
        bound = (claim.body.get("status") or {}).get("phase") == "Bound"
        if bound and have is not None and have < wanted:
            found.append(Enlarge(key, disk.claim.size))
    return found


def _was_there(snapshot: PushDomainSnapshot) -> bool:
    """Whether the children existed before: one that is missing was then deleted."""
    return any(
        key.kind == "ConfigMap" and child.meta.owner == snapshot.uid
        for key, child in snapshot.children.items()
    ) and any(
        condition.get("type") == "Programmed" and condition.get("status") == "True"
        for condition in (snapshot.document.get("status") or {}).get("conditions") or ()
    )


def _compare(
    plan: ChildrenPlan, snapshot: PushDomainSnapshot, key: Key, child: Child, manifest: Document
) -> None:
    applied = child.meta.annotations.get(Names.APPLIED_ANNOTATION)
    if applied != manifest["metadata"]["annotations"][Names.APPLIED_ANNOTATION]:
        if key not in snapshot.rejected:
            plan.apply.append(Apply(key, manifest))
        return
    plan.mutated[key] = on_admission(child, manifest)
    changes = drift(child, manifest)
    if not changes:
        plan.in_sync.append(child.meta)
    elif _may_put_back(plan, snapshot, key):
        plan.apply.append(Apply(key, manifest))
        plan.repaired[key] = changes


def _may_put_back(plan: ChildrenPlan, snapshot: PushDomainSnapshot, key: Key) -> bool:
    """Whether a change is put back now: not while the API server rejects it, nor too often in a fight."""
    fight = snapshot.fights.get(key)
    if fight is not None and fight.wait > 0:
        plan.contested[key] = fight
        return False
    return key not in snapshot.rejected


def _workload(
    plan: ChildrenPlan, snapshot: PushDomainSnapshot, key: Key, child: Child, manifest: Document
) -> None:
    """A workload that differs only by the operator's release is subject to the rollout limit."""
    now, then = child.meta.annotations, manifest["metadata"]["annotations"]
    only_release = (
        now.get(Names.ROLL_ANNOTATION) == then[Names.ROLL_ANNOTATION]
        and now.get(Names.TEMPLATE_ANNOTATION) != then[Names.TEMPLATE_ANNOTATION]
    )
    replicas: int = manifest["spec"]["replicas"]
    if only_release and replicas > 0:
        if not snapshot.may_upgrade:
            plan.upgrade = "waiting"
            changes = [change for change in drift(child, manifest) if change.field == "spec.replicas"]
            if any(change.by for change in changes):
                if _may_put_back(plan, snapshot, key):
                    plan.scale = Scale(key, replicas)
                    plan.repaired[key] = changes
            elif changes:
                plan.scale = Scale(key, replicas)
            return
        plan.upgrade = "rolling"
    _compare(plan, snapshot, key, child, manifest)


def _orphans(
    snapshot: PushDomainSnapshot, arranged: Arrangement, wanted: Mapping[Key, Document]
) -> list[Meta]:
    """Our own objects that are no longer needed."""
    if any(key.kind != CLAIM.name for key in snapshot.rejected):
        return []
    found = []
    kind = arranged.target.kind
    now, old = workload(snapshot, kind), workload(snapshot, other(kind))
    settled = (
        old is None
        and now is not None
        and now.meta.annotations.get(Names.CONFIG_ANNOTATION) == arranged.source.config_map
        and rolled_out(snapshot, kind)
    )
    in_use = {pod.meta.annotations.get(Names.CONFIG_ANNOTATION) for pod in (*snapshot.pods, *snapshot.drains)}
    for key, child in snapshot.children.items():
        if key in wanted or not is_ours(snapshot, child.meta) or child.meta.deleting:
            continue
        if key.kind == "ConfigMap":
            # Until the rollout is complete, a pod that mounts the old one may still be started.
            if settled and key.name not in in_use:
                found.append(child.meta)
        elif key.kind in WORKLOADS:
            if arranged.settlement.remove_old or drains_claim(key, snapshot.name):
                found.append(child.meta)
        elif key.kind in CHILDREN:
            found.append(child.meta)
    return found


def rolled_out(snapshot: PushDomainSnapshot, kind: WorkloadKind) -> bool:
    """Whether all pods are of the workload's current template, and the old ones gone."""
    body = workload_body(snapshot, kind)
    if body is None:
        return False
    status = body.get("status") or {}
    wanted = body["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= body["metadata"].get("generation", 1)
        and status.get("updatedReplicas", 0) == status.get("replicas", 0) == wanted
        and (status.get("availableReplicas", 0) > 0 or wanted == 0)
    )


def upgrading(snapshot: PushDomainSnapshot, kind: WorkloadKind) -> bool:
    """Whether a rollout that an upgrade of the operator caused is in progress.

    Then there are pods of two templates that differ in nothing that users decide. A user's own rollout, a
    PushDomain that never ran, and one whose new pods fail for a reason of its own do not count.
    """
    body = workload_body(snapshot, kind)
    if body is None or rolled_out(snapshot, kind):
        return False
    roll = body["metadata"].get("annotations", {}).get(Names.ROLL_ANNOTATION)
    same = [
        pod
        for pod in snapshot.pods
        if not pod.sidecar and pod.meta.annotations.get(Names.ROLL_ANNOTATION) == roll
    ]
    updated: int = (body.get("status") or {}).get("updatedReplicas", 0)
    return len(same) > updated
