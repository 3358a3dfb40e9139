from __future__ import annotations

from typing import Any

import pytest

from tubepost_operator.plan.compare import covers, differences


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


def test_a_difference_leads_to_its_place() -> None:
    live = {"a": {"list": [{"name": "x", "v": 1}, {"name": "y", "v": 2}]}, "n": {"k.io/a": "1"}}
    wanted = {"a": {"list": [{"name": "y", "v": 3}, {"name": "z"}]}, "n": {"k.io/a": "2"}, "e": {}}
    found = list(differences(live, wanted))
    assert [(item.place, item.name, item.live, item.wanted) for item in found] == [
        (("a", "list", 1, "v"), "a.list[y].v", 2, 3),
        (("a", "list", 2), "a.list[z]", None, {"name": "z"}),
        (("n", "k.io/a"), "n[k.io/a]", "1", "2"),
    ]
    assert [item.name for item in differences({"l": [1]}, {"l": [1, 2]})] == ["l"]
    assert [item.name for item in differences({"l": [1, 3]}, {"l": [1, 2]})] == ["l[1]"]
