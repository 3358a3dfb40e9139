"""From documents to models: all checks that need one object only."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tubepost_api.crd import KINDS
from tubepost_api.fields import PROBLEM_TYPE
from tubepost_api.problems import Manifest, Problem, ProblemCode
from tubepost_api.resource import API_VERSION, GROUP, Resource
from tubepost_api.rules import violations

_CORE_KINDS = ("Secret", "ConfigMap")


@dataclass(frozen=True, slots=True)
class Loaded:
    """An object of our API group that is valid on its own."""

    origin: str
    resource: Resource

    def problem(
        self,
        severity: Literal["error", "warning"],
        field: str,
        message: str,
        remedy: str,
        *,
        absent_secret: str = "",
        code: ProblemCode = ProblemCode.OTHER,
    ) -> Problem:
        """A problem of this object; `absent_secret` names a Secret that is not there."""
        metadata = self.resource.metadata
        return Problem(
            severity,
            self.origin,
            self.resource.kind,
            metadata.namespace,
            metadata.name,
            field,
            message,
            remedy,
            ProblemCode.SECRET_NOT_FOUND if absent_secret else code,
            absent_secret,
        )


@dataclass(slots=True)
class Inventory:
    """Everything that the manifests hold.

    `objects` are by kind, namespace and name. `declared` holds the same keys, and those of objects that are
    not valid: a reference to one of them is not a second mistake. `secrets` maps namespace and name to the
    keys of each Secret, `config_maps` to the text by key of each ConfigMap.
    """

    objects: dict[tuple[str, str, str], Loaded] = field(default_factory=dict)
    declared: dict[tuple[str, str, str], str] = field(default_factory=dict)
    secrets: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    config_maps: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def names(self, kind: str, namespace: str) -> list[str]:
        """Names of the declared objects of a kind in a namespace."""
        return [n for k, ns, n in self.declared if (k, ns) == (kind, namespace)]

    def of_kind(self, kind: str) -> list[Loaded]:
        """The valid objects of a kind, as they were declared."""
        return [loaded for (k, _, _), loaded in self.objects.items() if k == kind]


def read_manifests(manifests: Iterable[Manifest]) -> Inventory:
    """Read all documents; what is not of our group is left alone, but for Secrets and ConfigMaps."""
    inventory = Inventory()
    for manifest in manifests:
        _read(manifest, inventory)
    return inventory


def suggestion(word: str, choices: Iterable[str]) -> str | None:
    """The choice that was probably meant, None where nothing is near."""
    by_lower = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[near[0]] if near else None


def _read(manifest: Manifest, inventory: Inventory) -> None:
    document = manifest.document
    version, kind = document.get("apiVersion"), document.get("kind")
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    name, namespace = metadata.get("name"), metadata.get("namespace") or "default"

    def report(path: str, message: str, remedy: str) -> None:
        known_kind = kind if isinstance(kind, str) else f"document {manifest.index + 1}"
        known_name = name if isinstance(name, str) else ""
        inventory.problems.append(
            Problem("error", manifest.origin, known_kind, str(namespace), known_name, path, message, remedy)
        )

    if not isinstance(kind, str) or not isinstance(version, str):
        missing = "kind" if not isinstance(kind, str) else "apiVersion"
        report(missing, "is missing or not a string", f"set apiVersion: {API_VERSION} and one of our kinds")
        return
    if version == "v1" and kind in _CORE_KINDS:
        if kind == "Secret" and isinstance(name, str):
            inventory.secrets[str(namespace), name] = _secret_keys(document)
        if kind == "ConfigMap" and isinstance(name, str):
            inventory.config_maps[str(namespace), name] = _texts(document)
        return
    group = version.rpartition("/")[0]
    if group != GROUP:
        if kind in KINDS:
            report("apiVersion", f"{version!r} is not the API version of {kind}", f"write {API_VERSION}")
        return
    if version != API_VERSION:
        report("apiVersion", f"there is no version {version!r}", f"write {API_VERSION}")
        return
    if kind not in KINDS:
        meant = suggestion(kind, KINDS)
        remedy = f"did you mean {meant}?" if meant else f"the kinds are {', '.join(KINDS)}"
        report("kind", f"{GROUP} has no kind {kind!r}", remedy)
        return
    if not isinstance(name, str) or not name:
        report("metadata.name", "is missing", "give the object a name")
        return
    key = (kind, str(namespace), name)
    if key in inventory.declared:
        report(
            "metadata.name", f"is declared twice, first in {inventory.declared[key]}", "remove or rename one"
        )
        return
    inventory.declared[key] = manifest.origin
    try:
        text = json.dumps(_without_nulls(document))
        resource = KINDS[kind].model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False)
        for details in found:
            if not _only_follows(details, found):
                report(*_explain(KINDS[kind], details))
        return
    except (TypeError, ValueError, RecursionError) as error:
        report("", f"cannot be written as JSON ({error})", "use strings, numbers, lists and mappings only")
        return
    broken = list(violations(resource, ""))
    for violation in broken:
        report(violation.path, violation.rule.message, violation.rule.remedy)
    if not broken:
        inventory.objects[key] = Loaded(manifest.origin, resource)


def _secret_keys(document: Mapping[str, Any]) -> frozenset[str]:
    keys: set[str] = set()
    for part in ("data", "stringData"):
        values = document.get(part)
        if isinstance(values, Mapping):
            keys.update(str(key) for key in values)
    return frozenset(keys)


def _texts(document: Mapping[str, Any]) -> Mapping[str, str]:
    data = document.get("data")
    if not isinstance(data, Mapping):
        return {}
    return {str(key): value for key, value in data.items() if isinstance(value, str)}


def _without_nulls(value: Any) -> Any:
    # The API server drops them as well, before it fills in defaults.
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_without_nulls(item) for item in value]
    return value


def _path(location: Sequence[int | str]) -> str:
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return path


def _only_follows(details: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """Whether pydantic calls a list too short just because it did not count an item with a fault."""
    location = details["loc"]
    return details["type"] == "too_short" and any(
        other["loc"][: len(location)] == location and len(other["loc"]) > len(location) for other in found
    )


def _explain(model: type[BaseModel], details: ErrorDetails) -> tuple[str, str, str]:
    """Path, message and remedy of one of pydantic's errors."""
    location, context = details["loc"], details.get("ctx", {})
    kind = details["type"]
    path = _path(location)
    if kind == PROBLEM_TYPE:
        return path, context["message"], context["remedy"]
    if kind == "missing":
        found = _field(model, location)
        about = (found.description or "").split(". ")[0].strip().rstrip(".") if found else ""
        return path, "is required", f"set it ({_one_line(about)})" if about else "set it"
    if kind == "extra_forbidden":
        parent = _model(model, location[:-1])
        fields = [f.alias or n for n, f in parent.model_fields.items()] if parent else []
        meant = suggestion(str(location[-1]), fields)
        remedy = f"did you mean {meant}?" if meant else f"the fields here are {', '.join(fields)}"
        return path, "unknown field", remedy
    if kind in {"literal_error", "enum"}:
        value = repr(details["input"])[:80]
        return path, f"{value} is not a valid value", f"write {context['expected']}"
    if kind == "too_short":
        return path, "is empty", "give at least one"
    if kind == "too_long":
        return path, f"has more than {context['max_length']} items", "give fewer"
    limits = {"greater_than_equal": ("ge", "less"), "less_than_equal": ("le", "more")}
    if kind in limits:
        key, word = limits[kind]
        return (
            path,
            f"is {word} than {context[key]}",
            f"write {context[key]} or {'more' if key == 'ge' else 'less'}",
        )
    wanted = _TYPES.get(kind)
    if wanted:
        return path, f"is not {wanted[0]}", wanted[1]
    return path, _one_line(details["msg"]), "see the reference of the custom resources"


_TYPES = {
    "string_type": ("a string", "put it in quotes"),
    "int_type": ("a whole number", "write a number without quotes"),
    "int_from_float": ("a whole number", "write a number without a fraction"),
    "bool_type": ("true or false", "write true or false without quotes"),
    "tuple_type": ("a list", "write a list: every item on a line of its own, after a hyphen"),
    "model_type": ("a mapping", "write the fields below it, indented"),
    "model_attributes_type": ("a mapping", "write the fields below it, indented"),
}


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _models(annotation: Any) -> Any:
    """What remains of a field's type without None, lists and annotations."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _models(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        return _models(next(a for a in get_args(annotation) if a is not types.NoneType))
    if origin is tuple:
        return _models(get_args(annotation)[0])
    return annotation


def _model(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel] | None:
    current: Any = model
    for step in location:
        if isinstance(step, int):
            continue
        found = _own(current, step)
        if found is None:
            return None
        current = _models(found.annotation)
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _own(model: Any, step: str) -> FieldInfo | None:
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return None
    return next((f for n, f in model.model_fields.items() if step == (f.alias or n)), None)


def _field(model: type[BaseModel], location: Sequence[int | str]) -> FieldInfo | None:
    parent = _model(model, location[:-1])
    return _own(parent, str(location[-1])) if parent else None
