"""Values, their schema and their page say the same."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import yaml

from tests.chart.helm import CHART, ROOT

VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
TEMPLATES = "\n".join(path.read_text() for path in sorted((CHART / "templates").rglob("*")) if path.is_file())


def paths(value: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The leaves that the schema knows."""
    properties = schema.get("properties")
    if properties is None or not value:
        yield path
        return
    assert set(value) <= set(properties), path
    for key, item in value.items():
        yield from paths(item, properties[key], f"{path}.{key}" if path else key)


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if schema.get("type") == ["object", "null"]:
        yield path, schema
    for key, item in schema.get("properties", {}).items():
        yield from objects(item, f"{path}.{key}")


def test_maps_are_strict_or_free_on_purpose() -> None:
    for path, schema in objects(SCHEMA):
        if path == ".global":  # a parent's
            continue
        assert "additionalProperties" in schema, path
        assert schema.get("description") or path == "", path


def test_a_parent_chart_may_hand_down_its_own() -> None:
    assert {"global", "enabled"} <= set(SCHEMA["properties"])
    assert not {"global", "enabled"} & set(VALUES)


def test_every_value_is_on_the_page() -> None:
    page = (CHART / "README.md").read_text()
    for path in paths(VALUES, SCHEMA):
        assert f"| `{path}` |" in page


def test_every_value_is_used() -> None:
    # Images and the figures of the alerts are handed to helpers as a whole.
    as_a_whole = re.compile(r"image\.(registry|repository|tag|digest|pullPolicy)$")
    for path in paths(VALUES, SCHEMA):
        *parents, last = path.split(".")
        if as_a_whole.search(path):
            assert f".{'.'.join(parents)}" in TEMPLATES, path
            continue
        assert re.search(rf'[.$"]{last}\b', TEMPLATES), path


def test_the_charts_versions_are_the_projects() -> None:
    from importlib.metadata import version

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == version("tubepost")
    for image in yaml.safe_load(chart["annotations"]["artifacthub.io/images"]):
        assert image["image"] == f"docker.io/tubepost/{image['name']}:{version('tubepost')}"
        name = VALUES["image"] if image["name"] == "operator" else VALUES[image["name"]]["image"]
        assert image["image"].startswith(f"docker.io/{name['repository']}:")


def test_artifact_hub_knows_where_the_chart_comes_from() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    source = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    assert chart["home"] == source
    assert chart["sources"] == [source]
    assert chart["maintainers"][0].keys() == {"name", "url"}
    owner = source.removeprefix("https://github.com/")
    assert chart["icon"].startswith(f"https://raw.githubusercontent.com/{owner}/main/")
    assert (ROOT / chart["icon"].partition("/main/")[2]).read_text().startswith("<svg ")
    for link in yaml.safe_load(chart["annotations"]["artifacthub.io/links"]):
        assert (ROOT / link["url"].removeprefix(f"{source}/blob/main/")).is_file(), link
    assert yaml.safe_load(chart["annotations"]["artifacthub.io/changes"])


def test_artifact_hub_knows_the_kinds_of_the_repository() -> None:
    from tubepost_api.compile import compile_manifests
    from tubepost_api.crd import KINDS
    from tubepost_api.problems import Manifest

    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    assert {item["kind"] for item in yaml.safe_load(annotations["artifacthub.io/crds"])} == set(KINDS)
    examples = yaml.safe_load(annotations["artifacthub.io/crdsExamples"])
    result = compile_manifests([Manifest("Chart.yaml", index, item) for index, item in enumerate(examples)])
    assert result.config is not None, result.problems
