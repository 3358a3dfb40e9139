"""The conditions about queues: what they outlive, and which of them are waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tubepost_api.conditions import ConditionType, Reason
from tubepost_operator.actions import Event
from tubepost_operator.conditions import EventReason, PlannedCondition, bad, good
from tubepost_operator.kinds import CLAIM
from tubepost_operator.live_status import coarse
from tubepost_operator.names import Names
from tubepost_operator.observed import Key
from tubepost_operator.plan.claims import Leftover
from tubepost_operator.plan.moves import QueuePod
from tubepost_operator.plan.queue_pods import claim_key
from tubepost_operator.plan.workloads import Arrangement
from tubepost_operator.quantities import amount
from tubepost_operator.resources.common import Source
from tubepost_operator.resources.container import PRE_STOP, SPARE
from tubepost_operator.resources.queue import QueueVolume, grace, of_spec
from tubepost_operator.snapshot import PushDomainSnapshot
from tubepost_runtime.words import counted

_SHOWN = 5
"""Pods that a message names."""


def queue_conditions(snapshot: PushDomainSnapshot, arranged: Arrangement) -> Iterator[PlannedCondition]:
    """QueueDurable where there is a queue, QueueSettled where there is or was one."""
    if arranged.source.queue is not None:
        yield _durable(snapshot, arranged)
    claims = arranged.claims.left or arranged.claims.given_up
    if arranged.source.queue is not None or arranged.retiring is not None or claims:
        yield _settled(snapshot, arranged)


def _durable(snapshot: PushDomainSnapshot, arranged: Arrangement) -> PlannedCondition:
    source = arranged.source
    if source.queue is QueueVolume.EMPTY_DIR:
        seconds = grace(source.pod_template.termination_grace_period_seconds, source.queue)
        return bad(
            ConditionType.QUEUE_DURABLE,
            Reason.EPHEMERAL,
            "Each pod has its queue on an emptyDir. A pod that is deleted, evicted or lost takes with "
            f"it what it has acknowledged and not delivered within {seconds - PRE_STOP - SPARE} seconds "
            "from its notice; a restart of the container costs nothing. Remedy, where that is too much: set "
            "queue.disk.claim.",
        )
    if source.queue is QueueVolume.JETSTREAM:
        return _stream(snapshot, source)
    return good(
        ConditionType.QUEUE_DURABLE,
        Reason.PERSISTENT,
        f"Each pod's queue outlives it, on {CLAIM.name} {Names.QUEUE_VOLUME}-{snapshot.name}-N."
        + "".join(_differences(arranged)),
    )


_FOUND: Final = {
    "foreign_stream": (
        Reason.STREAM_UNUSABLE,
        "is not what Tubepost makes, and is left as it is; nothing is accepted",
        "name another one in queue.jetStream.stream, or remove it once it is empty",
    ),
    "old_server": (
        Reason.STREAM_UNUSABLE,
        "is on servers before nats-server 2.12, which have no scheduled messages; nothing is accepted",
        "upgrade them",
    ),
    "unreachable": (
        Reason.STREAM_UNUSABLE,
        "cannot be reached by some pods, which accept nothing",
        "see queue.jetStream.servers, the credentials, the network, and the pods' logs",
    ),
    "unusable": (
        Reason.STREAM_UNUSABLE,
        "cannot be used by some pods, which accept nothing",
        "see their logs for what NATS answers",
    ),
    "memory_storage": (
        Reason.IN_MEMORY,
        "is in the memory of its servers, and lost when they restart",
        "remove it once it is empty: it is made anew, in files",
    ),
    "one_replica": (
        Reason.ONE_REPLICA,
        "is on one server alone: what is in it is lost with that server's disk",
        "set queue.jetStream.replicas: 3, on a NATS cluster of three servers or more",
    ),
}
"""What pods say of the stream -> reason, what to say of it, and the remedy; the worst first."""


def _stream(snapshot: PushDomainSnapshot, source: Source) -> PlannedCondition:
    queue = source.config.queue
    assert queue is not None
    stream = queue.jet_stream
    assert stream is not None
    where = f"stream {stream.stream} of {', '.join(stream.servers[:_SHOWN])}"
    said = set(snapshot.live.stream) if snapshot.live is not None else set()
    if stream.replicas == 1:
        said.add("one_replica")
    for state, (reason, text, remedy) in _FOUND.items():
        if state in said:
            told = f"The queue, {where}, {text}. Remedy: {remedy}."
            return bad(ConditionType.QUEUE_DURABLE, reason, told)
    return good(
        ConditionType.QUEUE_DURABLE,
        Reason.PERSISTENT,
        f"The queue is {where}, on {counted(stream.replicas, 'server')}; it outlives every pod.",
    )


def _differences(arranged: Arrangement) -> Iterator[str]:
    """What the spec says of claims, and those that there are cannot become."""
    disk = arranged.source.spec.queue.disk if arranged.source.spec.queue else None
    have = arranged.source.claim
    if disk is None or disk.claim is None or have is None:
        return
    wanted = of_spec(disk.claim)
    differing = []
    if wanted.storage_class not in {None, have.storage_class}:
        differing.append(f"storageClassName {have.storage_class} (spec: {wanted.storage_class})")
    if wanted.access_modes != have.access_modes:
        differing.append(
            f"accessModes {', '.join(have.access_modes)} (spec: {', '.join(wanted.access_modes)})"
        )
    if (amount(wanted.size) or 0) < (amount(have.size) or 0):
        differing.append(f"size {have.size} (spec: {wanted.size})")
    if differing:
        yield (
            f" Its claims keep {', '.join(differing)}, which cannot change. Remedy: take queue.disk.claim "
            "out of the spec, wait until QueueSettled is True and the claims are deleted, then set the new "
            "one."
        )


def _settled(snapshot: PushDomainSnapshot, arranged: Arrangement) -> PlannedCondition:
    waiting, claims = arranged.settlement.draining, arranged.claims
    if not waiting and not claims.left:
        text = Reason.SETTLED.meaning
        if claims.given_up:
            named = ", ".join(claim_key(snapshot, number).name for number in claims.given_up[:_SHOWN])
            text += (
                f" By the annotation {Names.ABANDON_ANNOTATION}, what is on {CLAIM.name} {named} is left "
                "alone until the spec changes."
            )
        return good(ConditionType.QUEUE_SETTLED, Reason.SETTLED, text)
    texts = []
    if waiting:
        many = counted(len(waiting), "pod is", "pods are")
        texts.append(f"{many} kept until the queue is empty: {_listed(waiting)}.")
    stuck = [one for one in claims.left if not one.drained]
    if drained := [one for one in claims.left if one.drained]:
        texts.append(
            "Drain pods empty claims that no pod of the StatefulSet has any more: "
            f"{_claims(snapshot, drained)}."
        )
    if stuck:
        texts.append(
            f"Not known to be empty, and not drained: {_claims(snapshot, stuck)}. Remedy, where that does "
            "not end by itself: so many replicas that its pod is back, or delete the claim with what it has."
        )
    if waiting or drained:
        give_up = (
            "give up what is queued there: "
            f"kubectl --namespace {snapshot.namespace} annotate --overwrite pushdomain {snapshot.name} "
            f"{Names.ABANDON_ANNOTATION}={snapshot.generation}"
        )
        price = _price(arranged, waiting) if waiting else "claims are left alone until the spec changes"
        texts.append(
            f"Remedy, where that cannot come about: `tubepost queue drop` in the pod, or {give_up} ({price})."
        )
    reason = Reason.QUEUE_DRAINING if waiting else Reason.CLAIM_LEFT if stuck else Reason.CLAIM_DRAINING
    return bad(ConditionType.QUEUE_SETTLED, reason, " ".join(texts))


def _claims(snapshot: PushDomainSnapshot, claims: Sequence[Leftover]) -> str:
    texts = []
    for one in claims[:_SHOWN]:
        known = f"{coarse(one.left)} queued" if one.left else one.why
        texts.append(f"{CLAIM.name} {claim_key(snapshot, one.ordinal).name} ({known})")
    more = len(claims) - _SHOWN
    return ", ".join(texts) + (f", and {more} more" if more > 0 else "")


def _listed(pods: tuple[QueuePod, ...]) -> str:
    texts = [
        f"{pod.name} ({coarse(pod.left)} queued)" if pod.left else f"{pod.name} (not known: {pod.trouble})"
        for pod in pods[:_SHOWN]
    ]
    more = len(pods) - _SHOWN
    return ", ".join(texts) + (f", and {more} more" if more > 0 else "")


def _price(arranged: Arrangement, pods: tuple[QueuePod, ...]) -> str:
    """What becomes of what is given up."""
    if any(pod.kind == "Deployment" for pod in pods):
        retiring = arranged.retiring
        shared = retiring is not None and retiring.queue is QueueVolume.JETSTREAM
        return "it stays in its stream, which nobody reads any more" if shared else "it is lost"
    claim = arranged.source.claim
    if claim is not None and claim.retention == "Delete":
        return "it is deleted with its claim"
    return "it stays in its claim, unless that is deleted with its StatefulSet"


def queue_events(snapshot: PushDomainSnapshot, arranged: Arrangement) -> Iterator[Event]:
    """What happens to queues: some are given up by the user's word, claims are adopted, emptied, deleted."""
    pods, claims = arranged.settlement.abandoned, arranged.claims
    if pods:
        yield Event(
            "Warning",
            str(EventReason.QUEUE_ABANDONED),
            f"By the annotation {Names.ABANDON_ANNOTATION} these queues are not waited for: {_listed(pods)} "
            f"({_price(arranged, pods)}).",
        )
    for number in claims.drains:
        name = Names.drain(snapshot.name, number)
        if Key("Deployment", snapshot.namespace, name) not in snapshot.children:
            yield _claim_event(
                snapshot, number, EventReason.CLAIM_ADOPTED, f"is emptied by the pod of Deployment {name}"
            )
    for number in claims.emptied:
        yield _claim_event(snapshot, number, EventReason.CLAIM_DRAINED, "is empty")
    for number in claims.delete:
        if claim_key(snapshot, number) not in snapshot.rejected:
            yield _claim_event(snapshot, number, EventReason.CLAIM_DELETED, "is empty and is deleted")


def _claim_event(snapshot: PushDomainSnapshot, number: int, reason: EventReason, happens: str) -> Event:
    text = f"{CLAIM.name} {claim_key(snapshot, number).name}, which no pod of the StatefulSet has, {happens}."
    return Event("Normal", str(reason), text)
