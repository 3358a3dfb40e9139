"""From a part of a spec, as people write it, to the part of `DispatcherConfig` that has the same fields."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from tubepost_api.durations import parse_duration, parse_size
from tubepost_api.rules import SpecModel

_Config = TypeVar("_Config", bound=BaseModel)


def converted(spec: SpecModel, target: type[_Config], **special: object) -> _Config:
    """Make a `target` of the fields of a valid `spec` that have the same names.

    Durations become seconds and sizes bytes: strings in the spec that are numbers in the configuration.
    Other values are copied; those in `special` are given.

    Raises:
        KeyError: the target has a field that is neither in the spec nor in `special`.
    """
    given = dict(spec)
    values = {
        name: special[name] if name in special else _number(given[name], field.annotation)
        for name, field in target.model_fields.items()
    }
    return target(**values)


def _number(value: object, wanted: object) -> object:
    if isinstance(value, str) and wanted is float:
        return parse_duration(value)
    if isinstance(value, str) and wanted is int:
        return parse_size(value)
    return value
