"""When a PushDomain's messages are acknowledged, and where they are kept until their end."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from tubepost_api.config import AcceptanceMode, AcceptanceOverflow, QueueConfig
from tubepost_api.durations import parse_size
from tubepost_api.fields import UNIQUE, Checked, Duration, Size, no_repeats
from tubepost_api.jetstream import EMPTY_FIRST, JetStreamSpec, jet_stream_config
from tubepost_api.rules import Rule, SpecModel, Transition

VolumeSize = Annotated[
    str,
    Checked(
        "the size of a volume",
        "write a quantity such as 10Gi",
        r"^[1-9][0-9]{0,14}(k|M|G|T|Ki|Mi|Gi|Ti)?$",
        32,
    ),
]
"""A whole Kubernetes quantity of bytes, more than zero."""

StorageClassName = Annotated[
    str,
    Checked(
        "the name of a StorageClass",
        "use lower-case letters, digits, hyphens and dots, with a letter or digit at both ends",
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        253,
    ),
]

AccessMode = Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]


class AcceptanceSpec(SpecModel):
    """When a message is acknowledged."""

    mode: AcceptanceMode = AcceptanceMode.DIRECT
    """Direct: the reply to DATA waits for APNs' verdict. Queued: 250 as soon as the message is safe in the
    queue, which delivers it now or later; needs a queue."""
    deadline: Duration = "30s"
    """Longest time between the end of DATA and the reply; without a verdict (Direct) or a write that is safe
    (Queued) by then the reply is 451."""
    overflow: AcceptanceOverflow = AcceptanceOverflow.REFUSE
    """With mode Direct, what becomes of a message that has no verdict at the deadline. Refuse: 451, the
    sender keeps it. Queue: it goes into the queue, 250; needs a queue."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.overflow != 'Queue' || self.mode == 'Direct'",
            "overflow Queue is for mode Direct: with mode Queued every message is queued",
            "leave overflow out, or set mode: Direct",
            lambda acceptance: (
                acceptance.overflow != AcceptanceOverflow.QUEUE or acceptance.mode == AcceptanceMode.DIRECT
            ),
            "overflow",
        ),
    )


_TAKE_AWAY = (
    "take the claim away, wait until QueueSettled is True, delete the PersistentVolumeClaims, set the new one"
)


class ClaimSpec(SpecModel):
    """A persistent volume for each pod; the dispatcher is then a StatefulSet."""

    size: VolumeSize = "10Gi"
    """Size of each volume. It may grow where its StorageClass allows expansion, and never shrink."""
    storage_class_name: StorageClassName | None = None
    """StorageClass of the volumes; without it the cluster's default. It cannot be changed."""
    access_modes: Annotated[
        tuple[AccessMode, ...],
        Field(min_length=1, max_length=3, json_schema_extra=UNIQUE),
        AfterValidator(no_repeats),
    ] = ("ReadWriteOnce",)
    """How the volumes may be mounted; each is used by one pod in any case. They cannot be changed."""
    retention: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the claims when the PushDomain is deleted. Retain: they stay, with what is queued.
    Delete: they go with it."""
    when_scaled: Literal["Retain", "Delete"] = "Retain"
    """What becomes of a claim whose pod is no more since there are fewer replicas, once its queue is empty;
    until then a drain pod empties it. Retain: it stays, for a pod of its number. Delete: it goes."""

    transitions: ClassVar[tuple[Transition, ...]] = (
        Transition(
            "quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0",
            "a claim cannot shrink",
            _TAKE_AWAY,
            "size",
        ),
        Transition(
            "has(self.storageClassName) == has(oldSelf.storageClassName) && "
            "(!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
            "the StorageClass of a claim cannot be changed",
            _TAKE_AWAY,
            "storageClassName",
        ),
        Transition(
            "self.accessModes == oldSelf.accessModes",
            "the access modes of a claim cannot be changed",
            _TAKE_AWAY,
            "accessModes",
        ),
    )


class DiskSpec(SpecModel):
    """A queue on disk. Without a claim it is on an emptyDir, and lost with its pod."""

    max_size: Size | None = None
    """Largest size of one pod's queue, divided among its workers; above it messages are answered 452. Without
    it the volume is the limit."""
    reserve: Size = "64Mi"
    """Bytes of the volume that are left free; below that messages are answered 452, and the pod is not
    ready."""
    claim: ClaimSpec | None = None
    """Keep the queue on a persistent volume; without it on an emptyDir."""


PLACES: Final = (
    "queue.disk: {} for an emptyDir, which is lost with its pod, queue.disk.claim for persistent volumes, "
    "or queue.jetStream for a stream that all pods share"
)
"""Remedy for a queue that has no place."""


class QueueSpec(SpecModel):
    """Where messages are kept until their end."""

    max_messages: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    """Most notifications in the queue; above it messages are answered 452. 0: no limit. Of a queue on disk it
    is the number of one pod, divided among its workers; of jetStream that of the stream."""
    disk: DiskSpec | None = None
    """A queue on disk; {} for one on an emptyDir. Either this or jetStream."""
    jet_stream: JetStreamSpec | None = None
    """A queue on NATS JetStream, which all pods share. Either this or disk."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.disk) || has(self.jetStream)",
            "the queue has no place",
            f"set {PLACES}",
            lambda queue: queue.disk is not None or queue.jet_stream is not None,
            "disk",
        ),
        Rule(
            "!has(self.disk) || !has(self.jetStream)",
            "the queue has two places",
            "keep one of disk and jetStream",
            lambda queue: queue.disk is None or queue.jet_stream is None,
            "jetStream",
        ),
    )
    transitions: ClassVar[tuple[Transition, ...]] = (
        Transition(
            "!has(oldSelf.jetStream) || has(self.jetStream) || (has(self.disk) && has(self.disk.claim))",
            "a stream cannot be followed by an emptyDir at once: what is in it would be left behind",
            EMPTY_FIRST,
            "disk",
        ),
    )


def queue_config(spec: QueueSpec, namespace: str, name: str) -> QueueConfig:
    """The valid queue of a PushDomain as the dispatcher reads it."""
    if spec.jet_stream is not None:
        stream = jet_stream_config(spec.jet_stream, namespace, name)
        return QueueConfig(persistent=True, max_messages=spec.max_messages, reserve=0, jet_stream=stream)
    assert spec.disk is not None
    return QueueConfig(
        persistent=spec.disk.claim is not None,
        max_messages=spec.max_messages,
        max_bytes=parse_size(spec.disk.max_size or 0),
        reserve=parse_size(spec.disk.reserve),
    )
