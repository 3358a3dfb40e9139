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

_THROUGH: Final = " through the subresource "
SCALED: Final = f"{_THROUGH}scale"
"""What `writer` ends with where autoscalers and `kubectl scale` have written."""

Pointer = tuple[str | int, ...]
"""A place in a document; `pointer_text` writes it as RFC 6901 has it."""

_WATCHED: Final = {
    "ConfigMap": ("data", "binaryData"),
    "Service": ("spec",),
    "Deployment": ("spec",),
    "StatefulSet": ("spec",),
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


def place_name(live: Any, place: Pointer) -> str:
    """A place for people: list items by their names, where they have one."""
    name = ""
    for step in place:
        if isinstance(live, list) and isinstance(step, int) and step < len(live):
            live = live[step]
            item = live if isinstance(live, Mapping) else {}
            label = next((item[key] for key in ("name", "mountPath") if key in item), step)
            name += f"[{label}]"
        else:
            live = live.get(step) if isinstance(live, Mapping) else None
            text = str(step)
            plain = "/" not in text and "." not in text
            name += (f".{text}" if name else text) if plain else f"[{text}]"
    return name


def writer(live: Mapping[str, Any], place: Pointer) -> str:
    """Who wrote a place, as the API server has it; empty when nobody but us and the server did.

    The most specific entry counts, and of those the newest.
    """
    best, depth_of_best, time_of_best = "", 0, ""
    for entry in (live.get("metadata") or {}).get("managedFields") or ():
        subresource = str(entry.get("subresource") or "")
        if entry.get("manager") == Names.FIELD_MANAGER and not subresource:
            continue
        depth = _depth(entry.get("fieldsV1") or {}, live, place)
        time = str(entry.get("time") or "")
        if depth and (depth, time) > (depth_of_best, time_of_best):
            best = str(entry.get("manager") or "an unnamed client")
            if subresource:
                best += f"{_THROUGH}{subresource}"
            depth_of_best, time_of_best = depth, time
    return best


def _depth(fields: Mapping[str, Any], live: Any, place: Pointer) -> int:
    """How many steps of a place an entry owns: all, or up to a part that it owns as a whole; else 0."""
    for number, step in enumerate(place):
        inner: Any = None
        if isinstance(step, str):
            inner = fields.get(f"f:{step}")
            live = live.get(step) if isinstance(live, Mapping) else None
        elif isinstance(live, list) and step < len(live):
            live = live[step]
            inner = next(
                (
                    value
                    for key, value in fields.items()
                    if key.startswith("k:") and _has(live, json.loads(key[2:]), live=True)
                ),
                None,
            )
        if inner is None:
            return number if number and not fields else 0
        fields = inner
    return len(place)


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
