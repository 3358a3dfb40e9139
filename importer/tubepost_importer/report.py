"""What became of every line."""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tubepost_importer.files import Configuration, everything
from tubepost_importer.secrecy import concealed
from tubepost_importer.source import Fault
from tubepost_importer.syntax import Array, Include, Option, Scalar, Scope, Statement, Value


class Verdict(enum.StrEnum):
    """What became of a line, the worst last."""

    NO_COUNTERPART = "NoCounterpart"
    """It means nothing here; the note says why."""
    CONVERTED = "Converted"
    """It is in the manifests; `fields` say where."""
    BY_HAND = "ByHand"
    """Somebody has to decide; the note says what. Parts may be in the manifests."""
    NOT_READ = "NotRead"
    """It cannot be read; a fault says why."""


_ORDER: Final = {verdict: number for number, verdict in enumerate(Verdict)}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a manifest and its value."""

    kind: str
    name: str
    path: str
    value: str

    def __str__(self) -> str:
        """KIND/NAME PATH: VALUE."""
        return f"{self.kind}/{self.name} {self.path}: {self.value}"


@dataclass(frozen=True, slots=True)
class Line:
    """A line, or lines that belong together, and what became of them. `source` is its text, on one line."""

    file: str
    first: int
    last: int
    source: str
    verdict: Verdict
    fields: tuple[Field, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Entry:
    verdict: Verdict
    fields: dict[Field, None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)


class Account:
    """Collects what becomes of statements. What is said twice is kept once; the worst verdict stays."""

    def __init__(self) -> None:
        self._entries: dict[Statement, _Entry] = {}

    def __contains__(self, statement: Statement) -> bool:
        """Whether something has been said of it."""
        return statement in self._entries

    def _entry(self, statement: Statement, verdict: Verdict, note: str) -> _Entry:
        entry = self._entries.setdefault(statement, _Entry(verdict))
        if _ORDER[verdict] > _ORDER[entry.verdict]:
            entry.verdict = verdict
        if note:
            entry.notes[note] = None
        return entry

    def converted(self, statement: Statement, *fields: Field, note: str = "") -> None:
        """It is in the manifests."""
        self._entry(statement, Verdict.CONVERTED, note).fields.update(dict.fromkeys(fields))

    def none(self, statement: Statement, why: str) -> None:
        """It has no counterpart."""
        self._entry(statement, Verdict.NO_COUNTERPART, why)

    def by_hand(self, statement: Statement, what: str) -> None:
        """Somebody has to decide."""
        self._entry(statement, Verdict.BY_HAND, what)

    def all_of(self, scope: Scope, why: str) -> None:
        """A scope and what is in it have no counterpart, where nothing has been said of them."""
        if scope not in self:
            self.none(scope, why)
        for statement in scope.body:
            if isinstance(statement, Scope):
                self.all_of(statement, f"part of {_title(scope)}")
            elif statement not in self:
                self.none(statement, f"part of {_title(scope)}")

    def lines(self, configuration: Configuration) -> tuple[Line, ...]:
        """Every line that holds more than a comment, file by file, in the order of the files."""
        covered: dict[str, set[int]] = {name: set() for name in configuration.files}
        found: dict[str, list[Line]] = {name: [] for name in configuration.files}
        statements = everything(configuration)
        crowded = Counter((name, statement.place.line) for name, statement in statements)
        for name, statement in statements:
            first, last = statement.place.line, statement.last_line
            if isinstance(statement, Scope):
                covered[name].add(last)
                last = statement.open_line
            covered[name].update(range(first, last + 1))
            if crowded[name, statement.place.line] > 1:
                text = shown(statement)
            else:
                text = concealed(configuration.files[name].text(first, last), statement)
            entry = self._entries.get(statement)
            verdict = entry.verdict if entry else Verdict.BY_HAND
            notes = tuple(entry.notes) if entry else (UNKNOWN,)
            fields = tuple(entry.fields) if entry else ()
            found[name].append(Line(name, first, last, text, verdict, fields, notes))
        for name, line in _not_read(configuration, covered):
            text = concealed(configuration.files[name].text(line, line), None)
            found[name].append(Line(name, line, line, text, Verdict.NOT_READ, notes=("see the errors",)))
        return tuple(line for lines in found.values() for line in sorted(lines, key=lambda line: line.first))


UNKNOWN: Final = "the importer does not know it: look whether pushes depend on it"


def _title(scope: Scope) -> str:
    return f"{scope.name} {scope.argument!r}" if scope.argument else scope.name


def _not_read(configuration: Configuration, covered: dict[str, set[int]]) -> Iterable[tuple[str, int]]:
    for name, file in configuration.files.items():
        for line in sorted(file.lines_with_tokens - covered[name]):
            yield name, line


@dataclass(frozen=True, slots=True)
class SecretNeeded:
    """A Secret that the manifests name, and the command that makes it. `keys`: each key and its file."""

    name: str
    keys: tuple[tuple[str, str], ...]
    command: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a configuration. `notes` are about all of it."""

    lines: tuple[Line, ...]
    faults: tuple[Fault, ...]
    secrets: tuple[SecretNeeded, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...] = ()

    def count(self, verdict: Verdict) -> int:
        """Lines of a verdict."""
        return sum(line.verdict is verdict for line in self.lines)


def shown(statement: Statement) -> str:
    """A statement in short, on one line, without passwords."""
    if isinstance(statement, Scope):
        return " ".join((statement.name, *(f'"{argument}"' for argument in statement.arguments)))
    if isinstance(statement, Option):
        return concealed(f"{statement.name} = {_value(statement.value)}", statement)
    return f'include "{statement.path}"' if isinstance(statement, Include) else "..."


def _value(value: Value) -> str:
    if isinstance(value, Scalar):
        return value.text if re.fullmatch(r"[A-Za-z0-9._-]+", value.text) else f'"{value.text}"'
    if isinstance(value, Array):
        return f"( {' '.join(_value(item) for item in value.items)} )"
    return "[ ... ]"
