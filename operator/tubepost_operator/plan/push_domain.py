"""The plan of a PushDomain. Reads from top to bottom as the algorithm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tubepost_api.conditions import ConditionType, Reason
from tubepost_api.digest import bundle_digest
from tubepost_api.suspension import effective
from tubepost_operator.actions import Event, Plan, Refresh
from tubepost_operator.conditions import (
    USABLE,
    EventReason,
    PlannedCondition,
    events,
    merged,
    of_findings,
    stamp,
    unknown,
)
from tubepost_operator.kinds import WORKLOADS
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key, LiveStatus, Pod
from tubepost_operator.plan import suspended
from tubepost_operator.plan.bounce_conditions import bounce_conditions
from tubepost_operator.plan.candidate import Candidate, compile_candidate
from tubepost_operator.plan.children import (
    ChildrenPlan,
    drains_claim,
    plan_children,
    rolled_out,
    wanted_children,
)
from tubepost_operator.plan.delivering import delivering
from tubepost_operator.plan.drift import repair, repaired_text
from tubepost_operator.plan.moves import WorkloadKind
from tubepost_operator.plan.pause import is_paused, withheld
from tubepost_operator.plan.queue_conditions import queue_conditions, queue_events
from tubepost_operator.plan.queue_pods import kind_of, workload_body
from tubepost_operator.plan.readiness import programmed, ready
from tubepost_operator.plan.select import Selection, select_config
from tubepost_operator.plan.stale_secret import mended
from tubepost_operator.plan.workloads import Arrangement, arrange, present_kind, serving_replicas
from tubepost_operator.snapshot import PushDomainSnapshot

SETTLING: Final = 10.0
"""Seconds that running pods have to load a new configuration before the status says Pending."""
REFRESH_AGAIN: Final = (5.0, 20.0)
"""Seconds without confirmation after which pods are annotated again: the kubelet may have refreshed volumes
before its own cache had the change."""
AFTER_WRITE: Final = 0.4
"""Seconds between writing a ConfigMap and annotating pods, so that kubelets know of it."""
_OF_CONFIGURATION: Final = frozenset(
    {
        ConditionType.ACCEPTED,
        ConditionType.REFERENCES_RESOLVED,
        ConditionType.CREDENTIALS_VALID,
        ConditionType.PROGRAMMED,
    }
)
LITTLE_LEFT: Final = (200, 2.5)
"""So many notifications are gone soon: queues with no more are looked at again after so many seconds."""
CONFLICT_INTERVAL: Final = 30.0
"""Seconds between reconciles while a foreign object has a child's name: no watch tells when it is deleted."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a PushDomain is to serve.

    `manifests` are the children that it takes, in the order in which they are applied; empty where there is
    nothing to serve. `digest` is the hash that pods report once they run the configuration. `kind` is that of
    the workload that is to serve, `arranged` says more; None where there is nothing to serve.
    """

    candidate: Candidate
    selection: Selection
    manifests: Mapping[Key, Document]
    digest: str
    kind: WorkloadKind = "Deployment"
    arranged: Arrangement | None = None

    def waits_for(self, pod: Pod) -> bool:
        """Whether it matters what is in this pod's queue."""
        waiting = self.arranged.settlement.draining if self.arranged is not None else ()
        return any(one.name == pod.meta.key.name for one in waiting)

    def awaited(self, pods: Iterable[Pod]) -> bool:
        """Whether some pods are seen to run something else, and are expected to take this configuration."""
        return any(
            pod.report is not None and pod.report.digest not in {None, self.digest}
            for pod in pods
            if not pod.meta.deleting and not pod.sidecar and kind_of(pod) == self.kind
        )


def decide(snapshot: PushDomainSnapshot) -> Decision:
    """Compile and check the configuration, select what to serve, and build the manifests for it."""
    candidate = compile_candidate(
        effective(snapshot.document, snapshot.now),
        snapshot.routes,
        snapshot.loggers,
        snapshot.config_maps,
        snapshot.secrets,
        snapshot.now,
    )
    selection = select_config(snapshot, candidate)
    if selection.source is None:
        return Decision(candidate, selection, {}, "", present_kind(snapshot))
    arranged = arrange(snapshot, selection.source)
    selection = replace(selection, source=arranged.source)
    digest = bundle_digest(
        arranged.source.config, {name: secret.data for name, secret in snapshot.secrets.items()}
    )
    return Decision(candidate, selection, wanted_children(arranged), digest, arranged.target.kind, arranged)


def plan_push_domain(snapshot: PushDomainSnapshot, decision: Decision | None = None) -> Plan:
    """Decide what to write for a PushDomain, its status and its events."""
    if snapshot.document["metadata"].get("deletionTimestamp"):
        return Plan()  # the children are garbage-collected, by their owner references
    decision = decision or decide(snapshot)
    candidate, selection, digest = decision.candidate, decision.selection, decision.digest
    arranged = decision.arranged
    manifests = decision.manifests
    if snapshot.emptying and selection.source is not None:
        manifests = mended(manifests, selection.source.config, snapshot.emptying)
    children = plan_children(snapshot, arranged, manifests) if arranged is not None else ChildrenPlan()
    paused = is_paused(snapshot.document)
    if paused:
        children = withheld(children)
    conditions = _conditions(snapshot, decision, children)
    old = snapshot.document.get("status") or {}
    status = _status(snapshot, candidate, selection, conditions, digest, arranged)
    told = (*events(old.get("conditions") or (), conditions), *_events(snapshot, decision, children))
    config_written = any(apply.key.kind == "ConfigMap" for apply in children.apply)
    if _hold_back(snapshot, decision, conditions, old):
        status, told = old, _events(snapshot, decision, children)
    return Plan(
        marks=tuple(children.marks),
        apply=tuple(children.apply),
        scale=children.scale,
        enlarge=tuple(children.enlarge),
        delete=tuple(children.delete),
        refresh=() if config_written or selection.source is None or paused else _refresh(snapshot, digest),
        status=status if status != old else None,
        events=told,
        again=_again(snapshot, decision, children, config_written=config_written),
        in_sync=tuple(children.in_sync),
        upgrade=children.upgrade,
        repaired={key: repair(changes) for key, changes in children.repaired.items() if changes},
    )


def _conditions(
    snapshot: PushDomainSnapshot, decision: Decision, children: ChildrenPlan
) -> list[PlannedCondition]:
    candidate, selection = decision.candidate, decision.selection
    of_spec = candidate.of_spec + ((selection.too_large,) if selection.too_large else ())
    accepted = of_findings(ConditionType.ACCEPTED, of_spec, Reason.VALID)
    if candidate.spec is None:
        text = "The spec is invalid; see Accepted."
        references = unknown(ConditionType.REFERENCES_RESOLVED, Reason.INVALID_SPEC, text)
        credentials = unknown(ConditionType.CREDENTIALS_VALID, Reason.INVALID_SPEC, text)
    else:
        references = of_findings(ConditionType.REFERENCES_RESOLVED, candidate.of_references, Reason.RESOLVED)
        credentials = of_findings(
            ConditionType.CREDENTIALS_VALID, candidate.of_credentials, Reason.VALID, USABLE
        )
        if credentials.status == "True" and candidate.of_references:
            credentials = unknown(
                ConditionType.CREDENTIALS_VALID,
                references.reason,
                "Some references cannot be resolved; see ReferencesResolved.",
            )
    kind = decision.kind
    before = [accepted, references, credentials]
    before.append(programmed(snapshot, selection, children, decision.digest, kind))
    replicas = _replicas(snapshot, candidate)
    return [
        *before,
        ready(snapshot, before, replicas, kind),
        delivering(snapshot, selection, replicas),
        *(queue_conditions(snapshot, decision.arranged) if decision.arranged is not None else ()),
        *bounce_conditions(candidate.spec),
    ]


def _replicas(snapshot: PushDomainSnapshot, candidate: Candidate) -> int:
    if candidate.spec is not None:
        return candidate.spec.replicas
    wanted = snapshot.document["spec"].get("replicas", 1)
    return wanted if isinstance(wanted, int) else 1


def _hold_back(
    snapshot: PushDomainSnapshot, decision: Decision, conditions: list[PlannedCondition], old: Document
) -> bool:
    """Whether to keep the status for a moment, while running pods load the new configuration.

    Without this the status would go to Pending and back within a second or two of every edit.
    """
    was_programmed = any(
        condition.get("type") == "Programmed" and condition.get("status") == "True"
        for condition in old.get("conditions") or ()
    )
    faults = [
        condition
        for condition in conditions
        if condition.status == "False" and condition.type in _OF_CONFIGURATION
    ]
    return (
        was_programmed
        and 0 < snapshot.unconfirmed_for < SETTLING
        and rolled_out(snapshot, decision.kind)
        and [(fault.type, fault.reason) for fault in faults] == [(ConditionType.PROGRAMMED, Reason.PENDING)]
    )


def _status(
    snapshot: PushDomainSnapshot,
    candidate: Candidate,
    selection: Selection,
    conditions: list[PlannedCondition],
    digest: str,
    arranged: Arrangement | None,
) -> Document:
    old: Document = snapshot.document.get("status") or {}
    status: Document = {
        "observedGeneration": snapshot.generation,
        "conditions": merged(old.get("conditions") or (), conditions, snapshot.generation, snapshot.now),
        "replicas": serving_replicas(snapshot, arranged),
        "selector": Names.selector_text(snapshot.name),
        "address": old.get("address"),
        "routes": [
            {
                "name": name,
                "credential": facts.kind,
                "topics": list(facts.topics),
                "notAfter": stamp(facts.not_after) if facts.not_after else None,
            }
            for name, facts in sorted(candidate.routes.items())
        ][:64],
        "config": old.get("config"),
        "live": _live(old.get("live"), snapshot.live),
    }
    if candidate.spec is not None:
        status["address"] = Names.address(snapshot.name, snapshot.namespace, candidate.spec.service.port)
    if selection.source is not None:
        status["config"] = {
            "name": selection.source.config_map,
            "hash": digest,
            "generation": selection.source.config.generation,
        }
    return _without_empty(status)


def _live(old: Document | None, new: LiveStatus | None) -> Document | None:
    """The live status; the old one if nothing but its time is new."""
    if new is None:
        return old
    status: Document = {
        "updatedAt": stamp(new.at),
        "sessions": new.sessions,
        "deliveredPerMinute": new.delivered_per_minute,
        "delivered": new.delivered,
        "failed": new.failed,
        "heldRoutes": list(new.held),
        "lastError": new.last_error,
        "queued": new.queued or None,
    }
    status = _without_empty(status)
    if old is not None and {**old, "updatedAt": ""} == {**status, "updatedAt": ""}:
        return old
    return status


def _without_empty(value: Document) -> Document:
    """A status as the API server keeps it: nulls and empty lists are not written."""
    result: Document = {}
    for key, item in value.items():
        if item is None or item == []:
            continue
        if isinstance(item, list):
            result[key] = [_without_empty(part) if isinstance(part, dict) else part for part in item]
        else:
            result[key] = item
    return result


def _refresh(snapshot: PushDomainSnapshot, digest: str) -> tuple[Refresh, ...]:
    again = sum(snapshot.unconfirmed_for >= after for after in REFRESH_AGAIN)
    found = []
    for pod in (*snapshot.pods, *snapshot.drains):
        have = pod.meta.annotations.get(Names.REFRESH_ANNOTATION, "")
        if pod.meta.deleting:
            continue
        if have.partition(".")[0] != digest:
            found.append(Refresh(pod.meta.key, digest))
        elif (
            again
            and pod.report is not None
            and pod.report.digest not in {None, digest}
            and not pod.report.refuses(digest)
            and have.partition(".")[2] != str(again)
        ):
            found.append(Refresh(pod.meta.key, f"{digest}.{again}"))
    return tuple(found)


def _events(snapshot: PushDomainSnapshot, decision: Decision, children: ChildrenPlan) -> tuple[Event, ...]:
    """Events about what is applied."""
    told = []
    for apply in children.apply:
        content = apply.manifest["metadata"]["annotations"].get(Names.CONTENT_ANNOTATION)
        child = snapshot.children.get(apply.key)
        have = child.meta.annotations if child is not None else {}
        if apply.key.kind == "ConfigMap" and have.get(Names.CONTENT_ANNOTATION) != content:
            text = f"Configuration of generation {snapshot.generation} is in ConfigMap {apply.key.name}."
            told.append(Event("Normal", str(EventReason.PUBLISHED), text))
        if apply.key.kind in WORKLOADS and not drains_claim(apply.key, snapshot.name):
            template = apply.manifest["metadata"]["annotations"][Names.TEMPLATE_ANNOTATION]
            if children.upgrade == "rolling":
                told.append(Event("Normal", str(EventReason.UPGRADED), EventReason.UPGRADED.meaning))
            elif (
                have.get(Names.TEMPLATE_ANNOTATION) != template
                and apply.key not in children.repaired
                and apply.manifest["spec"]["replicas"]
            ):
                told.append(Event("Normal", str(EventReason.ROLLED), EventReason.ROLLED.meaning))
    if children.adopted:
        names = ", ".join(f"{key.kind} {key.name}" for key in children.adopted)
        told.append(Event("Normal", str(EventReason.ADOPTED), f"{names}: {EventReason.ADOPTED.meaning}"))
    written = {apply.key for apply in children.apply} | ({children.scale.key} if children.scale else set())
    for key, changes in children.repaired.items():
        if key in written:
            told.append(
                Event("Normal", str(EventReason.REPAIRED), repaired_text(snapshot.name, key, changes))
            )
    if decision.arranged is not None and not children.paused:
        told += queue_events(snapshot, decision.arranged)
    return tuple(told)


def _again(
    snapshot: PushDomainSnapshot, decision: Decision, children: ChildrenPlan, *, config_written: bool
) -> float | None:
    """Seconds until the next reconcile, where no watch would cause one."""
    times: list[float] = []
    if config_written:
        times.append(AFTER_WRITE)
    if children.leaving:
        times.append(2.0)
    if children.conflicts:
        times.append(CONFLICT_INTERVAL)
    times += [fight.wait + 0.1 if fight.wait else fight.left + 1.0 for fight in snapshot.fights.values()]
    if snapshot.emptying:
        times.append(5.0)
    waiting = snapshot.unconfirmed_for
    if waiting:
        times.append(0.5 if waiting < SETTLING else 3.0 if waiting < 60 else 15.0)
    elif workload_body(snapshot, decision.kind) is not None and not rolled_out(snapshot, decision.kind):
        times.append(15.0)  # the reason why a pod does not start is not in its metadata
    if decision.arranged is not None and decision.arranged.waits:
        # Soon, where little is left; a queue that takes hours is not asked every other second.
        times.append(LITTLE_LEFT[1] if decision.arranged.left <= LITTLE_LEFT[0] else 15.0)
    turn = _next_turn(decision.candidate.validity_changes, snapshot.now)
    end = suspended.left(snapshot.document, snapshot.now)
    times += [seconds for seconds in (turn, end) if seconds is not None]
    return min(times, default=None)


def _next_turn(turns: tuple[datetime, ...], now: datetime) -> float | None:
    """Seconds until the next certificate becomes valid or expires, plus one."""
    ahead = [(turn - now).total_seconds() for turn in turns]
    return min((seconds + 1.0 for seconds in ahead if seconds >= 0), default=None)
