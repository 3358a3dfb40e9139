"""Why replicas are missing: what the workload's controller, the scheduler and the kubelets say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from tubepost_operator.observed import Pod
from tubepost_operator.plan.remedies import pod_remedy, remedy

SHOWN: Final = 3
"""Different causes that a message tells."""

_REFUSED: Final = frozenset({"ReplicaFailure"})
"""Conditions of a workload that are True when the API server refuses its pods."""
_NOT_MADE: Final = frozenset({"ReplicaSetCreateError"})
"""Reasons of the condition Progressing with which it has not even come to pods."""


def causes(workload: Mapping[str, Any] | None, pods: Iterable[Pod], event: str = "") -> str:
    """What keeps replicas from running, with the remedy, as sentences; empty when nobody says anything.

    Args:
        workload: the Deployment or StatefulSet as the API server has it.
        pods: those with a dispatcher; of sidecars their owners know.
        event: what was told last of a StatefulSet, which has no condition for this.
    """
    told = dict.fromkeys([*_of_workload(workload), *_of_event(event), *_of_pods(pods)])
    return " ".join(f"{what}. Remedy: {do}." for what, do in list(told)[:SHOWN])


def _of_workload(workload: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    for condition in ((workload or {}).get("status") or {}).get("conditions") or ():
        refused = condition.get("type") in _REFUSED and condition.get("status") == "True"
        message = str(condition.get("message") or "").strip().rstrip(".")
        if message and (refused or condition.get("reason") in _NOT_MADE):
            yield f"The API server refuses the pods: {_without_name(message)}", remedy(message)


def _of_event(event: str) -> Iterator[tuple[str, str]]:
    reason, _, message = event.partition(": ")
    if reason == "FailedCreate":
        # create Pod alerts-0 in StatefulSet alerts failed error: pods "alerts-0" is forbidden: ...
        text = message.partition(" failed error: ")[2] or message
        yield f"The API server refuses the pods: {_without_name(text.rstrip('.'))}", remedy(message)


def _of_pods(pods: Iterable[Pod]) -> Iterator[tuple[str, str]]:
    troubles = {pod.trouble for pod in pods if pod.trouble and not pod.sidecar and not pod.meta.deleting}
    for trouble in sorted(troubles):
        yield trouble.rstrip("."), pod_remedy(trouble)


def _without_name(message: str) -> str:
    """A refusal without the name of the pod, which is another one at every attempt."""
    head, _, rest = message.partition(" is forbidden: ")
    return rest if rest and head.startswith("pods ") else message
