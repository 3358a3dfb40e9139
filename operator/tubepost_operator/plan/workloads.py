"""The workloads of a PushDomain as they were observed, and what the rules of `moves.py` make of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tubepost_api.acceptance import ClaimSpec
from tubepost_api.config import DispatcherConfig, QueueConfig, ServingWorkload
from tubepost_api.digest import bundle_digest
from tubepost_operator.kinds import CLAIM
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Document, Key
from tubepost_operator.plan.claims import Claims
from tubepost_operator.plan.left_claims import abandons, deletes, left_claims
from tubepost_operator.plan.moves import (
    Serving,
    Settlement,
    Target,
    Workload,
    WorkloadKind,
    other,
    settle,
    who_serves,
)
from tubepost_operator.plan.published import parsed
from tubepost_operator.plan.queue_pods import missing, queue_pod, workload, workload_body
from tubepost_operator.resources.common import Source
from tubepost_operator.resources.queue import QueueVolume, of_spec, of_stateful_set
from tubepost_operator.snapshot import PushDomainSnapshot

SHOWN_CLAIMS: Final = 3
"""Claims without a volume that a message names."""
_KINDS: Final[tuple[WorkloadKind, ...]] = ("Deployment", "StatefulSet")


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Which workload there is to be, who serves, and what may go.

    `source` is what the target's children are made from; `retiring` those of the other workload's
    configuration, where that is one of its own and has to say that it retires. `claims`: what becomes of
    those that no pod of the StatefulSet has; `draining` what the children of their drain pods are made from.
    """

    target: Target
    serving: Serving
    settlement: Settlement
    source: Source
    retiring: Source | None = None
    claims: Claims = field(default_factory=Claims)
    draining: tuple[Source, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether it matters what is in the queues of some pods."""
        return bool(self.settlement.draining or self.claims.drains)

    @property
    def left(self) -> int:
        """Notifications that are known to be in those."""
        pods = sum(pod.left or 0 for pod in self.settlement.draining)
        return pods + sum(claim.left or 0 for claim in self.claims.left)


def present_kind(snapshot: PushDomainSnapshot) -> WorkloadKind:
    """Kind of the workload that is there, where nothing says which is to be."""
    alone = workload(snapshot, "Deployment") is None and workload(snapshot, "StatefulSet") is not None
    return "StatefulSet" if alone else "Deployment"


def arrange(snapshot: PushDomainSnapshot, selected: Source) -> Arrangement:
    """Decide on workloads for what was selected to be served."""
    config = selected.config
    on_claim = config.queue is not None and config.queue.persistent and not _stream(config)
    target = Target(
        "StatefulSet" if on_claim else "Deployment", selected.spec.replicas, queue=config.queue is not None
    )
    there = dict(_workloads(snapshot, target))
    stays = _stays(snapshot, selected, target)
    pods = [queue_pod(snapshot, pod, "", stays) for pod in snapshot.pods if not pod.sidecar]
    serving = who_serves(target, there, pods, _serving_before(snapshot, target))
    in_place = _digest(snapshot, _told(config, serving, queue=True)) if _in_place(target, there) else ""
    pods = [
        *(queue_pod(snapshot, pod, in_place, stays) for pod in snapshot.pods if not pod.sidecar),
        *missing(snapshot, there),
    ]
    settlement = settle(target, there, pods, serving, abandon=abandons(snapshot))
    claims = left_claims(snapshot, selected, target, there, pods, settlement)
    if settlement.remove_old and claims.left and not stays["StatefulSet"]:
        settlement = replace(settlement, remove_old=False)  # they would go with it
    return Arrangement(
        target,
        serving,
        settlement,
        _source(snapshot, selected, target, serving, settlement),
        _retiring(snapshot, selected, target, serving),
        claims,
        _draining(selected, claims),
    )


def _workloads(snapshot: PushDomainSnapshot, target: Target) -> Iterator[tuple[WorkloadKind, Workload]]:
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
                    _has_queue(child, kind, target),
                ),
            )


def _has_queue(child: Child, kind: WorkloadKind, target: Target) -> bool:
    """Whether there is anything for a workload's pods to deliver before they go."""
    volume = child.meta.annotations.get(Names.QUEUE_ANNOTATION)
    # What is in a stream is not in its pods: those of another Deployment deliver it, or have emptied it.
    return volume is not None and not (volume == QueueVolume.JETSTREAM and kind == target.kind)


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


def _stays(snapshot: PushDomainSnapshot, selected: Source, target: Target) -> dict[WorkloadKind, bool]:
    """Whether the volumes of a workload's pods stay when these go for good."""
    if target.kind == "StatefulSet":
        return {"Deployment": False, "StatefulSet": not deletes(selected)}
    body = workload_body(snapshot, "StatefulSet")
    claim = of_stateful_set(body) if body is not None else None
    return {"Deployment": False, "StatefulSet": claim is None or claim.retention == "Retain"}


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
    elif _stream(selected.config):
        queue = QueueVolume.JETSTREAM
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
            claim = replace(claim, retention=wanted.retention, when_scaled=wanted.when_scaled)
    return replace(
        selected,
        config=config,
        config_map=Names.config_map(
            selected.name,
            config.secret_names(),
            queue=queue is not None,
            stream=queue is QueueVolume.JETSTREAM,
        ),
        queue=queue,
        claim=claim,
        kept=_kept(snapshot) if settlement.keep_queue else None,
        replicas=settlement.replicas,
        unready=_unready(snapshot, target, serving),
    )


def _stream(config: DispatcherConfig) -> bool:
    """Whether the queue is a stream, which all pods share."""
    return config.queue is not None and config.queue.jet_stream is not None


def _kept(snapshot: PushDomainSnapshot) -> Document | None:
    """The volume that the Deployment's pods keep, as it is: with another limit they would be replaced."""
    body = workload_body(snapshot, "Deployment")
    found = body["spec"]["template"]["spec"].get("volumes") or () if body is not None else ()
    return next((dict(volume) for volume in found if volume["name"] == Names.QUEUE_VOLUME), None)


def _draining(selected: Source, claims: Claims) -> tuple[Source, ...]:
    """What drain pods are made from: they have the newest configuration, and others serve."""
    # Of a StatefulSet all ordinals retire where it is not among those that serve.
    config = selected.config.model_copy(update={"serving": (ServingWorkload(kind="Deployment"),)})
    if config.queue is not None and config.queue.jet_stream is not None:
        # What is on a claim is on disk, wherever the queue is now.
        config = config.model_copy(update={"queue": QueueConfig(persistent=True)})
    return tuple(
        replace(
            selected,
            config=config,
            config_map=Names.config_map(selected.name, config.secret_names(), queue=True, drain=True),
            queue=QueueVolume.CLAIM,
            drains=number,
        )
        for number in claims.drains
    )


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
    there = dict(_workloads(snapshot, target))
    old, new = there.get(other(target.kind)), there.get(target.kind)
    count = old.replicas if old is not None and serving.old_retires else 0
    if new is not None and serving.ordinals_retire:
        count += max(0, new.replicas - target.replicas)
    return count


def _retiring(
    snapshot: PushDomainSnapshot, selected: Source, target: Target, serving: Serving
) -> Source | None:
    """The configuration of a workload of the other kind, which its pods go on delivering by.

    It is the newest where they have all Secrets of that, and else the one that they have. What they deliver
    from stays what it is: a stream, or a disk, whose pods have no Secrets of a stream.
    """
    old = workload(snapshot, other(target.kind))
    if old is None or Names.QUEUE_ANNOTATION not in old.meta.annotations:
        return None
    name = old.meta.annotations.get(Names.CONFIG_ANNOTATION, "")
    have = _config_of(snapshot, old)
    newest = _told(selected.config, serving, queue=True)
    config = newest
    if have is not None:
        if _stream(have) or _stream(newest):
            newest = newest.model_copy(update={"queue": have.queue})
            config = newest
        if not newest.secret_names() <= have.secret_names():
            config = _told(have, serving, queue=True)
        elif newest.model_copy(update={"generation": have.generation}) == have:
            config = have
    return replace(selected, config=config, config_map=name, queue=_volume(old))


def _volume(child: Child) -> QueueVolume:
    """Where the queue of a workload's pods is."""
    return QueueVolume(child.meta.annotations[Names.QUEUE_ANNOTATION])


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
