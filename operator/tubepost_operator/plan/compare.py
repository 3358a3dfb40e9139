"""Whether an object is as it was wanted: a wanted manifest against what the API server has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tubepost_operator.quantities import amount


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not as it was wanted.

    `place` leads to it in the live object, as far as it goes there; `name` is the same for people, with list
    items by their names. `live` and `wanted` are the values, None where there is none.
    """

    place: tuple[str | int, ...]
    name: str
    live: Any
    wanted: Any


def covers(live: Any, wanted: Any) -> bool:
    """Whether everything wanted is there; what the server or others added beside it does not count."""
    return next(differences(live, wanted), None) is None


def differences(
    live: Any, wanted: Any, place: tuple[str | int, ...] = (), name: str = ""
) -> Iterator[Difference]:
    """What is wanted and not there.

    List items with a name are told apart by it, others by their place. Quantities are compared by value,
    since the server writes them in its own way.
    """
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for key, value in wanted.items():
            yield from differences(live.get(key), value, (*place, key), _inside(name, key))
    elif isinstance(wanted, list) and isinstance(live, list):
        yield from _of_lists(live, wanted, place, name)
    elif isinstance(wanted, (Mapping, list)) and not wanted and live is None:
        return
    elif live != wanted and not _same_amount(live, wanted):
        yield Difference(place, name, live, wanted)


def _of_lists(
    live: list[Any], wanted: list[Any], place: tuple[str | int, ...], name: str
) -> Iterator[Difference]:
    key = _merge_key(wanted)
    if key is None:
        if len(live) != len(wanted):
            yield Difference(place, name, live, wanted)
            return
        for index, (one, other) in enumerate(zip(live, wanted, strict=True)):
            yield from differences(one, other, (*place, index), f"{name}[{index}]")
        return
    there = {item.get(key): index for index, item in enumerate(live) if isinstance(item, Mapping)}
    for item in wanted:
        index = there.get(item[key], -1)
        inside = f"{name}[{item[key]}]"
        if index < 0:
            yield Difference((*place, len(live)), inside, None, item)
        else:
            yield from differences(live[index], item, (*place, index), inside)


def _inside(name: str, key: str) -> str:
    step = f"[{key}]" if "/" in key or "." in key else key
    return f"{name}.{step}" if name and not step.startswith("[") else f"{name}{step}"


def _same_amount(live: Any, wanted: Any) -> bool:
    if not isinstance(wanted, str) or not isinstance(live, str):
        return False
    one, other = amount(live), amount(wanted)
    return one is not None and one == other


def _merge_key(items: list[Any]) -> str | None:
    # Mounts have the name of their volume, which may stand twice; their path does not.
    for key in ("mountPath", "uid", "name"):
        if items and all(isinstance(item, Mapping) and key in item for item in items):
            return key
    return None
