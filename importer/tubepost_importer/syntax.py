"""What a configuration file consists of, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from tubepost_importer.source import Place


@dataclass(frozen=True, slots=True)
class Scalar:
    """A word or a quoted string."""

    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Array:
    """`( "a" "b" )`."""

    items: tuple[Value, ...]
    place: Place

    def texts(self) -> tuple[str, ...]:
        """Its words and strings; what is neither is left out."""
        return tuple(item.text for item in self.items if isinstance(item, Scalar))


@dataclass(frozen=True, slots=True)
class Table:
    """`[ key = value ... ]`, Momentum's dictionary."""

    options: tuple[Option, ...]
    place: Place


Value: TypeAlias = Scalar | Array | Table


@dataclass(frozen=True, slots=True, eq=False)
class Option:
    """`name = value`; `name` is in lower case, since names of options are not case-sensitive."""

    name: str
    value: Value
    place: Place
    last_line: int


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """`name "argument" { ... }`; `name` is in lower case. Lines are those of its braces."""

    name: str
    arguments: tuple[str, ...]
    body: tuple[Statement, ...]
    place: Place
    open_line: int
    last_line: int

    @property
    def argument(self) -> str:
        """Its first argument, empty where there is none."""
        return self.arguments[0] if self.arguments else ""


@dataclass(frozen=True, slots=True, eq=False)
class Include:
    """`include "path"`, or `readonly_include "path"`."""

    path: str
    place: Place
    last_line: int


@dataclass(frozen=True, slots=True, eq=False)
class Elision:
    """`...`, by which manuals say that something is left out."""

    place: Place
    last_line: int


Statement: TypeAlias = Option | Scope | Include | Elision
