from __future__ import annotations

from typing import Any

import pytest

from tubepost_operator.plan.compare import covers


@pytest.mark.parametrize(
    ("live", "wanted", "covered"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 2}, {"a": 1}, False),
        ({}, {"a": 1}, False),
        (None, {}, True),
        (None, {"a": 1}, False),
        ({"emptyDir": {}}, {"emptyDir": {}}, True),
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["a"], False),
        (None, [], True),
        ([{"name": "x", "v": 1, "more": 2}, {"name": "y"}], [{"name": "x", "v": 1}], True),
        ([{"name": "y"}], [{"name": "x"}], False),
        ([{"key": "a"}], [{"key": "a"}], True),
        (
            [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}],
            [{"name": "v", "mountPath": "/b"}],
            True,
        ),
        ("500m", "0.5", True),
        ("1Gi", "1024Mi", True),
        ("1", "1000m", True),
        ("1", "2", False),
        ("a", "b", False),
        (1, "1", False),
    ],
)
def test_what_is_wanted_is_there(live: Any, wanted: Any, covered: bool) -> None:
    assert covers(live, wanted) is covered
