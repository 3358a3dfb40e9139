"""Files and what they include, read by whatever can read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from tubepost_importer.parser import Parser
from tubepost_importer.source import Fault, decoded
from tubepost_importer.syntax import Include, Scope, Statement

MOST_FILES: Final = 1_000
"""Files that are read."""
DEEPEST: Final = 16
"""Files that include each other in a row."""
MOST_BYTES: Final = 16 * 1024 * 1024
"""Bytes of all files together."""


class Files(Protocol):
    """Reads files. Names are whatever `find` has given, and what the report shows."""

    def find(self, path: str, beside: str) -> tuple[str, ...] | None:
        """The files that an include in the file `beside` means: one, or those of a directory in their order.

        None where there is no such file.
        """
        ...

    def read(self, name: str) -> bytes:
        """The contents of a file. Raises OSError where it cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that was read."""

    name: str
    lines: tuple[str, ...]
    lines_with_tokens: frozenset[int]
    statements: tuple[Statement, ...]

    def text(self, first: int, last: int) -> str:
        """Lines of it, without the space around them, joined to one."""
        return " ".join(line.strip() for line in self.lines[first - 1 : last]).strip()


@dataclass(slots=True)
class Configuration:
    """A file with everything that it includes.

    `included` maps each Include that was followed to the names of its files; `not_included` says of each of
    the others why not. A file that is included twice is read once.
    """

    main: str
    files: dict[str, SourceFile] = field(default_factory=dict)
    included: dict[Include, tuple[str, ...]] = field(default_factory=dict)
    not_included: dict[Include, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def read_configuration(main: str, files: Files) -> Configuration:
    """Read a file and what it includes. Raises OSError where the file itself cannot be read."""
    configuration = Configuration(main)
    _Reading(configuration, files).read(main, files.read(main), ())
    order = {name: number for number, name in enumerate(configuration.files)}
    configuration.faults.sort(key=lambda fault: (order[fault.place.file], fault.place))
    return configuration


class _Reading:
    def __init__(self, configuration: Configuration, files: Files) -> None:
        self._configuration, self._files, self._bytes = configuration, files, 0

    def read(self, name: str, data: bytes, within: tuple[str, ...]) -> None:
        self._bytes += len(data)
        parser = Parser(name, decoded(data))
        self._configuration.files[name] = SourceFile(
            name, tuple(parser.lines), frozenset(parser.lines_with_tokens), parser.statements
        )
        self._configuration.faults += parser.faults
        self._follow(parser.statements, name, (*within, name))

    def _follow(self, statements: tuple[Statement, ...], name: str, within: tuple[str, ...]) -> None:
        for statement in statements:
            if isinstance(statement, Scope):
                self._follow(statement.body, name, within)
            elif isinstance(statement, Include):
                why = self._include(statement, name, within)
                if why:
                    self._configuration.not_included[statement] = why

    def _include(self, include: Include, name: str, within: tuple[str, ...]) -> str:
        """Follow an include; why not, where it cannot be followed."""
        found = self._files.find(include.path, name)
        if found is None:
            return "there is no such file here; copy it beside this one, or name its root with --root"
        if circle := set(found) & set(within):
            return f"it leads back to {min(circle)}, which it is a part of; remove one of the two"
        if len(within) >= DEEPEST:
            return f"more than {DEEPEST} files include each other in a row; take it out"
        for one in found:
            if one in self._configuration.files:
                continue
            if len(self._configuration.files) >= MOST_FILES:
                return f"more than {MOST_FILES} files; import them in parts"
            try:
                data = self._files.read(one)
            except OSError as error:
                return f"{one} cannot be read ({error.strerror or error}); make it readable, and import again"
            if self._bytes + len(data) > MOST_BYTES:
                return f"more than {MOST_BYTES // 1024 // 1024} MiB of files; import them in parts"
            self.read(one, data, within)
        self._configuration.included[include] = found
        return ""


class InMemory:
    """Files as a mapping of names to contents, for tests and for whoever has read them already."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def find(self, path: str, beside: str) -> tuple[str, ...] | None:
        """The file of that name; or those below that directory."""
        del beside
        if path in self._files:
            return (path,)
        below = tuple(sorted(name for name in self._files if name.startswith(path.rstrip("/") + "/")))
        return below or None

    def read(self, name: str) -> bytes:
        """Its contents. Raises FileNotFoundError."""
        if name not in self._files:
            raise FileNotFoundError(2, "No such file", name)
        return self._files[name]


def everything(configuration: Configuration) -> list[tuple[str, Statement]]:
    """Every statement, with the name of its file."""
    found: list[tuple[str, Statement]] = []
    for name, file in configuration.files.items():
        waiting = list(reversed(file.statements))
        while waiting:
            statement = waiting.pop()
            found.append((name, statement))
            if isinstance(statement, Scope):
                waiting += reversed(statement.body)
    return found
