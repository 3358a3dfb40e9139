"""What a sidecar may use: its PushDomain's resources, or what annotations say; and LimitRanges. Pure.

The API server refuses a pod that is beyond a LimitRange without saying which container is the cause. The
owner of the app has named none, so the sidecar is compared here, and the refusal says what to change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from tubepost_api.podtemplate import QUANTITY
from tubepost_operator.quantities import amount

_LONGEST: Final = 32
"""Characters of a quantity, as in a PushDomain."""
_PREFIX: Final = "tubepost.io/sidecar-"
RESOURCES: Final = ("cpu", "memory", "ephemeral-storage")
_KINDS: Final = {"requests": "request", "limits": "limit"}

Quantities = dict[str, dict[str, str]]
"""`resources` of a container: requests and limits by resource."""


def annotation(resource: str, kind: str) -> str:
    """The annotation, of a pod or its namespace, for `requests` or `limits` of a resource."""
    return f"{_PREFIX}{resource}-{_KINDS[kind]}"


def sidecar_resources(
    published: Mapping[str, Mapping[str, Any]],
    of_namespace: Mapping[str, str],
    of_pod: Mapping[str, str],
) -> tuple[Quantities, tuple[str, ...]]:
    """The sidecar's resources, and warnings about annotations that are not usable.

    A pod's annotation comes before its namespace's, and that before what the PushDomain says. An annotation
    that is no quantity is passed over: the dispatcher is of more use to the app than its size.
    """
    resources: Quantities = {kind: dict(published.get(kind) or {}) for kind in _KINDS}
    warnings: list[str] = []
    asked: set[tuple[str, str]] = set()
    for resource in RESOURCES:
        for kind in _KINDS:
            name = annotation(resource, kind)
            for whose, said in (("the pod", of_pod), ("the namespace", of_namespace)):
                text = said.get(name)
                if text is None:
                    continue
                if _usable(text):
                    resources[kind][resource] = text
                    asked.add((resource, kind))
                    break
                warnings.append(
                    f"annotation {name} of {whose} is passed over: {text[:40]!r} is no quantity. "
                    "Remedy: write one such as 100m, 1, 256Mi or 1Gi"
                )
        warnings += _fitted(resources, resource, asked)
    return {kind: values for kind, values in resources.items() if values}, tuple(warnings)


def _usable(text: str) -> bool:
    return len(text) <= _LONGEST and re.fullmatch(QUANTITY, text) is not None and (amount(text) or 0) > 0


def _fitted(resources: Quantities, resource: str, asked: set[tuple[str, str]]) -> Iterator[str]:
    """Have the request be no more than the limit; which of them is asked for decides."""
    request, limit = (resources[kind].get(resource) for kind in _KINDS)
    if request is None or limit is None or (amount(request) or 0) <= (amount(limit) or 0):
        return
    if (resource, "limits") not in asked:
        resources["limits"][resource] = request
        return
    resources["requests"][resource] = limit
    if (resource, "requests") in asked:
        yield (
            f"annotation {annotation(resource, 'requests')}: {request} is more than the limit of {limit}, "
            "which the sidecar gets as its request. Remedy: a request of at most the limit"
        )


def beyond(
    resources: Quantities, pod: Mapping[str, Any], limit_ranges: Iterable[Mapping[str, Any]]
) -> str | None:
    """What a LimitRange has against the sidecar, with the remedy; None when the API server will take it.

    Args:
        resources: the sidecar's.
        pod: the spec of the pod that it is put into.
        limit_ranges: those of the namespace.
    """
    for document in limit_ranges:
        name = document["metadata"]["name"]
        for item in (document.get("spec") or {}).get("limits") or ():
            found = {"Container": _of_container, "Pod": _of_pod}.get(item.get("type"), _nothing)
            for words, resource, kind in found(item, resources, pod):
                field = f"spec.podTemplate.resources.{kind}.{resource}"
                return (
                    f"LimitRange {name} of the namespace allows no such dispatcher as a sidecar: {words}. "
                    f"Remedy: set the annotation {annotation(resource, kind)} of the pod or its namespace, "
                    f"or {field} of the PushDomain, or change the LimitRange"
                )
    return None


_Found = Iterator[tuple[str, str, str]]


def _nothing(_item: Mapping[str, Any], _resources: Quantities, _pod: Mapping[str, Any]) -> _Found:
    yield from ()


def _of_container(item: Mapping[str, Any], resources: Quantities, _pod: Mapping[str, Any]) -> _Found:
    """What is not said is filled in from the LimitRange itself.

    Source: Kubernetes, plugin/pkg/admission/limitranger.
    """
    for kind, word in (("limits", "limit"), ("requests", "request")):
        for resource, text in resources.get(kind, {}).items():
            most, least = ((item.get(bound) or {}).get(resource) for bound in ("max", "min"))
            if most is not None and _value(text) > _value(most):
                yield f"its {word} of {resource} is {text}, and a container may have {most}", resource, kind
            if least is not None and _value(text) < _value(least):
                yield (
                    f"its {word} of {resource} is {text}, and a container has at least {least}",
                    resource,
                    kind,
                )
    for resource, ratio in (item.get("maxLimitRequestRatio") or {}).items():
        limit, request = (resources.get(kind, {}).get(resource) for kind in ("limits", "requests"))
        if limit and request and _value(limit) > _value(request) * _value(ratio):
            words = f"its limit of {resource} is {limit}, more than {ratio} times its request of {request}"
            yield words, resource, "requests"


def _of_pod(item: Mapping[str, Any], resources: Quantities, pod: Mapping[str, Any]) -> _Found:
    for kind, word in (("limits", "limits"), ("requests", "requests")):
        for resource, text in resources.get(kind, {}).items():
            most = (item.get("max") or {}).get(resource)
            if most is None:
                continue
            own = _sum(pod, kind, resource)
            # A pod that is beyond it by itself is its owner's own affair.
            if own <= _value(most) < own + _value(text):
                words = f"with its {text} the {word} of {resource} of the pod are more than {most}"
                yield words, resource, kind


def _sum(pod: Mapping[str, Any], kind: str, resource: str) -> Decimal:
    """Of the containers that run side by side."""
    beside: Sequence[Mapping[str, Any]] = [
        *(pod.get("containers") or ()),
        *(box for box in pod.get("initContainers") or () if box.get("restartPolicy") == "Always"),
    ]
    texts = (((box.get("resources") or {}).get(kind) or {}).get(resource) for box in beside)
    return sum((_value(text) for text in texts if text is not None), Decimal(0))


def _value(text: object) -> Decimal:
    return amount(str(text)) or Decimal(0)
