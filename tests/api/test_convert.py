from __future__ import annotations

import json

import pytest
from pydantic import BaseModel

from tubepost_api.convert import converted
from tubepost_api.fields import Duration, Size
from tubepost_api.rules import SpecModel


class Part(SpecModel):
    wait: Duration = "1m"
    size: Size = "1Ki"
    count: int = 3
    name: str = "a"
    left_out: bool = True


class PartConfig(BaseModel):
    wait: float
    size: int
    count: int
    name: str


def test_durations_become_seconds_and_sizes_bytes() -> None:
    assert converted(Part(), PartConfig) == PartConfig(wait=60.0, size=1024, count=3, name="a")
    part = Part.model_validate_json(json.dumps({"size": 7}))
    assert converted(part, PartConfig).size == 7


def test_special_fields_are_taken_as_given() -> None:
    assert converted(Part(), PartConfig, name="b", wait=0.5).wait == 0.5


def test_a_field_from_nowhere_is_a_mistake_of_ours() -> None:
    class More(PartConfig):
        more: int = 0

    with pytest.raises(KeyError, match="more"):
        converted(Part(), More)
