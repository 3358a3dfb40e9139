from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic.alias_generators import to_camel

from tests.api.cases import CASES
from tubepost_api.crd import KINDS
from tubepost_api.problems import Manifest
from tubepost_api.read import read_manifests
from tubepost_api.resource import Resource
from tubepost_api.rules import Rule, SpecModel


def models(model: type[SpecModel] = Resource) -> Iterator[type[SpecModel]]:
    for child in SpecModel.__subclasses__() + Resource.__subclasses__():
        if child is not Resource:
            yield child


RULES = [(model, rule) for model in models() for rule in model.rules]


@pytest.mark.parametrize(("document", "path"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_valid_or_blamed_at_the_right_place(document: dict[str, Any], path: str | None) -> None:
    problems = read_manifests([Manifest("a.yaml", 0, document)]).problems
    assert [problem.field for problem in problems] == ([] if path is None else [path])
    for problem in problems:
        assert problem.severity == "error"
        assert problem.remedy
        assert "\n" not in str(problem)


def test_every_rule_is_broken_by_a_case() -> None:
    found = {
        problem.message
        for _, document, _ in CASES
        for problem in read_manifests([Manifest("a.yaml", 0, document)]).problems
    }
    assert [rule.message for _, rule in RULES if rule.message not in found] == []


@pytest.mark.parametrize(("model", "rule"), RULES, ids=lambda value: getattr(value, "__name__", ""))
def test_rules_name_fields_that_exist(model: type[SpecModel], rule: Rule) -> None:
    fields = {info.alias or name for name, info in model.model_fields.items()}
    assert set(re.findall(r"\bself\.(\w+)", rule.expression)) <= fields
    if rule.field:
        assert rule.field in fields
    assert rule.expression.count("(") == rule.expression.count(")")


def test_no_field_can_be_written_in_python_spelling() -> None:
    for model in models():
        for name, info in model.model_fields.items():
            # The name of a resource is Kubernetes' own.
            resource = {"ephemeral_storage": "ephemeral-storage"}.get(name)
            assert info.alias == (resource or to_camel(name.removesuffix("_")))


def test_kinds_are_what_they_say() -> None:
    assert {kind: model.names.kind for kind, model in KINDS.items()} == {kind: kind for kind in KINDS}
