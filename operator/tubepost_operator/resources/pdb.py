"""The PodDisruptionBudget of the dispatchers."""

from __future__ import annotations

from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.resources.common import Source, child


def disruption_budget(source: Source) -> Document:
    """Build the budget: drains take one pod at a time, also the only one of a single replica.

    Pods that do not serve anyway never hold up a drain. Those that only deliver their queue are not ready,
    which must not count against the others.
    """
    return child(
        source,
        "PodDisruptionBudget",
        {
            "spec": {
                "maxUnavailable": 1 + source.unready,
                "selector": {"matchLabels": Names.pod_selector(source.name)},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            }
        },
    )
