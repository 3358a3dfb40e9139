"""Values that are null, as a parent chart or an empty key in YAML leaves them: a chart is made, whatever is empty."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chart.helm import CHART, Objects, helm, render, sub_chart
from tests.chart.test_values import SCHEMA, VALUES
from tests.chart.value_sets import EVERYTHING_ON

HOLE = re.compile(r"<nil>|<no value>|%!|^[^\"]*: null$", re.MULTILINE)
"""What a template makes of nothing. The dashboard has nulls of its own, behind names in quotes."""


def all_paths(value: dict[str, Any], schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[Any]:
    for key, item in value.items():
        yield (*path, key)
        inner = schema["properties"][key]
        if isinstance(item, dict):
            # Also what is in a free map by default.
            yield from all_paths(item, inner if "properties" in inner else free(item), (*path, key))


def free(value: dict[str, Any]) -> dict[str, Any]:
    return {"properties": {key: free(item) if isinstance(item, dict) else {} for key, item in value.items()}}


PATHS = list(all_paths(VALUES, SCHEMA))
SECTIONS = sorted({path[0] for path in PATHS})
# The definitions are large, and no value but crds has to do with them.
ON = {**EVERYTHING_ON, "crds": {"enabled": False}}


def with_null(path: tuple[str, ...], values: dict[str, Any]) -> dict[str, Any]:
    """Values in which one is null."""
    result = copy.deepcopy(values)
    place = result
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = None
    return result


def test_all_are_looked_at() -> None:
    assert len(PATHS) > 150
    assert {("operator",), ("operator", "resources"), ("operator", "resources", "limits")} <= set(PATHS)


@pytest.mark.parametrize("section", SECTIONS)
def test_any_value_may_be_null(section: str) -> None:
    for path in PATHS:
        if path[0] == section:
            result = helm("template", "t", str(CHART), "--namespace=push", values=with_null(path, ON))
            assert result.code == 0, f"{'.'.join(path)}: {result.errors}"
            assert not HOLE.search(result.output), (path, HOLE.search(result.output))


@pytest.mark.parametrize("section", SECTIONS)
def test_a_parent_chart_may_leave_it_empty(section: str, tmp_path: Path) -> None:
    parent = sub_chart(tmp_path)
    values: dict[str, Any] = copy.deepcopy(ON)
    for path in PATHS:
        # Not what makes a template say nothing at all.
        if path[0] == section and len(path) == 2 and path[1] != "enabled":
            values = with_null(path, values)
    (parent / "values.yaml").write_text("tubepost:\n  " + section + ":\n")
    for given in ({"tubepost": values}, {}):
        result = helm("template", "t", str(parent), "--namespace=push", values=given)
        assert result.code == 0, result.errors
        assert "kind: Deployment" in result.output


@pytest.mark.parametrize("value", [None, {}])
@pytest.mark.parametrize(
    "name",
    [
        *("imageRegistry", "imagePullSecrets", "commonLabels", "commonAnnotations"),
        *("nodeSelector", "tolerations", "priorityClassName"),
    ],
)
def test_what_parents_share_may_be_null(name: str, value: Any, tmp_path: Path) -> None:
    shared = None if value is None else {name: None}
    assert render({**ON, "global": shared}).operator
    assert render({"global": shared, "tubepost": ON}, chart=sub_chart(tmp_path), release="shop").operator


def container(objects: Objects) -> dict[str, Any]:
    (found,) = objects.operator["spec"]["template"]["spec"]["containers"]
    result: dict[str, Any] = found
    return result


def test_null_is_nothing_where_nothing_is_possible() -> None:
    found = container(render({"operator": {"resources": None, "securityContext": None}}))
    assert not {"resources", "securityContext"} & found.keys()
    found = container(render({"operator": {"resources": {"limits": None}}}))
    assert found["resources"] == {"requests": {"cpu": "50m", "memory": "128Mi"}}


def test_null_is_the_default_where_something_has_to_be() -> None:
    default = render()
    assert (
        render({"operator": {"logLevel": None}, "networkPolicies": {"apiServerPorts": None}}).all
        == default.all
    )
    # A section without values has its defaults, resources too.
    assert render(dict.fromkeys(VALUES)).all == default.all
