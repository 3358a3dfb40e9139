"""The Deployment of the dispatchers, and the pods that it and a StatefulSet run."""

from __future__ import annotations

from typing import Final

from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.resources.common import Source, child, digest, without_none
from tubepost_operator.resources.container import container, volumes
from tubepost_operator.resources.queue import QueueVolume, grace

SPREAD_OVER: Final = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
"""Where replicas are spread, as far as that is possible."""


def deployment(source: Source) -> Document:
    """Build the Deployment.

    Its pods are replaced when the pod template changes, so nothing may be in it that a running pod can take
    up by itself: configuration and Secrets are there by name only.
    """
    template = pod_template(source)
    return child(
        source,
        "Deployment",
        {
            "spec": {
                "replicas": source.wanted_replicas,
                "revisionHistoryLimit": 3,
                "progressDeadlineSeconds": 600,
                "selector": {"matchLabels": Names.pod_selector(source.name)},
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"},
                },
                "template": template,
            }
        },
        annotations=workload_annotations(source, template),
    )


def workload_annotations(source: Source, template: Document) -> dict[str, str]:
    """What a workload says of its pods."""
    return {
        Names.CONFIG_ANNOTATION: source.config_map,
        Names.ROLL_ANNOTATION: roll_hash(source),
        Names.TEMPLATE_ANNOTATION: digest(template),
        **_queue_annotation(source),
    }


def _queue_annotation(source: Source) -> dict[str, str]:
    return {Names.QUEUE_ANNOTATION: str(source.queue)} if source.queue else {}


def pod_template(source: Source) -> Document:
    """Build the template of the pods."""
    on_claim = source.queue is QueueVolume.CLAIM
    wanted = source.pod_template
    security = wanted.security
    pull_secrets = dict.fromkeys((*source.settings.release.pull_secrets, *wanted.image_pull_secrets))
    spec = {
        "serviceAccountName": source.name,
        "automountServiceAccountToken": False,
        # Variables for every Service of the namespace: thousands of them keep a process from starting.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace(wanted.termination_grace_period_seconds, source.queue),
        "securityContext": {
            "runAsNonRoot": True,
            # The group may write to a claim; all of a large one is walked only when it is somebody else's.
            **({"fsGroupChangePolicy": "OnRootMismatch"} if on_claim else {}),
            "seccompProfile": {"type": "RuntimeDefault"},
            # Not said, they are the image's or the namespace's: OpenShift refuses all but its own.
            **_volume_group(source),
            **security.model_dump(by_alias=True, exclude_none=True),
        },
        "imagePullSecrets": [{"name": name} for name in pull_secrets],
        "nodeSelector": wanted.node_selector,
        "tolerations": [item.model_dump(by_alias=True, exclude_none=True) for item in wanted.tolerations],
        "affinity": wanted.affinity,
        "priorityClassName": wanted.priority_class_name,
        "topologySpreadConstraints": _spread(source),
        "containers": [container(source)],
        "volumes": volumes(source),
    }
    return {
        "metadata": {
            "labels": {
                **(wanted.labels or {}),
                **Names.labels(source.name),
                **({Names.WORKLOAD_LABEL: Names.STATEFUL_SET} if on_claim else {}),
            },
            "annotations": {
                **(wanted.annotations or {}),
                Names.CONFIG_ANNOTATION: source.config_map,
                Names.ROLL_ANNOTATION: roll_hash(source),
                **_queue_annotation(source),
            },
        },
        "spec": without_none(spec),
    }


def roll_hash(source: Source) -> str:
    """Hash of what users decide about pods and a running pod cannot change about itself.

    The set of mounted objects is in the name of the ConfigMap, their contents are nowhere. A template that
    differs while this hash is the same differs by the operator's release alone.
    """
    template = source.spec.pod_template.model_dump(mode="json", by_alias=True, exclude_none=True)
    return digest([template, source.config.listener.port, source.config_map])


def _volume_group(source: Source) -> Document:
    """A claim's volume belongs to root until it has a group; an emptyDir can be written by any user."""
    group = source.settings.release.claim_group
    return {"fsGroup": group} if group and source.queue is QueueVolume.CLAIM else {}


def _spread(source: Source) -> list[Document]:
    given = source.pod_template.topology_spread_constraints
    if given:
        return [dict(item) for item in given]
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": Names.pod_selector(source.name)},
            # A StatefulSet replaces a pod where it was: old and new ones are spread together.
            **({} if source.queue is QueueVolume.CLAIM else {"matchLabelKeys": ["pod-template-hash"]}),
        }
        for key in SPREAD_OVER
    ]
