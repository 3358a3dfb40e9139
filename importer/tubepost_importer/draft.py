"""Manifests while they are made: every field with the line that it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import yaml

from tubepost_api.problems import Manifest
from tubepost_importer.report import Account, Field, shown
from tubepost_importer.source import printable
from tubepost_importer.syntax import Statement

API_VERSION: Final = "tubepost.io/v1alpha1"
Path: TypeAlias = tuple[str | int, ...]
_KINDS: Final = ("PushDomain", "ApnRoute", "ApnLogger")
_FIELDS: Final = (
    "domains",
    "routes",
    "listener",
    "acceptance",
    "queue",
    "delivery",
    "bounces",
    "loggers",
    "environment",
)
"""Kinds and fields in the order in which they are read; others follow."""
_LONGEST: Final = 100
"""Characters of a comment."""


@dataclass(slots=True)
class _Value:
    value: Any
    comment: str


class Draft:
    """Objects of our kinds. Each field that is set is accounted for."""

    def __init__(self, account: Account, namespace: str | None = None) -> None:
        self._account, self._namespace = account, namespace
        self._objects: dict[tuple[str, str], dict[Path, _Value]] = {}

    def set(
        self, kind: str, name: str, path: Path, value: Any, by: Statement | None, *, note: str = ""
    ) -> None:
        """Set a field, `spec` and below; `by` is the statement that it comes from, None for none."""
        comment = f"{by.place.file}:{by.place.line}: {shown(by)}" if by is not None else note
        fields = self._objects.setdefault((kind, name), {})
        before = fields.get(path)
        if before is None or before.value != value or not before.comment:
            fields[path] = _Value(value, comment)
        if by is not None:
            self._account.converted(by, Field(kind, name, dotted(path), plain(value)), note=note)

    def has(self, kind: str, name: str, path: Path) -> bool:
        """Whether a field, or one below it, is set."""
        return any(p[: len(path)] == path for p in self._objects.get((kind, name), {}))

    def documents(self) -> list[dict[str, Any]]:
        """The objects as documents."""
        return [self._document(kind, name, values) for kind, name, values in self._sorted()]

    def _sorted(self) -> list[tuple[str, str, dict[Path, _Value]]]:
        ranked = sorted(self._objects.items(), key=lambda item: _KINDS.index(item[0][0]))
        return [(kind, name, dict(sorted(values.items(), key=_rank))) for (kind, name), values in ranked]

    def manifests(self, origin: str) -> list[Manifest]:
        """The objects for the compiler."""
        return [Manifest(origin, index, document) for index, document in enumerate(self.documents())]

    def _document(self, kind: str, name: str, values: Mapping[Path, _Value]) -> dict[str, Any]:
        spec: dict[str | int, Any] = {}
        for path, value in values.items():
            place = spec
            for step in path[:-1]:
                place = place.setdefault(step, {})
            place[path[-1]] = value.value
        document = {"apiVersion": API_VERSION, "kind": kind, "metadata": self._metadata(name), "spec": spec}
        lists: dict[str, Any] = _with_lists(document)
        return lists

    def _metadata(self, name: str) -> dict[str, str]:
        return {"name": name, **({"namespace": self._namespace} if self._namespace else {})}

    def yaml(self, heading: str) -> str:
        """All objects as YAML, every field with its line beside it; `heading` is a comment at the head."""
        parts = ["".join(f"# {comment(line)}\n" if line else "#\n" for line in heading.splitlines())]
        for kind, name, values in self._sorted():
            comments = {("spec", *path): value.comment for path, value in values.items()}
            lines = list(_lines(self._document(kind, name, values), comments, (), 0))
            parts.append("".join(f"{line}\n" for line in lines))
        return "---\n".join(parts)


def _rank(item: tuple[Path, object]) -> int:
    field = item[0][0]
    return _FIELDS.index(field) if field in _FIELDS else len(_FIELDS)


def dotted(path: Path) -> str:
    """`spec.domains[0].name`."""
    return "spec" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def comment(text: str) -> str:
    """The text as part of a comment: on one line, bounded."""
    text = " ".join(printable(text).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def plain(value: Any) -> str:
    """A value as YAML writes it on one line."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(plain(item) for item in value)}]"
    if value == {}:
        return "{}"
    return json.dumps(value)


_SAFE = re.compile(r"[A-Za-z/][A-Za-z0-9._/-]*|[0-9]+(?:ms|s|m|h)")


def _string(text: str) -> str:
    if _SAFE.fullmatch(text) and isinstance(yaml.safe_load(text), str):
        return text
    return f'"{"".join(_escaped(character) for character in text)}"'


def _escaped(character: str) -> str:
    if character in {'"', "\\"}:
        return f"\\{character}"
    # U+FEFF is printable to Python, and a mark of the byte order to YAML.
    if character.isprintable() and character != "\ufeff":
        return character
    return f"\\U{ord(character):08x}"


def _with_lists(value: Any) -> Any:
    """Mappings by number become lists, in their order."""
    if not isinstance(value, dict):
        return list(value) if isinstance(value, tuple) else value
    if value and all(isinstance(key, int) for key in value):
        return [_with_lists(value[key]) for key in sorted(value)]
    return {key: _with_lists(item) for key, item in value.items()}


def _lines(value: Any, comments: Mapping[Path, str], path: Path, depth: int, first: str = "") -> Any:
    """Lines of a mapping. `first` stands before the first of them in the place of its indentation."""
    for key, item in value.items():
        indent, first = first or "  " * depth, ""
        here = (*path, key)
        beside = comments.get(here, "")
        beside = f"  # {comment(beside)}" if beside else ""
        if isinstance(item, dict) and item:
            yield f"{indent}{key}:{beside}"
            yield from _lines(item, comments, here, depth + 1)
        elif isinstance(item, list) and item and all(isinstance(one, dict) for one in item):
            yield f"{indent}{key}:{beside}"
            for number, one in enumerate(item):
                yield from _lines(one, comments, (*here, number), depth + 2, "  " * (depth + 1) + "- ")
        else:
            yield f"{indent}{key}: {plain(item)}{beside}"
