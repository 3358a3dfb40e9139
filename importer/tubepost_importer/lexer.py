r"""The words of a configuration file.

The grammar is that of Momentum's manual ("Comments and Whitespace", "domain", "routes"): `#` begins a comment
that ends with the line, `/* */` encloses one that does not nest; values with white space or one of
`# / " ' = { } [ ] ( )` stand in quotes; a regular expression between slashes may stand without. In quotes a
backslash goes before a quote or a backslash; before any other character it is a character itself, as
expressions for domains need it ("/^(a|b)\.example$/"). Linear in the length of the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from tubepost_importer.source import Fault, Place

Kind = Literal["word", "string", "{", "}", "(", ")", "[", "]", "=", ",", "end"]

_SPACE = re.compile(r"[ \t\r\n\f\v\ufeff]+")
_COMMENT = re.compile(r"#[^\n]*")
_STRINGS = {
    '"': re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL),
    "'": re.compile(r"'([^'\\]*(?:\\.[^'\\]*)*)'", re.DOTALL),
}
_REST = re.compile(r"[^\n]*")
_REGEX = re.compile(r"/[^/\\\s]*(?:\\\S[^/\\\s]*)*/i?(?=[\s{]|\Z)")
_WORD = re.compile(r"(?:[^\s#\"'={}\[\]()/,]|/(?!\*)|,(?=[^\s\])}]))+")
_CURLY = re.compile("[\N{LEFT SINGLE QUOTATION MARK}-\N{DOUBLE HIGH-REVERSED-9 QUOTATION MARK}]")
_ESCAPED = re.compile(r"\\([\"'\\])")
_SIGNS: Final = "{}()[]=,"


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a quoted string without its quotes, a sign, or the end of the file."""

    kind: Kind
    text: str
    place: Place
    last_line: int

    @property
    def is_text(self) -> bool:
        """Whether it can be a name or a value."""
        return self.kind in {"word", "string"}


class Lexer:
    """Reads a text into `tokens`, the last one of kind `end`; what is no word is among the `faults`.

    `lines` are the lines of the text, `lines_with_tokens` the numbers of those that hold more than comments.
    """

    def __init__(self, file: str, text: str) -> None:
        self._file, self._text = file, text
        self.lines = text.split("\n")
        self._line, self._line_start, self._position = 1, 0, 0
        self._never_closed: set[str] = set()
        self.tokens: list[Token] = []
        self.faults: list[Fault] = []
        self.lines_with_tokens: set[int] = set()
        while self._position < len(text):
            self._next()
        self.tokens.append(Token("end", "", self._place(), self._line))

    def _place(self, further: int = 0) -> Place:
        return Place(self._file, self._line, self._position + further - self._line_start + 1)

    def fault(self, place: Place, message: str, remedy: str) -> None:
        """Add a fault at a place of this text."""
        text = self.lines[place.line - 1].rstrip("\r")
        self.faults.append(Fault(place, message, remedy, text))
        self.lines_with_tokens.add(place.line)

    def _next(self) -> None:
        text, start = self._text, self._position
        character = text[start]
        if blank := _SPACE.match(text, start) or _COMMENT.match(text, start):
            self._advance(blank.end())
        elif text.startswith("/*", start):
            self._comment(start)
        elif character in _STRINGS:
            self._string(character)
        elif regex := _REGEX.match(text, start):
            self._token("word", regex.group(), regex.end())
        elif word := _WORD.match(text, start):
            if curly := _CURLY.search(word.group()):
                message = f"a typographic quotation mark, {curly.group()}, encloses nothing"
                self.fault(self._place(curly.start()), message, 'write the straight one, " (U+0022)')
            self._token("word", word.group(), word.end())
        elif character in _SIGNS:
            self._token(character, character, start + 1)  # type: ignore[arg-type]
        else:
            self.fault(self._place(), f"unexpected character {character!r}", "remove it, or put it in quotes")
            self._advance(start + 1)

    def _comment(self, start: int) -> None:
        end = self._text.find("*/", start + 2)
        if end < 0:
            self.fault(
                self._place(), "the comment that begins here is never closed", "close it with */, on its own"
            )
            end = len(self._text) - 2
        self._advance(end + 2)

    def _string(self, quote: str) -> None:
        start = self._position
        # Without this, every quote that follows one that is not closed would be searched for to the end.
        found = None if quote in self._never_closed else _STRINGS[quote].match(self._text, start)
        if found is None:
            self._never_closed.add(quote)
            self.fault(
                self._place(), "the quotation that begins here is never closed", f"close it with {quote}"
            )
            rest = _REST.match(self._text, start + 1)
            assert rest is not None
            self._token("string", rest.group().rstrip("\r"), rest.end())
            return
        self._token("string", _ESCAPED.sub(r"\1", found[1]), found.end())

    def _token(self, kind: Kind, text: str, end: int) -> None:
        place = self._place()
        self._advance(end)
        self.lines_with_tokens.update(range(place.line, self._line + 1))
        self.tokens.append(Token(kind, text, place, self._line))

    def _advance(self, end: int) -> None:
        newlines = self._text.count("\n", self._position, end)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rfind("\n", self._position, end) + 1
        self._position = end
