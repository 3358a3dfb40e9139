"""Whether an object is as it was wanted: a wanted manifest against what the API server has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_FACTORS: Final = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
}


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
        one, other = _amount(live), _amount(wanted)
        return one is not None and one == other
    return False


def _merge_key(items: list[Any]) -> str | None:
    # Mounts have the name of their volume, which may stand twice; their path does not.
    for key in ("mountPath", "uid", "name"):
        if items and all(isinstance(item, Mapping) and key in item for item in items):
            return key
    return None


def _amount(text: str) -> Decimal | None:
    match = _QUANTITY.fullmatch(text)
    return Decimal(match[1]) * _FACTORS[match[2]] if match else None
