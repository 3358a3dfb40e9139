"""The pod that empties a claim which no pod of the StatefulSet has any more, in a Deployment of its own."""

from __future__ import annotations

from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.resources.common import Source, child
from tubepost_operator.resources.deployment import pod_template, workload_annotations


def drain(source: Source) -> Document:
    """Build the Deployment; the source says which claim (`drains`).

    A Deployment, so that the pod is started again wherever its volume is, also without the operator. Its pod
    retires from the beginning: its configuration names others that serve. Neither the Service nor the budget
    nor an autoscaler selects it, and two of them never have the claim at the same time.
    """
    assert source.drains is not None
    template = pod_template(source)
    given = source.pod_template.labels or {}
    labels = {**given, **labels_of(source.name, source.drains)}
    labels.pop(Names.INSTANCE_LABEL, None)
    spec = dict(template["spec"])
    # It goes where its volume is, however many others are there.
    spec.pop("topologySpreadConstraints", None)
    nodes = {key: value for key, value in spec.pop("affinity", {}).items() if key == "nodeAffinity"}
    if nodes:
        spec["affinity"] = nodes
    template = {"metadata": {**template["metadata"], "labels": labels}, "spec": spec}
    return child(
        source,
        "Deployment",
        {
            "spec": {
                "replicas": 1,
                "revisionHistoryLimit": 0,
                "progressDeadlineSeconds": 600,
                "selector": {"matchLabels": selector(source.name, source.drains)},
                "strategy": {"type": "Recreate"},
                "template": template,
            }
        },
        name=Names.drain(source.name, source.drains),
        annotations=workload_annotations(source, template),
    )


def labels_of(push_domain: str, ordinal: int) -> dict[str, str]:
    """Labels of the pod: all that the operator sees its own pods by, without those that select who serves."""
    labels = {**Names.labels(push_domain), Names.DRAIN_LABEL: str(ordinal)}
    del labels[Names.INSTANCE_LABEL]
    return labels


def selector(push_domain: str, ordinal: int) -> dict[str, str]:
    """Labels that select this pod alone."""
    return {Names.PUSH_DOMAIN_LABEL: push_domain, Names.DRAIN_LABEL: str(ordinal)}
