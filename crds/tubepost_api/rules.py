"""Rules between fields: each as a CEL expression for the API server and as its twin in Python.

Both are in one value, so that the API server accepts what `tubepost validate` accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tubepost_api.naming import json_name


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule about a model.

    `expression` is CEL over `self`; `holds` decides the same about the model. `message` says what is wrong,
    `remedy` what to do. `field` is the camelCase name of the field to blame, empty for the object itself;
    `culprit` finds the place more exactly than CEL could, once the rule is known not to hold.
    """

    expression: str
    message: str
    remedy: str
    holds: Callable[[Any], bool]
    field: str = ""
    culprit: Callable[[Any], str] | None = None

    def to_schema(self) -> dict[str, str]:
        """The rule as an item of `x-kubernetes-validations`."""
        schema = {"rule": self.expression, "message": f"{self.message}; {self.remedy}"}
        if self.field:
            schema["fieldPath"] = f".{self.field}"
        return schema


@dataclass(frozen=True, slots=True)
class Transition:
    """One rule about the change of a model: a CEL expression over `self` and `oldSelf`.

    Only the API server can tell, since only it has the object from before; so there is no twin in Python.
    `message`, `remedy` and `field` are as in `Rule`.
    """

    expression: str
    message: str
    remedy: str
    field: str

    def to_schema(self) -> dict[str, str]:
        """The rule as an item of `x-kubernetes-validations`."""
        return {
            "rule": self.expression,
            "message": f"{self.message}; {self.remedy}",
            "fieldPath": f".{self.field}",
        }


class SpecModel(BaseModel):
    """Base of everything in a manifest: immutable, camelCase, no unknown fields, with rules."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=json_name,
        use_attribute_docstrings=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
    transitions: ClassVar[tuple[Transition, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core_schema))
        if cls.rules or cls.transitions:
            schema["x-kubernetes-validations"] = [
                *(rule.to_schema() for rule in cls.rules),
                *(transition.to_schema() for transition in cls.transitions),
            ]
        return schema


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that does not hold; `path` leads to the field to blame, e.g. `spec.listener.auth`."""

    path: str
    rule: Rule


def violations(model: SpecModel, path: str) -> Iterator[Violation]:
    """All rules of a model, and of the models inside it, that do not hold; outermost first."""
    for rule in model.rules:
        if not rule.holds(model):
            field = rule.culprit(model) if rule.culprit else rule.field
            yield Violation(".".join(filter(None, (path, field))), rule)
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        inner = ".".join(filter(None, (path, info.alias or name)))
        if isinstance(value, SpecModel):
            yield from violations(value, inner)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, SpecModel):
                    yield from violations(item, f"{inner}[{index}]")
