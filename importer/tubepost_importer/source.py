"""Places in a configuration file, and faults that are found there."""

from __future__ import annotations

from dataclasses import dataclass

_WIDEST = 160
"""Characters of a source line that are shown."""


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """Where something begins: `line` and `column` count from 1, the column in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """FILE:LINE:COLUMN."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that cannot be read: `text` is the source line, `remedy` says what to do."""

    place: Place
    message: str
    remedy: str
    text: str

    def pretty(self) -> str:
        """Place, message and remedy; then the source line with a caret below the column."""
        line, column = self.text, self.place.column
        if len(line) > _WIDEST:
            start = max(0, min(column - 1 - _WIDEST // 2, len(line) - _WIDEST))
            line, column = line[start : start + _WIDEST], column - start
        before = "".join(c if c == "\t" else " " for c in line[: column - 1])
        return (
            f"{printable(str(self.place))}: {printable(self.message)}. Remedy: {self.remedy}.\n"
            f"    {printable(line)}\n    {before}^"
        )


def printable(text: str) -> str:
    """The text on one line: what a terminal could take for a command is replaced, tabs stay."""
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def decoded(data: bytes) -> str:
    """The text of a file: UTF-8, else Latin-1, in which every byte is a character."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")
