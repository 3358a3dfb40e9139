"""YAML and JSON files to documents, read strictly: typing errors are reported, not guessed at.

PyYAML alone accepts duplicate keys, turns dates and 1:30 into other values, expands a few lines of aliases to
gigabytes, and takes minutes for one long number. This module does not. What it returns is made of the values
that JSON has: objects, lists, strings that can be written as UTF-8, finite numbers, booleans and null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator
from typing import Any

import yaml

MAX_DEPTH = 64
"""Levels of nesting; real manifests have about ten."""
MAX_NODES = 200_000
"""Values in one file; an alias counts as all the values that it expands to."""
MAX_DIGITS = 100
"""Characters of a number, underscores and zeros included: reading one takes quadratic time."""
MAX_SHOWN = 200
"""Characters of a fault's text: it may quote the file."""


class DocumentError(ValueError):
    """A file that cannot be read. `line` and `column` count from 1, and are 0 if unknown."""

    def __init__(self, message: str, remedy: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message if len(message) <= MAX_SHOWN else f"{message[:MAX_SHOWN]}...")
        self.remedy = remedy
        self.line = line
        self.column = column


class _Loader(yaml.CSafeLoader):
    """PyYAML's safe loader, without dates and without duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            mark = key.start_mark
            if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEY_TAGS:
                raise DocumentError(
                    "a key is not a string", "put the key in quotes", mark.line + 1, mark.column + 1
                )
            if key.value in seen:
                raise DocumentError(
                    f"duplicate key {_quoted(key.value)}",
                    "keep one of the two",
                    mark.line + 1,
                    mark.column + 1,
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
# Kubernetes reads a date as the text that it is.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor(_TIMESTAMP, lambda _, node: str(node.value))


def _integer(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> int | str:
    text = str(loader.construct_scalar(node))
    _check_digits(text, node)
    if ":" in text:
        # 1:30 is 90 in YAML 1.1 only. Kubernetes reads it as the text that it is.
        return text
    return int(loader.construct_yaml_int(node))


def _fraction(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> float | str:
    text = str(loader.construct_scalar(node))
    _check_digits(text, node)
    if ":" in text:
        return text
    value = float(loader.construct_yaml_float(node))
    if not math.isfinite(value):
        raise _at(node, f"{text} is not a number that JSON has", "write a number, or put it in quotes")
    return value


def _check_digits(text: str, node: yaml.Node) -> None:
    if len(text) > MAX_DIGITS and ":" not in text:
        raise _at(node, f"a number has {len(text)} characters", "write a number, or put the text in quotes")


def _foreign(_: yaml.CSafeLoader, node: yaml.Node) -> None:
    kind = node.tag.rpartition(":")[2]
    raise _at(node, f"!!{kind} is not allowed in a manifest", "write a string, a list or a mapping")


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _fraction)
for _kind in ("binary", "omap", "pairs", "set"):
    # Bytes, tuples and sets: nothing that reads manifests knows them.
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _foreign)


def read_yaml(data: bytes) -> list[tuple[int, Any]]:
    """All documents of a YAML text with the line (from 1) that each begins on; empty ones are left out.

    Raises:
        DocumentError: not YAML, or YAML that a manifest must not use.
    """
    try:
        _measure(data)
        return list(_documents(data))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise DocumentError(f"is not YAML: {what}", "fix the syntax", line, column) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DocumentError("is not UTF-8 text", "save it as UTF-8") from error
    except (ValueError, LookupError, RecursionError, OverflowError) as error:
        if isinstance(error, DocumentError):
            raise
        raise DocumentError("contains a value that cannot be read", "put the value in quotes") from error


def _documents(data: bytes) -> Iterator[tuple[int, Any]]:
    loader = _Loader(data)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            document = loader.construct_document(node)
            if document is not None:
                yield node.start_mark.line + 1, document
    finally:
        loader.dispose()


def _measure(data: bytes) -> None:
    """Check the size by walking over the parser's events, in constant memory, before anything is built."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(data, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.DocumentStartEvent):
            sizes = {}
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise _at(
                    event, "an alias refers to an undefined or unfinished anchor", "write the value out"
                )
            total += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
            if len(open_nodes) > MAX_DEPTH:
                raise _at(event, f"is nested deeper than {MAX_DEPTH} levels", "make it flatter")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before
        if total > MAX_NODES:
            raise _at(event, f"contains more than {MAX_NODES} values", "split it into several files")


def _at(event: yaml.Event | yaml.Node, message: str, remedy: str) -> DocumentError:
    mark = event.start_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    return DocumentError(message, remedy, line, column)


def read_json(data: bytes) -> list[tuple[int, Any]]:
    """The one document of a JSON text.

    Raises:
        DocumentError: not JSON, an object with a duplicate key, or a value that a manifest must not have.
    """
    try:
        text = data.decode(json.detect_encoding(data))
        value = json.loads(
            text,
            object_pairs_hook=_pairs,
            parse_constant=_no_constant,
            parse_int=_json_integer,
            parse_float=_json_fraction,
        )
    except json.JSONDecodeError as error:
        raise DocumentError(
            f"is not JSON: {error.msg}", "fix the syntax", error.lineno, error.colno
        ) from error
    except UnicodeDecodeError as error:
        raise DocumentError("is not UTF-8 text", "save it as UTF-8") from error
    except RecursionError as error:
        raise DocumentError("is nested too deeply", "make it flatter") from error
    _check_values(value)
    return [(1, value)]


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise DocumentError(f"duplicate key {_quoted(key)}", "keep one of the two")
        result[key] = value
    return result


def _no_constant(name: str) -> None:
    raise DocumentError(f"{name} is not JSON", "write a number")


def _json_integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise DocumentError(f"a number has {len(text)} characters", "write a smaller number")
    return int(text)


def _json_fraction(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise DocumentError(f"the number {text[:24]} is too large", "write a smaller number")
    return value


def _check_values(value: object) -> None:
    """Apply the bounds of YAML to JSON, level by level, and refuse text that cannot be written as UTF-8."""
    level = [value]
    total = depth = 0
    while level:
        total += len(level)
        if total > MAX_NODES:
            raise DocumentError(f"contains more than {MAX_NODES} values", "split it into several files")
        if depth > MAX_DEPTH:
            raise DocumentError(f"is nested deeper than {MAX_DEPTH} levels", "make it flatter")
        depth += 1
        below: list[object] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                for key in item:
                    _check_text(key)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below


def _check_text(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        # An escape such as \ud83d without its second half.
        raise DocumentError(
            f"a string has half of a character: {_quoted(text)}", "write both halves, or the character itself"
        ) from error


def _quoted(text: str) -> str:
    return ascii(text) if len(text) <= 64 else ascii(text[:64]) + "..."
