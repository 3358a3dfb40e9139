"""The StatefulSet of dispatchers with their queue on claims: each pod its own, and the same one again."""

from __future__ import annotations

from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.resources.common import Source, child
from tubepost_operator.resources.deployment import pod_template, workload_annotations
from tubepost_operator.resources.queue import claim_template


def stateful_set(source: Source) -> Document:
    """Build the StatefulSet; the source says what its claims are made from.

    Its pods start side by side and are replaced one by one, the next when the one before is ready. The
    Service that governs it is that of the PushDomain: nobody asks for single pods by name.
    """
    assert source.claim is not None
    template = pod_template(source)
    # A claim of an ordinal that is no more may hold what its pod has acknowledged: only the operator knows
    # whether it is empty, and the StatefulSet's controller does not ask.
    retention = {"whenDeleted": source.claim.retention, "whenScaled": "Retain"}
    return child(
        source,
        "StatefulSet",
        {
            "spec": {
                "replicas": source.wanted_replicas,
                "revisionHistoryLimit": 3,
                "serviceName": source.name,
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": selector(source.name)},
                "updateStrategy": {"type": "RollingUpdate"},
                "persistentVolumeClaimRetentionPolicy": retention,
                "template": template,
                "volumeClaimTemplates": [claim_template(source.name, source.claim)],
            }
        },
        annotations=workload_annotations(source, template),
    )


def selector(push_domain: str) -> dict[str, str]:
    """Labels that select the pods of the StatefulSet alone."""
    return {**Names.pod_selector(push_domain), Names.WORKLOAD_LABEL: Names.STATEFUL_SET}
