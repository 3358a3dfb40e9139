"""Domains of Momentum's configuration as a PushDomain names them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import re2

from tubepost_api.patterns import check_pattern
from tubepost_importer.scopes import Node, Resolution, is_regex

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_ADDRESS = re.compile(r"\[.*\]|[0-9.]+|[0-9a-f]*:[0-9a-f:.]*", re.IGNORECASE)
_LONGEST: Final = 253


class Unusable(ValueError):
    """A domain that no PushDomain can name; the text says why, and what to do."""


def domain_name(text: str) -> str:
    """The exact domain, as a PushDomain has it. Raises Unusable."""
    if _ADDRESS.fullmatch(text):
        raise Unusable("it is an IP address: a PushDomain serves names; let senders use a name")
    name = text.lower().rstrip(".")
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError as error:
            raise Unusable("it is no domain: write it in its xn-- form") from error
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise Unusable("it is no domain: letters, digits, hyphens, underscores and dots")
    return name


def domain_pattern(text: str) -> str:
    """A Momentum expression, which is searched for, as a pattern, which has to match the whole domain.

    Raises:
        Unusable: it needs what RE2 has not (lookaround, backreferences), or is no expression.
    """
    body = text.removesuffix("i") if text.endswith("/i") else text
    body = body[1:-1]
    starts = body.startswith("^")
    ends = body.endswith("$") and not _escaped(body, len(body) - 1)
    if _alternates(body):
        inner, starts, ends = f"(?:{body})", False, False
    else:
        inner = body[1 if starts else 0 : len(body) - 1 if ends else None]
    pattern = f"{'' if starts else '.*'}{inner}{'' if ends else '.*'}"
    # Domains are compared in lower case.
    if re.search("[A-Z]", re.sub(r"\\.", "", pattern)):
        pattern = f"(?i){pattern}"
    if len(pattern) > _LONGEST or re.search(r"\s", pattern) or not inner:
        raise Unusable(
            "as a pattern it is empty, too long or has white space: write one in spec.domains[].pattern"
        )
    try:
        check_pattern(pattern)
        compiled(pattern)
    except ValueError as error:
        raise Unusable(f"{error}; write a pattern in RE2 syntax in spec.domains[].pattern") from error
    return pattern


def compiled(pattern: str) -> Any:
    """The pattern for RE2. Raises ValueError."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression in RE2 syntax") from error


def _escaped(text: str, index: int) -> bool:
    count = 0
    while index - 1 - count >= 0 and text[index - 1 - count] == "\\":
        count += 1
    return count % 2 == 1


def _alternates(body: str) -> bool:
    """Whether there is a | outside of groups and classes."""
    depth, in_class, skip = 0, False, False
    for character in body:
        if skip:
            skip = False
        elif character == "\\":
            skip = True
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and depth <= 0:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Entry:
    """A domain or a pattern, and its stanzas, the most specific first; `own` are the ones that name it."""

    name: str | None
    pattern: str | None
    stanzas: tuple[Node, ...]
    own: tuple[Node, ...]


def entries(resolution: Resolution, unusable: dict[int, str]) -> list[Entry]:
    """All domains, the exact ones first; why a stanza (by `id`) cannot be used goes into `unusable`."""
    expressions: list[tuple[Node, str, Any]] = []
    names: dict[str, list[Node]] = {}
    for container in resolution.containers:
        for node in container.of_kind("domain"):
            try:
                if is_regex(node.name):
                    pattern = domain_pattern(node.name)
                    expressions.append((node, pattern, compiled(pattern)))
                else:
                    names.setdefault(domain_name(node.name), []).append(node)
            except Unusable as error:
                unusable[id(node)] = str(error)
    found = [
        Entry(name, None, _of_name(resolution, name, own, expressions), tuple(own))
        for name, own in names.items()
    ]
    patterns: dict[str, list[Node]] = {}
    for node, pattern, _ in expressions:
        patterns.setdefault(pattern, []).append(node)
    return found + [Entry(None, pattern, tuple(own), tuple(own)) for pattern, own in patterns.items()]


def _of_name(
    resolution: Resolution, name: str, own: Sequence[Node], expressions: Sequence[tuple[Node, str, Any]]
) -> tuple[Node, ...]:
    """Stanzas for an exact domain: in each container its own, then the expressions that match."""
    found: list[Node] = []
    for container in resolution.containers:
        inside = {id(node) for node in container.children.values()}
        found += [node for node in own if id(node) in inside]
        found += [node for node, _, regex in expressions if id(node) in inside and regex.fullmatch(name)]
    return tuple(found)
