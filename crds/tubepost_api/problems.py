"""Manifests, and what can be wrong with them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Manifest:
    """One document as it was read: `origin` is a file (or wherever it came from), `index` counts from 0."""

    origin: str
    index: int
    document: Mapping[str, Any]


class ProblemCode(enum.Enum):
    """Kinds of problems that a program treats in a way of their own."""

    OTHER = enum.auto()
    """Any other: programs only print it."""
    SECRET_NOT_FOUND = enum.auto()
    """Secret `Problem.secret` is not among what was read; it may exist elsewhere."""
    CONFIG_MAP_NOT_FOUND = enum.auto()
    """A ConfigMap that is named is not among what was read."""
    CONFIG_MAP_KEY_MISSING = enum.auto()
    """A ConfigMap that is named lacks its key."""
    POLICY_INVALID = enum.auto()
    """The module of hooks cannot be used."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a manifest, for the person who wrote it.

    `kind`, `namespace` and `name` are empty where the document does not tell; `field` is a path such as
    `spec.domains[0].name`, empty for the object as a whole. `message` and `remedy` are sentences without
    their full stop. A warning keeps nothing from working.
    """

    severity: Literal["error", "warning"]
    origin: str
    kind: str
    namespace: str
    name: str
    field: str
    message: str
    remedy: str
    code: ProblemCode = ProblemCode.OTHER
    secret: str = ""

    def __str__(self) -> str:
        """One line, without the severity: where, what is wrong, what to do.

        Names of fields and objects are a user's: what cannot be printed in them is escaped.
        """
        named = f"{self.namespace}/{self.name}" if self.name else "without a name"
        whose = f"{self.kind} {named}" if self.kind else ""
        place = [part for part in (self.origin, whose, self.field) if part]
        end = "" if self.remedy.endswith("?") else "."
        line = f"{': '.join((*place, self.message))}. Remedy: {self.remedy}{end}"
        if line.isprintable():
            return line
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
