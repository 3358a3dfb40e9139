"""Situations with queues: a spec, the workloads that are there, their pods and claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.operator.cases import applied, snapshot
from tubepost_operator.metadata import read_meta
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Document, Key, Meta, Pod, PodMetrics, PodReport
from tubepost_operator.plan.moves import WorkloadKind
from tubepost_operator.plan.push_domain import Decision, decide
from tubepost_operator.snapshot import PushDomainSnapshot

OWNER = Key("PushDomain", "default", "alerts")
QUEUED: Document = {"acceptance": {"mode": "Queued"}}
DIRECT: Document = {}
EMPTY_DIR: Document = {**QUEUED, "queue": {"disk": {}}}
CLAIM: Document = {**QUEUED, "queue": {"disk": {"claim": {"size": "2Gi", "storageClassName": "fast"}}}}
STREAM: Document = {**QUEUED, "queue": {"jetStream": {"servers": ["nats://nats:4222"]}}}


def spec(*parts: Mapping[str, Any], **more: Any) -> Document:
    """The spec of the first publication, with more."""
    result: Document = dict(snapshot("first-publish").document["spec"])
    for part in parts:
        result |= part
    return result | more


def wanting(seen: PushDomainSnapshot, *parts: Mapping[str, Any], **more: Any) -> PushDomainSnapshot:
    """The same situation with another spec."""
    metadata = {**seen.document["metadata"], "generation": seen.generation + 1}
    document = {**seen.document, "metadata": metadata, "spec": spec(*parts, **more)}
    return replace(seen, document=document)


def settled(*parts: Mapping[str, Any], pods: tuple[Pod, ...] = (), **more: Any) -> PushDomainSnapshot:
    """All children as a spec wants them, rolled out."""
    seen = wanting(snapshot("first-publish"), *parts, **more)
    children = applied(seen, None)
    return replace(seen, children=children, pods=pods, read=_asked(pods))


def joined(one: PushDomainSnapshot, two: PushDomainSnapshot) -> PushDomainSnapshot:
    """The second situation with the children and pods of the first beside its own."""
    pods = (*one.pods, *two.pods)
    return replace(
        two, children={**one.children, **two.children}, pods=pods, read=one.read | two.read | _asked(pods)
    )


def available(seen: PushDomainSnapshot, kind: WorkloadKind, count: int) -> PushDomainSnapshot:
    """The same with so many pods of a workload ready."""
    key = Key(kind, "default", "alerts")
    child = seen.children[key]
    assert child.body is not None
    status = {**child.body["status"], "availableReplicas": count}
    return replace(seen, children={**seen.children, key: Child(child.meta, {**child.body, "status": status})})


def pod(
    name: str,
    *,
    queue: str | None = None,
    queued: int | None = 0,
    retiring: bool = True,
    digest: str | None = "x",
    sessions: int = 0,
    set_aside: int = 0,
    **fields: Any,
) -> Pod:
    """A pod; one that is named like a StatefulSet's is one."""
    number = name.rpartition("-")[2]
    owner = "StatefulSet/alerts" if number.isdigit() else "ReplicaSet/alerts-1"
    annotations = {Names.QUEUE_ANNOTATION: queue} if queue else {}
    meta = Meta(
        Key("Pod", "default", name), f"uid-{name}", "1", 0, {}, annotations, "o", owner, "", deleting=False
    )
    report = PodReport(digest, sessions=sessions, queued=queued, retiring=retiring, set_aside=set_aside)
    values: dict[str, Any] = {
        "ready": not retiring,
        "url": f"http://{name}/metrics",
        "last_report": report,
        "quiet_for": 9.0,
        **fields,
    }
    return Pod(meta, **values)


def _asked(pods: tuple[Pod, ...]) -> frozenset[PodMetrics]:
    return frozenset(PodMetrics(OWNER, pod.meta.uid, pod.url) for pod in pods if pod.url)


def claim(ordinal: int, phase: str = "Bound", size: str = "2Gi", **wanted: Any) -> Child:
    """A claim of the StatefulSet's."""
    body = {
        "metadata": {
            "name": f"queue-alerts-{ordinal}",
            "namespace": "default",
            "uid": f"uid-claim-{ordinal}",
            "labels": Names.labels("alerts"),
        },
        "spec": {"resources": {"requests": {"storage": size}}, "storageClassName": "fast", **wanted},
        "status": {"phase": phase},
    }
    return Child(read_meta(body, "PersistentVolumeClaim"), body)


def drained_claim(ordinal: int) -> Child:
    """One that is known to be empty."""
    found = claim(ordinal)
    return replace(found, meta=replace(found.meta, annotations={Names.DRAINED_ANNOTATION: "true"}))


def drain_pod(ordinal: int, **said: Any) -> Pod:
    """The pod that empties a claim."""
    found = pod(f"alerts-drain-{ordinal}-1a2b3-x4y5z", queue="Claim", **said)
    return replace(found, meta=replace(found.meta, labels={Names.DRAIN_LABEL: str(ordinal)}))


def claims(seen: PushDomainSnapshot, *found: Child) -> PushDomainSnapshot:
    """The same with claims."""
    return replace(seen, children={**seen.children, **{child.meta.key: child for child in found}})


def arranged(seen: PushDomainSnapshot) -> Decision:
    """The decision, which there is."""
    decision = decide(seen)
    assert decision.arranged is not None
    return decision
