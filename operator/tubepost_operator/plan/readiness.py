"""Deployment, pods and their metrics -> the conditions Programmed and Ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tubepost_api.conditions import ConditionType, Reason
from tubepost_operator.conditions import PlannedCondition, bad, first_fault, good
from tubepost_operator.kinds import CHILDREN, NETWORK_POLICY, POD, SECRET
from tubepost_operator.names import Names
from tubepost_operator.observed import Fight, Key
from tubepost_operator.plan.causes import causes
from tubepost_operator.plan.children import ChildrenPlan, rolled_out
from tubepost_operator.plan.drift import remedy as fight_remedy
from tubepost_operator.plan.moves import WorkloadKind, other
from tubepost_operator.plan.queue_pods import kind_of, workload, workload_body
from tubepost_operator.plan.remedies import remedy
from tubepost_operator.plan.select import Selection
from tubepost_operator.plan.stale_secret import STALE_AFTER, stale_secrets
from tubepost_operator.plan.stale_secret import message as stale_message
from tubepost_operator.plan.workloads import unbound_claims
from tubepost_operator.snapshot import PushDomainSnapshot
from tubepost_runtime.words import counted

NEEDED_TO_SERVE: Final = frozenset({SECRET.name, POD.name, *CHILDREN}) - {NETWORK_POLICY.name}
"""Kinds without which it cannot be said that a PushDomain is as it should be."""
_PROGRAMMED = ConditionType.PROGRAMMED
_READY = ConditionType.READY


def programmed(
    snapshot: PushDomainSnapshot,
    selection: Selection,
    children: ChildrenPlan,
    digest: str,
    kind: WorkloadKind,
) -> PlannedCondition:
    """Whether everything exists as planned and the pods run the new configuration."""
    if children.conflicts:
        named = ", ".join(f"{key.kind} {key.namespace}/{key.name}" for key in children.conflicts)
        return bad(
            _PROGRAMMED,
            Reason.NAME_CONFLICT,
            f"{named}: exists already and does not belong to this PushDomain; it is left alone. Remedy: "
            "remove or rename it, or give the PushDomain another name.",
        )
    if snapshot.rejected:
        text = " ".join(
            f"{key.kind} {key.namespace}/{key.name}: {message.rstrip('.')}."
            for key, message in sorted(snapshot.rejected.items())
        )
        return bad(
            _PROGRAMMED,
            Reason.REJECTED,
            f"The API server rejects what the operator writes. {text} Remedy: "
            f"{remedy(' '.join(snapshot.rejected.values()))}.",
        )
    unseen = [refusal.text for refusal in snapshot.refused if refusal.kind in NEEDED_TO_SERVE]
    if unseen:
        return bad(_PROGRAMMED, Reason.NO_ACCESS, f"What runs stays as it is. {' '.join(unseen[:3])}")
    if selection.source is None and selection.published is not None:
        return bad(_PROGRAMMED, Reason.PENDING, _stays_in_force(selection.published.config.generation))
    if selection.source is None:
        return bad(
            _PROGRAMMED,
            Reason.PENDING,
            "No valid configuration yet, so nothing is deployed. Remedy: fix the conditions that are False.",
        )
    if children.leaving:
        return bad(
            _PROGRAMMED,
            Reason.PENDING,
            "Objects of a deleted PushDomain of the same name are still being deleted.",
        )
    if not selection.is_candidate:
        return bad(_PROGRAMMED, Reason.PENDING, _stays_in_force(selection.source.config.generation))
    if children.withheld:
        named = ", ".join(f"{key.kind} {key.name}" for key in children.withheld)
        return bad(
            _PROGRAMMED,
            Reason.PAUSED,
            f"Annotation {Names.PAUSED_ANNOTATION}: nothing is written. Withheld: {named}. Remedy: remove "
            "the annotation when you are done.",
        )
    # Once is no fight yet, whoever it was; it is one as soon as it is done again.
    fights = [
        (key, fight)
        for key, fight in sorted(snapshot.fights.items())
        if key in snapshot.children and (fight.times > 1 or key in children.contested)
    ]
    if fights and not children.paused:
        return bad(
            _PROGRAMMED, Reason.CONTESTED, " ".join(_contested(snapshot.name, *item) for item in fights)
        )
    stale = stale_secrets(snapshot, digest)
    if snapshot.emptying or (stale and not children.paused):
        text = stale_message(snapshot, selection.source.config, stale)
        return bad(_PROGRAMMED, Reason.STALE_SECRET, text)
    return _rolled(snapshot, children, kind) or _confirmed(snapshot, children, digest, kind)


def _contested(name: str, key: Key, fight: Fight) -> str:
    return (
        f"{key.kind} {key.name} is changed again and again, at last: {fight.repair.text}. It was put back "
        f"{fight.times} {'time' if fight.times == 1 else 'times'}, and will be ever more rarely. Remedy: "
        f"{fight_remedy(key.kind, fight.repair.fields, name)}."
    )


def _stays_in_force(generation: int) -> str:
    return (
        f"The configuration of generation {generation}, the last valid one, stays in force. Remedy: fix the "
        "conditions that are False."
    )


def _rolled(
    snapshot: PushDomainSnapshot, children: ChildrenPlan, kind: WorkloadKind
) -> PlannedCondition | None:
    body = workload_body(snapshot, kind)
    scaled_to_zero = body is not None and not body["spec"].get("replicas", 1)
    if body is None or (_new_template(snapshot, children, kind) and not scaled_to_zero):
        return bad(_PROGRAMMED, Reason.PENDING, f"The {kind} is being applied.")
    status, wanted = body.get("status") or {}, body["spec"].get("replicas", 1)
    updated, there = status.get("updatedReplicas", 0), status.get("replicas", 0)
    seen = status.get("observedGeneration", 0) >= body["metadata"].get("generation", 1)
    available, before = status.get("availableReplicas", 0), other(kind)
    if workload(snapshot, before) is not None and available < wanted:
        text = f"The {before} stays until all replicas of the {kind} are ready, {available} of {wanted} are"
        return _lacking(_PROGRAMMED, Reason.PENDING, text, snapshot, kind)
    if rolled_out(snapshot, kind) or (scaled_to_zero and not there):
        return None
    if seen and updated == there == wanted:
        # All pods are of the new template; whether one is available is up to Ready.
        return None
    if not seen:
        return bad(_PROGRAMMED, Reason.PENDING, f"The rollout of the {kind} has not started yet.")
    if updated < wanted:
        text = f"{updated} of {wanted} replicas run the new template"
    else:
        text = counted(
            there - updated,
            "replica of the previous template is still running",
            "replicas of the previous template are still running",
        )
    return _lacking(_PROGRAMMED, Reason.PENDING, text, snapshot, kind)


def _new_template(snapshot: PushDomainSnapshot, children: ChildrenPlan, kind: WorkloadKind) -> bool:
    """Whether pods are about to be replaced; putting back what somebody changed does not count."""
    for apply in children.apply:
        child = snapshot.children.get(apply.key)
        if apply.key.kind == kind and child is not None:
            now, then = child.meta.annotations, apply.manifest["metadata"]["annotations"]
            return bool(now.get(Names.TEMPLATE_ANNOTATION) != then[Names.TEMPLATE_ANNOTATION])
    return False


def _confirmed(
    snapshot: PushDomainSnapshot, children: ChildrenPlan, digest: str, kind: WorkloadKind
) -> PlannedCondition:
    asked = [
        pod for pod in snapshot.pods if not pod.sidecar and pod.report is not None and kind_of(pod) == kind
    ]
    answered = [pod for pod in asked if pod.report is not None and pod.report.digest is not None]
    others = [pod for pod in answered if pod.report is not None and pod.report.digest != digest]
    refusing = [pod for pod in others if pod.report is not None and pod.report.refuses(digest)]
    if refusing:
        names = ", ".join(sorted(pod.meta.key.name for pod in refusing))
        return bad(
            _PROGRAMMED,
            Reason.CONFIG_REFUSED,
            f"Pods {names} refuse the new configuration and keep serving the previous one. Remedy: read "
            "their log, where a line `configuration refused` says why: hooks that cannot be loaded, for "
            "example, which `tubepost validate` tells as well; or they are of another release.",
        )
    if others:
        return bad(
            _PROGRAMMED,
            Reason.PENDING,
            f"{len(answered) - len(others)} of {len(answered)} pods run the new "
            f"configuration.{_late(snapshot)}",
        )
    message = f"Configuration {digest} runs."
    if not asked:
        message = f"Configuration {digest} is published."
    elif not answered:
        message = f"Configuration {digest} is published; no pod answers on its port http."
    if children.upgrade == "waiting":
        message += " The rollout of a new dispatcher release waits for that of other PushDomains."
    stale = sum(
        pod.sidecar and pod.meta.annotations.get(Names.CONFIG_ANNOTATION, "") != _config_map(snapshot, kind)
        for pod in snapshot.pods
    )
    if stale:
        mount = counted(stale, "pod with a sidecar mounts", "pods with a sidecar mount")
        message += f" {mount} an older set of Secrets. Remedy: `kubectl rollout restart` of the workload."
    return good(_PROGRAMMED, Reason.PROGRAMMED, message + _by_the_cluster(children))


def _late(snapshot: PushDomainSnapshot) -> str:
    """What may be the matter when pods do not take it up for long."""
    if snapshot.unconfirmed_for < STALE_AFTER:
        return ""
    return (
        " It takes unusually long. Remedy: see the log of the pods; if a Secret was immutable before it was "
        "made anew, make it under another name: kubelets keep an immutable one as long as a pod on the node "
        "mounts it."
    )


def _by_the_cluster(children: ChildrenPlan) -> str:
    """What is not as we write it, and is left so."""
    texts = [f"{key.kind} {key.name}: {text}" for key, made in children.mutated.items() for text in made]
    found = f" A policy or webhook of the cluster decides: {'; '.join(texts[:3])}." if texts else ""
    if children.paused:
        found += f" Annotation {Names.PAUSED_ANNOTATION}: nothing would be written while it is there."
    return found


def _config_map(snapshot: PushDomainSnapshot, kind: WorkloadKind) -> str:
    child = workload(snapshot, kind)
    return child.meta.annotations.get(Names.CONFIG_ANNOTATION, "") if child is not None else ""


def ready(
    snapshot: PushDomainSnapshot, before: Sequence[PlannedCondition], replicas: int, kind: WorkloadKind
) -> PlannedCondition:
    """The conditions before it, and whether a replica is available."""
    fault = first_fault(before)
    if fault is not None:
        return bad(_READY, fault.reason, fault.message)
    if replicas == 0:
        return good(_READY, Reason.NO_REPLICAS, "Nothing is served: spec.replicas is 0.")
    body = workload_body(snapshot, kind)
    status = (body or {}).get("status") or {}
    available = status.get("availableReplicas", 0)
    if not available:
        progressing = next(
            (
                item.get("reason")
                for item in status.get("conditions") or ()
                if item.get("type") == "Progressing"
            ),
            None,
        )
        starting = progressing in {
            None,
            "NewReplicaSetCreated",
            "FoundNewReplicaSet",
            "ReplicaSetUpdated",
        }
        reason = Reason.PENDING if starting else Reason.UNAVAILABLE
        return _lacking(_READY, reason, f"None of {replicas} replicas is ready", snapshot, kind)
    text = f"{min(available, replicas)} of {replicas} replicas are ready."
    if available < replicas and (claims := unbound_claims(snapshot)):
        text += f" Without a volume: {'; '.join(claims)}."
    return good(_READY, Reason.READY, text)


def _lacking(
    condition: ConditionType, reason: Reason, text: str, snapshot: PushDomainSnapshot, kind: WorkloadKind
) -> PlannedCondition:
    """A condition about pods that are not there, with what keeps them from it."""
    why = causes(
        workload_body(snapshot, kind),
        snapshot.pods,
        snapshot.told.get(Key(kind, snapshot.namespace, snapshot.name), ""),
    )
    claims = unbound_claims(snapshot) if kind == "StatefulSet" else []
    if not claims:
        return bad(condition, Reason.PODS_FAIL if why else reason, f"{text}. {why}".rstrip())
    return bad(
        condition,
        Reason.CLAIM_PENDING,
        f"{text}. Without a volume: {'; '.join(claims)}. Remedy: `kubectl --namespace "
        f"{snapshot.namespace} describe pvc` says why; see that the StorageClass exists and can make "
        f"volumes, or name another one in queue.disk.claim.storageClassName. {why}".rstrip(),
    )
