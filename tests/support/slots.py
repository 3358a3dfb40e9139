"""The fields of a class with slots, also where it is compiled and has descriptors instead."""

from __future__ import annotations

import inspect
from typing import Any


def slots(cls: type) -> tuple[str, ...]:
    """Their names."""
    return tuple(
        name
        for name, value in vars(cls).items()
        if inspect.isdatadescriptor(value) and not isinstance(value, property) and not name.startswith("__")
    )


def slot_values(one: object) -> dict[str, Any]:
    """The fields of an object by their names."""
    return {name: getattr(one, name) for name in slots(type(one))}
