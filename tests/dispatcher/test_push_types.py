from __future__ import annotations

from typing import get_args

from tubepost_api.apnroute import PushType
from tubepost_dispatcher.push_types import PUSH_TYPES


def test_the_schema_has_the_same_push_types() -> None:
    assert set(PUSH_TYPES) == set(get_args(PushType))


def test_rows_are_consistent() -> None:
    for name, spec in PUSH_TYPES.items():
        assert spec.name == name
        assert spec.default_priority in spec.priorities
        assert set(spec.priorities) <= {1, 5, 10}
        assert spec.suffix == "" or spec.suffix.startswith(".")
        assert spec.help.endswith(".")


def test_what_apple_says_of_some() -> None:
    assert PUSH_TYPES["background"].priorities == (5,)
    assert PUSH_TYPES["voip"].payload_limit == 5_120
    assert PUSH_TYPES["pushtotalk"].expiration == 0
    assert {name for name, spec in PUSH_TYPES.items() if spec.token_only} == {"location", "liveactivity"}
