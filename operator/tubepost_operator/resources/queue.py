"""Where a pod's queue is: an emptyDir, a claim that a StatefulSet makes for each of its pods, or a stream.

With a stream, which all pods share, a pod has an emptyDir as well: for its journal, and for events that wait.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from tubepost_api.acceptance import ClaimSpec
from tubepost_api.durations import parse_size
from tubepost_api.podtemplate import GRACE
from tubepost_operator.names import Names
from tubepost_operator.observed import Document

DIRECTORY: Final = "/var/lib/tubepost/queue"
ORDINAL_VARIABLE: Final = "TUBEPOST_ORDINAL"
"""Environment variable with a pod's number in its StatefulSet."""
_ORDINAL_LABEL: Final = "metadata.labels['apps.kubernetes.io/pod-index']"
"""Set by Kubernetes since 1.28."""

EMPTY_DIR_GRACE: Final = 300
"""Seconds that a pod with its queue on an emptyDir has to deliver it, unless the spec says otherwise."""
OVERHEAD: Final = 1.25
"""The volume's limit, as a multiple of the queue's: a pod above the former is evicted, and its queue is
lost."""
SPARE: Final = 96 * 1024 * 1024
"""Bytes more for each worker: 64 MiB of journal, and the write-ahead log of its partition."""


class QueueVolume(enum.StrEnum):
    """Kind of a queue's volume, as it stands in annotations."""

    EMPTY_DIR = "EmptyDir"
    CLAIM = "Claim"
    JETSTREAM = "JetStream"

    @property
    def on_claim(self) -> bool:
        """Whether each pod has a claim."""
        return self is QueueVolume.CLAIM


@dataclass(frozen=True, slots=True)
class ClaimTemplate:
    """What claims are made from. `size`, class and modes stay as they are for a StatefulSet's whole life.

    `when_scaled`: what becomes of an empty one that has no pod any more.
    """

    size: str
    storage_class: str | None
    access_modes: tuple[str, ...]
    retention: Literal["Retain", "Delete"]
    when_scaled: Literal["Retain", "Delete"] = "Retain"


def of_spec(claim: ClaimSpec) -> ClaimTemplate:
    """What the spec says."""
    return ClaimTemplate(
        claim.size, claim.storage_class_name, claim.access_modes, claim.retention, claim.when_scaled
    )


def of_stateful_set(body: Mapping[str, Any]) -> ClaimTemplate | None:
    """What a StatefulSet makes its claims from; None when it makes none for a queue.

    It does not know what becomes of those that it leaves behind: they are the operator's.
    """
    spec = body["spec"]
    policy = (spec.get("persistentVolumeClaimRetentionPolicy") or {}).get("whenDeleted", "Retain")
    for template in spec.get("volumeClaimTemplates") or ():
        if template["metadata"]["name"] == Names.QUEUE_VOLUME:
            wanted = template["spec"]
            return ClaimTemplate(
                wanted["resources"]["requests"]["storage"],
                wanted.get("storageClassName"),
                tuple(wanted["accessModes"]),
                "Delete" if policy == "Delete" else "Retain",
            )
    return None


def claim_template(push_domain: str, template: ClaimTemplate) -> Document:
    """Build the template of the claims; its labels have the operator see them."""
    spec: Document = {
        "accessModes": list(template.access_modes),
        "resources": {"requests": {"storage": template.size}},
        "volumeMode": "Filesystem",
    }
    if template.storage_class is not None:
        spec["storageClassName"] = template.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": Names.QUEUE_VOLUME, "labels": Names.labels(push_domain)},
        "spec": spec,
    }


def empty_dir(max_size: int | str | None, workers: int) -> Document:
    """Build the volume for a queue of at most `max_size` (None: the node's disk is the limit)."""
    limit = parse_size(max_size or 0)
    bounds = {"sizeLimit": str(int(limit * OVERHEAD) + SPARE * workers)} if limit else {}
    return {"name": Names.QUEUE_VOLUME, "emptyDir": bounds}


def claimed(push_domain: str, ordinal: int) -> Document:
    """Build the volume that is a claim which is there."""
    claim = {"claimName": Names.claim(push_domain, ordinal)}
    return {"name": Names.QUEUE_VOLUME, "persistentVolumeClaim": claim}


def arguments(volume: QueueVolume, retire_after: int) -> list[str]:
    """The dispatcher's options for its queue; `retire_after` in seconds."""
    options = ["--queue-dir", DIRECTORY, "--retire-after", str(retire_after)]
    if not volume.on_claim:
        return [*options, "--workload", "Deployment"]
    return [*options, "--workload", "StatefulSet", "--ordinal", f"$({ORDINAL_VARIABLE})"]


def environment(volume: QueueVolume, drains: int | None = None) -> list[Document]:
    """What the options refer to; `drains`: the number that a drain pod stands in for."""
    if not volume.on_claim:
        return []
    if drains is not None:
        return [{"name": ORDINAL_VARIABLE, "value": str(drains)}]
    return [{"name": ORDINAL_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": _ORDINAL_LABEL}}}]


def grace(wanted: int, volume: QueueVolume | None) -> int:
    """Seconds that a pod has to end.

    What is left in a claim or a stream waits there for the next pod; what is left in an emptyDir is lost, so
    that it is given longer, unless the spec names another time than the usual one.
    """
    return EMPTY_DIR_GRACE if volume is QueueVolume.EMPTY_DIR and wanted == GRACE else wanted
