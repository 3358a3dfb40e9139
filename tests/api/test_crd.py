from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tubepost_api.crd import KINDS, crd

ROOT = Path(__file__).parents[2]
Node = dict[str, Any]


def walk(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if "items" in node:
        yield from walk(node["items"], f"{path}[]")


def schema_of(kind: str) -> Node:
    schema: Node = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


NODES = [(f"{kind}{path}", node) for kind in KINDS for path, node in walk(schema_of(kind))]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crd_generator", ROOT / "scripts/generators/crds.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_as_generated() -> None:
    outputs = generator().outputs()
    assert sorted(outputs) == sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("crds/*.yaml"))
    for path, text in outputs.items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, "run: make generate"
        assert yaml.safe_load(text)["metadata"]["name"] == Path(path).stem
        assert "&id" not in text


def test_the_crds_can_be_written_elsewhere(tmp_path: Path) -> None:
    generator().write_crds(tmp_path)
    assert len(list(tmp_path.iterdir())) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_subresources(kind: str) -> None:
    spec = crd(kind)["spec"]
    version = spec["versions"][0]
    assert spec["group"] == "tubepost.io"
    assert spec["scope"] == "Namespaced"
    assert spec["names"]["categories"] == ["tubepost"]
    assert spec["names"]["plural"] == spec["names"]["singular"] + "s"
    assert version["name"] == "v1alpha1"
    assert version["subresources"]["status"] == {}
    assert ("scale" in version["subresources"]) == (kind == "PushDomain")
    assert version["additionalPrinterColumns"][-1]["name"] == "Age"
    # Short names of Kubernetes' own kinds.
    core = {
        "cm",
        "cs",
        "ds",
        "ep",
        "ev",
        "ing",
        "limits",
        "no",
        "ns",
        "pdb",
        "po",
        "pv",
        "pvc",
        "quota",
        "rc",
        "rs",
        "sa",
        "sc",
        "sts",
        "svc",
        "cj",
        "hpa",
        "deploy",
        "crd",
        "pc",
        "netpol",
        "csr",
    }
    assert not core & set(spec["names"]["shortNames"])


def test_short_names_are_distinct() -> None:
    short = [name for kind in KINDS for name in crd(kind)["spec"]["names"]["shortNames"]]
    assert len(short) == len(set(short))


@pytest.mark.parametrize("kind", KINDS)
def test_every_printer_column_leads_somewhere(kind: str) -> None:
    paths = {path for path, _ in walk(schema_of(kind))}
    for column in crd(kind)["spec"]["versions"][0]["additionalPrinterColumns"]:
        path = column["jsonPath"].split("[")[0]
        assert path in paths or path == ".metadata.creationTimestamp"


ALLOWED = {
    "type",
    "format",
    "description",
    "default",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "required",
    "properties",
    "additionalProperties",
    "maxProperties",
    "items",
}


def test_the_schemas_are_structural() -> None:
    for path, node in NODES:
        extensions = {key for key in node if key.startswith("x-kubernetes-")}
        assert set(node) - extensions <= ALLOWED, path
        assert "type" in node or node.get("x-kubernetes-int-or-string"), path
        assert not (node.get("type") == "object" and "items" in node), path
        assert set(node.get("required", [])) <= set(node.get("properties", {})), path
        assert node.get("default", 0) is not None, path


def test_every_field_is_described() -> None:
    for path, node in NODES:
        if not path.endswith(("[]", ".metadata")):
            assert node.get("description", "").endswith("."), path
            assert "\n" not in node["description"], path


def test_everything_is_bounded() -> None:
    for path, node in NODES:
        if node.get("type") == "array":
            assert 0 < node["maxItems"] <= 256, path
        top_level = path.count(".") == 1
        if node.get("type") == "string" and "enum" not in node and not top_level and "format" not in node:
            assert 0 < node["maxLength"] <= 32_768, path
        if node.get("type") == "integer" and ".spec" in path and "enum" not in node:
            assert {"minimum", "maximum"} <= set(node), path


def test_nothing_in_a_spec_may_be_empty() -> None:
    for path, node in NODES:
        if ".spec" in path and node.get("type") == "string" and "enum" not in node:
            assert node["minLength"] >= 1, path


def defaulted(node: Node, value: Any) -> Any:
    """What the API server makes of a value: nested defaults are filled in."""
    if isinstance(value, dict):
        result = dict(value)
        for name, child in node.get("properties", {}).items():
            if name not in result and "default" in child:
                result[name] = child["default"]
            if name in result:
                result[name] = defaulted(child, result[name])
        return result
    if isinstance(value, list):
        return [defaulted(node["items"], item) for item in value]
    return value


SMALLEST = {
    "PushDomain": {"domains": [{"name": "a.example"}], "routes": ["a"]},
    "ApnRoute": {"environment": "Production", "certificate": {"secretName": "a"}},
    "ApnLogger": {},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_fills_in_what_the_models_fill_in(kind: str) -> None:
    import json

    spec = SMALLEST[kind]
    on_server = defaulted(schema_of(kind)["properties"]["spec"], spec)
    model = KINDS[kind].model_validate_json(
        json.dumps(
            {"apiVersion": "tubepost.io/v1alpha1", "kind": kind, "metadata": {"name": "a"}, "spec": spec}
        )
    )
    here = model.model_dump(mode="json", by_alias=True, exclude_none=True)["spec"]
    # An absent list and an empty one mean the same.
    assert on_server == without_empty(here)


def without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_empty(item) for key, item in value.items() if item != []}
    return value


def test_rules_on_an_object_with_a_default_see_their_fields_there() -> None:
    # The server checks a default against the object's rules before it fills in nested defaults.
    for path, node in NODES:
        if "x-kubernetes-validations" in node and "default" in node and "properties" in node:
            assert node["default"] == {
                name: child["default"] for name, child in node["properties"].items() if "default" in child
            }, path
