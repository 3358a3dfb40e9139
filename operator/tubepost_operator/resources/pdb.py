"""The PodDisruptionBudget of the dispatchers."""

from __future__ import annotations

from typing import Final

from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.resources.common import Source, child

SHARE: Final = 4
"""Of pods that hold nothing, one in so many may be gone at a time."""


def disruption_budget(source: Source) -> Document:
    """Build the budget: drains take one pod at a time, also the only one of a single replica.

    Where pods have no queue of their own, it is a quarter of many: nothing waits for one that comes back.
    Pods that do not serve anyway never hold up a drain. Those that only deliver their queue are not ready,
    which must not count against the others.
    """
    return child(
        source,
        "PodDisruptionBudget",
        {
            "spec": {
                "maxUnavailable": _at_a_time(source) + source.unready,
                "selector": {"matchLabels": Names.pod_selector(source.name)},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            }
        },
    )


def _at_a_time(source: Source) -> int:
    queue = source.config.queue
    holds = source.queue is not None and (queue is None or queue.jet_stream is None)
    return 1 if holds else max(1, -(-source.spec.replicas // SHARE))
