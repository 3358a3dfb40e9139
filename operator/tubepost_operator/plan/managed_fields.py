"""What others added to a child: fields that our field manager did not apply and somebody set by hand.

Server-side apply puts back what we own and leaves alone what we do not: another key in the Service's
selector, an environment variable more, a paused Deployment would stay for ever. The API server records who
set what in `metadata.managedFields` (Kubernetes documentation, "Server-Side Apply"); what it filled in by
itself is in nobody's name and so never counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tubepost_operator.names import Names
from tubepost_operator.observed import Document

Pointer = tuple[str | int, ...]
"""A place in a document; `pointer_text` writes it as RFC 6901 has it."""

_WATCHED: Final = {
    "ConfigMap": ("data", "binaryData"),
    "Service": ("spec",),
    "Deployment": ("spec",),
    "PodDisruptionBudget": ("spec",),
    "NetworkPolicy": ("spec",),
}
"""Parts that are ours alone. Not those of a ServiceAccount, to which some distributions add pull secrets."""

_LEFT: Final[frozenset[Pointer]] = frozenset(
    {
        # Labels and annotations of pods are anybody's: `kubectl rollout restart` works by one.
        ("spec", "template", "metadata"),
        # Addresses and load balancers belong to the cloud, and mostly cannot be changed back.
        ("spec", "clusterIP"),
        ("spec", "clusterIPs"),
        ("spec", "ipFamilies"),
        ("spec", "ipFamilyPolicy"),
        ("spec", "healthCheckNodePort"),
        ("spec", "loadBalancerClass"),
        ("spec", "loadBalancerIP"),
    }
)


def additions(live: Mapping[str, Any], wanted: Document) -> list[Pointer]:
    """Places to remove from `live`, in an order in which they can be removed one after the other."""
    found: set[Pointer] = set()
    for entry in (live.get("metadata") or {}).get("managedFields") or ():
        # A subresource is a controller's or an autoscaler's: what matters there is ours and compared as such.
        if entry.get("manager") == Names.FIELD_MANAGER or entry.get("subresource"):
            continue
        fields = entry.get("fieldsV1") or {}
        for part in _WATCHED.get(wanted["kind"], ()):
            if f"f:{part}" in fields:
                found.update(_walk({f"f:{part}": fields[f"f:{part}"]}, live, wanted, ()))
    outermost = {place for place in found if not any(place[:length] in found for length in range(len(place)))}
    # Later items of a list first, so that the numbers of those before stay right.
    return sorted(
        outermost, key=lambda place: [(isinstance(step, str), step) for step in place], reverse=True
    )


def pointer_text(place: Pointer) -> str:
    """A place as a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in place)


def _walk(fields: Mapping[str, Any], live: Any, wanted: Any, place: Pointer) -> Iterator[Pointer]:
    if place in _LEFT:
        return
    if not fields and isinstance(wanted, Mapping) and isinstance(live, Mapping):
        # A map that is owned as a whole.
        for name in live.keys() - wanted.keys():
            yield (*place, name)
        return
    for key, inner in fields.items():
        kind, _, text = key.partition(":")
        if kind == "f" and isinstance(live, Mapping) and text in live:
            step: str | int | None = text
            ours = wanted.get(text) if isinstance(wanted, Mapping) else None
        elif kind == "k" and isinstance(live, list):
            step, ours = _item(json.loads(text), live, wanted)
        else:
            continue
        if step is None:
            continue
        if ours is None:
            if (*place, step) not in _LEFT:
                yield (*place, step)
        else:
            yield from _walk(inner, live[step], ours, (*place, step))


def _item(keys: Mapping[str, Any], live: list[Any], wanted: Any) -> tuple[int | None, Any]:
    """Place of the list item with these keys, and the wanted one with the same."""
    index = next((number for number, item in enumerate(live) if _has(item, keys, live=True)), None)
    items = wanted if isinstance(wanted, list) else []
    return index, next((item for item in items if _has(item, keys, live=False)), None)


def _has(item: Any, keys: Mapping[str, Any], *, live: bool) -> bool:
    """Whether an item has these keys; a wanted one may leave out those that have defaults."""
    return isinstance(item, Mapping) and all(
        item.get(name, None if live else value) == value for name, value in keys.items()
    )
