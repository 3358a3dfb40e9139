"""Pods that keep an old immutable Secret: told by what they report, mended by pods without it. Pure.

A kubelet forgets the Secret once no pod on its node mounts it. Where a dispatcher is of use without it, all
pods are replaced by such that lack it, and then by whole ones: only the routes that need it are interrupted.
Where the Secret is everybody's (the one route's, the listener's), all pods are stopped and started again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tubepost_api.config import DispatcherConfig
from tubepost_operator.kinds import WORKLOADS
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key
from tubepost_operator.plan.queue_pods import workload
from tubepost_operator.plan.workloads import Arrangement
from tubepost_operator.resources.common import digest as hash_of
from tubepost_operator.snapshot import PushDomainSnapshot

STALE_AFTER: Final = 45.0
"""Seconds without confirmation after which pods are taken to have an old Secret: kubelets were asked to
refresh volumes three times by then."""


def stale_secrets(snapshot: PushDomainSnapshot, digest: str) -> tuple[str, ...]:
    """Names of the immutable Secrets that pods may have an old version of.

    Those that are younger than such a pod; if none is, all: a pod gets what its node has kept for others.
    """
    if snapshot.unconfirmed_for < STALE_AFTER:
        return ()
    behind = [
        pod.meta.created
        for pod in snapshot.pods
        if pod.report is not None
        and pod.report.digest not in {None, "", digest}
        and not pod.report.refuses(digest)
        and not pod.sidecar
        and not pod.meta.deleting
        and Names.WITHOUT_ANNOTATION not in pod.meta.annotations
    ]
    immutable = {name: secret.created for name, secret in snapshot.secrets.items() if secret.immutable}
    if not behind:
        return ()
    younger = [name for name, created in immutable.items() if created and created >= min(behind)]
    return tuple(sorted(younger or immutable))


def spared(config: DispatcherConfig, secrets: Iterable[str]) -> bool:
    """Whether dispatchers that lack these Secrets still serve: a route, or mail, and the listener itself.

    Reports can wait for their relay.
    """
    lacking = frozenset(secrets)
    reports = list(config.bounces.references(config.name)) if config.bounces is not None else []
    needed = {reference.secret for reference in config.references() if reference not in reports}
    others = [
        route
        for route in config.routes.values()
        if not lacking & {reference.secret for reference in route.references()}
    ]
    return not lacking & needed and (bool(others) or config.passthru is not None)


def mended(
    manifests: Mapping[Key, Document], config: DispatcherConfig, secrets: tuple[str, ...]
) -> dict[Key, Document]:
    """The children, with workloads of which no pod mounts these Secrets; without pods, where need be."""
    change = _without if spared(config, secrets) else _without_replicas
    return {key: change(item, secrets) if key.kind in WORKLOADS else item for key, item in manifests.items()}


def _without(manifest: Document, secrets: tuple[str, ...]) -> Document:
    template = manifest["spec"]["template"]
    pods, metadata = template["spec"], template["metadata"]
    gone = {Names.secret_volume(name) for name in secrets}
    boxes = [
        {**box, "volumeMounts": [mount for mount in box["volumeMounts"] if mount["name"] not in gone]}
        for box in pods["containers"]
    ]
    volumes = [volume for volume in pods["volumes"] if volume["name"] not in gone]
    annotations = {**metadata["annotations"], Names.WITHOUT_ANNOTATION: ",".join(secrets)}
    changed = {
        **template,
        "metadata": {**metadata, "annotations": annotations},
        "spec": {**pods, "containers": boxes, "volumes": volumes},
    }
    return _told_apart({**manifest, "spec": {**manifest["spec"], "template": changed}}, ["without", *secrets])


def _without_replicas(manifest: Document, _secrets: tuple[str, ...]) -> Document:
    return _told_apart({**manifest, "spec": {**manifest["spec"], "replicas": 0}}, ["emptied"])


def _told_apart(manifest: Document, how: list[str]) -> Document:
    annotations: dict[str, Any] = manifest["metadata"]["annotations"]
    applied = hash_of([annotations[Names.APPLIED_ANNOTATION], *how])
    metadata = {**manifest["metadata"], "annotations": {**annotations, Names.APPLIED_ANNOTATION: applied}}
    return {**manifest, "metadata": metadata}


def holding(snapshot: PushDomainSnapshot) -> list[str]:
    """Uids of the pods that have to go: those that mount everything, sidecars left out."""
    return [
        pod.meta.uid
        for pod in snapshot.pods
        if not pod.sidecar and Names.WITHOUT_ANNOTATION not in pod.meta.annotations
    ]


def may_be_mended(snapshot: PushDomainSnapshot, arranged: Arrangement | None) -> bool:
    """Whether all pods can be replaced or stopped without a loss: none has a queue."""
    return (
        arranged is not None
        and arranged.target.kind == "Deployment"
        and not arranged.target.queue
        and not arranged.settlement.draining
        and workload(snapshot, "StatefulSet") is None
    )


def message(snapshot: PushDomainSnapshot, config: DispatcherConfig, secrets: tuple[str, ...]) -> str:
    """The message of StaleSecret; `secrets` are the names of those that pods have an old version of."""
    named = snapshot.emptying or secrets
    text = (
        f"Pods have an old version of Secret {', '.join(named)}: it was immutable, deleted and made anew, "
        "and a kubelet keeps what it has read for as long as a pod on its node mounts it. "
    )
    if snapshot.emptying:
        lacking = frozenset(named)
        users = sorted(
            name
            for name, route in config.routes.items()
            if lacking & {reference.secret for reference in route.references()}
        )
        text += (
            "All pods are replaced by such that do not mount it, and then again by whole ones; meanwhile "
            f"these routes send nothing: {', '.join(users)}. "
            if spared(config, named)
            else "All pods are stopped and started again. "
        )
        return text + (
            "Remedy: none is needed; the next time make the Secret under another name, which rolls the pods "
            "without an interruption."
        )
    if snapshot.emptied_before:
        text += "All pods were without it once, which did not help: other pods mount it on the same nodes. "
    else:
        text += "They have a queue, and are not all replaced at once because of that. "
    return text + (
        "Remedy: make the Secret under another name and refer to that one, or delete all pods that mount it, "
        "node by node."
    )
