"""Pods that keep an old immutable Secret: told by what they report, mended by a stop of all. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tubepost_operator.kinds import WORKLOADS
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key
from tubepost_operator.plan.workloads import Arrangement, workload
from tubepost_operator.resources.common import digest as hash_of
from tubepost_operator.snapshot import PushDomainSnapshot

STALE_AFTER: Final = 45.0
"""Seconds without confirmation after which pods are taken to have an old Secret: kubelets were asked to
refresh volumes three times by then."""


def stale_secrets(snapshot: PushDomainSnapshot, digest: str) -> tuple[str, ...]:
    """Names of the immutable Secrets that pods may have an old version of."""
    if snapshot.unconfirmed_for < STALE_AFTER:
        return ()
    behind = any(
        pod.report is not None
        and pod.report.digest not in {None, "", digest}
        and not pod.report.refuses(digest)
        for pod in snapshot.pods
        if not pod.sidecar and not pod.meta.deleting
    )
    return tuple(sorted(name for name, secret in snapshot.secrets.items() if secret.immutable and behind))


def emptied(manifests: Mapping[Key, Document]) -> dict[Key, Document]:
    """The children, with workloads that have no replicas."""
    return {
        key: _without_replicas(item) if key.kind in WORKLOADS else item for key, item in manifests.items()
    }


def _without_replicas(manifest: Document) -> Document:
    changed: dict[str, Any] = {**manifest, "spec": {**manifest["spec"], "replicas": 0}}
    annotations = manifest["metadata"]["annotations"]
    applied = hash_of([annotations[Names.APPLIED_ANNOTATION], "emptied"])
    metadata = {**manifest["metadata"], "annotations": {**annotations, Names.APPLIED_ANNOTATION: applied}}
    return {**changed, "metadata": metadata}


def may_be_emptied(snapshot: PushDomainSnapshot, arranged: Arrangement | None) -> bool:
    """Whether all pods can be stopped without a loss: none has a queue."""
    return (
        arranged is not None
        and arranged.target.kind == "Deployment"
        and not arranged.target.queue
        and not arranged.settlement.draining
        and workload(snapshot, "StatefulSet") is None
    )


def message(snapshot: PushDomainSnapshot, secrets: tuple[str, ...]) -> str:
    """The message of StaleSecret; `secrets` are the names of those that pods have an old version of."""
    named = secrets or tuple(sorted(name for name, secret in snapshot.secrets.items() if secret.immutable))
    text = (
        f"Pods have an old version of Secret {', '.join(named)}: it was immutable, deleted and made anew, "
        "and a kubelet keeps what it has read for as long as a pod on its node mounts it. "
    )
    if snapshot.emptying:
        return text + (
            "All pods are stopped and started again. Remedy: none is needed; the next time make the Secret "
            "under another name, which rolls the pods without an interruption."
        )
    if snapshot.emptied_before:
        text += "All pods were stopped once, which did not help: other pods mount it on the same nodes. "
    else:
        text += "They have a queue, and are not all stopped at once because of that. "
    return text + (
        "Remedy: make the Secret under another name and refer to that one, or delete all pods that mount it, "
        "node by node."
    )
