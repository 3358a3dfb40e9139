from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.cases import CASES
from tests.api.manifests import logger, push_domain, route, secret
from tubepost_api.compile import compile_manifests
from tubepost_api.problems import Manifest
from tubepost_api.read import read_manifests, suggestion

VALID = [document for _, document, path in CASES if path is None]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a document with each of its keys."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found.append((value, key))
        found += places(item)
    return found


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-10, 100_000)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["5s", "0s", "apns", "https://a", "Production", "1.2", "a", "%t", "[a", "64Ki"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(VALID), st.data())
def test_whatever_stands_somewhere_it_is_a_problem_or_a_config(
    document: dict[str, Any], data: st.DataObject
) -> None:
    changed = copy.deepcopy(document)
    container, key = data.draw(st.sampled_from(places(changed)))
    container[key] = data.draw(ANYTHING)
    documents = [changed, push_domain("other"), route("other"), logger("other"), secret()]
    manifests = [Manifest("a.yaml", index, item) for index, item in enumerate(documents)]
    result = compile_manifests(manifests, push_domain="default/alerts")
    errors = [problem for problem in result.problems if problem.severity == "error"]
    assert (result.config is None) == bool(errors)
    for problem in result.problems:
        assert problem.message
        assert problem.remedy
        assert "\n" not in str(problem)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("listner", "listener"),
        ("LISTENER", "listener"),
        ("start_tls", "startTls"),
        ("queue", None),
        ("", None),
    ],
)
def test_suggestions(word: str, meant: str | None) -> None:
    assert suggestion(word, ["listener", "startTls", "routes"]) == meant


def test_an_inventory_knows_names_and_secrets() -> None:
    documents = [push_domain(), route("a"), route("b"), route("c", "other"), secret("s", keys=("k",))]
    inventory = read_manifests([Manifest("a.yaml", index, item) for index, item in enumerate(documents)])
    assert inventory.names("ApnRoute", "default") == ["a", "b"]
    assert inventory.secrets == {("default", "s"): frozenset({"k"})}
    assert [loaded.resource.metadata.name for loaded in inventory.of_kind("ApnRoute")] == ["a", "b", "c"]
    assert inventory.problems == []


def test_cyclic_documents_end() -> None:
    cyclic = push_domain()
    cyclic["spec"]["self"] = cyclic
    (problem,) = read_manifests([Manifest("a.yaml", 0, cyclic)]).problems
    assert problem.severity == "error"
