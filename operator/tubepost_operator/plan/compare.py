"""Whether an object is as it was wanted: a wanted manifest against what the API server has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tubepost_operator.quantities import amount


def covers(live: Any, wanted: Any) -> bool:
    """Whether everything wanted is there; what the server or others added beside it does not count.

    List items with a name are told apart by it, others by their place. Quantities are compared by value,
    since the server writes them in its own way.
    """
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping):
            return not wanted and live is None
        return all(covers(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(live, list):
            return not wanted and live is None
        key = _merge_key(wanted)
        if key is None:
            return len(live) == len(wanted) and all(map(covers, live, wanted))
        there = {item.get(key): item for item in live if isinstance(item, Mapping)}
        return all(item[key] in there and covers(there[item[key]], item) for item in wanted)
    if live == wanted:
        return True
    if isinstance(wanted, str) and isinstance(live, str):
        one, other = amount(live), amount(wanted)
        return one is not None and one == other
    return False


def _merge_key(items: list[Any]) -> str | None:
    # Mounts have the name of their volume, which may stand twice; their path does not.
    for key in ("mountPath", "uid", "name"):
        if items and all(isinstance(item, Mapping) and key in item for item in items):
            return key
    return None
