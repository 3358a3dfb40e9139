"""From words to statements; whatever is wrong, the statements after it are read."""

from __future__ import annotations

from typing import Final

from tubepost_importer.lexer import Lexer, Token
from tubepost_importer.syntax import Array, Elision, Include, Option, Scalar, Scope, Statement, Table, Value

DEEPEST: Final = 32
"""Scopes, arrays and dictionaries inside each other that are read."""
_INCLUDES = ("include", "readonly_include")
_CLOSING = {"{": "}", "(": ")", "[": "]"}
_BEGINS = 'write NAME = VALUE, or NAME "ARGUMENT" { ... }'


class _Broken(Exception):
    """A statement that cannot be read; its fault has been added."""


class Parser:
    """Reads a file: `statements`, and the `faults` of its words and its statements."""

    def __init__(self, file: str, text: str) -> None:
        self._lexer = Lexer(file, text)
        self._tokens, self._index = self._lexer.tokens, 0
        self.lines, self.lines_with_tokens = self._lexer.lines, self._lexer.lines_with_tokens
        found: list[Statement] = []
        while self._peek().kind != "end":
            found += self._statements(0)
            if self._peek().kind == "}":
                self._fault(self._next(), "no scope is open that this brace could close", "remove it")
        self.statements = tuple(found)
        self.faults = sorted(self._lexer.faults, key=lambda fault: fault.place)

    def _peek(self) -> Token:
        return self._tokens[self._index]

    def _next(self) -> Token:
        token = self._tokens[self._index]
        if token.kind != "end":
            self._index += 1
        return token

    def _fault(self, token: Token, message: str, remedy: str) -> None:
        self._lexer.fault(token.place, message, remedy)

    def _statements(self, depth: int) -> list[Statement]:
        found: list[Statement] = []
        while self._peek().kind not in {"}", "end"}:
            begin = self._index
            try:
                found.append(self._statement(depth))
            except _Broken:
                self._recover(begin)
        return found

    def _recover(self, begin: int) -> None:
        """Go on behind a broken statement: at the next line that can begin one, past the scopes it opened."""
        if self._index == begin:
            self._next()
        line = self._tokens[self._index - 1].last_line
        while (token := self._peek()).kind not in {"}", "end"}:
            if token.kind in _CLOSING:
                self._skip()
                line = self._tokens[self._index - 1].last_line
            elif token.place.line > line and token.is_text:
                return
            else:
                self._next()

    def _skip(self) -> None:
        """Skip a bracket and everything up to its closing one."""
        expected = [_CLOSING[self._next().kind]]
        while expected and self._peek().kind != "end":
            if self._peek().kind == "}" and expected[-1] != "}":
                # A brace closes a scope, whatever is open inside it.
                expected.pop()
                continue
            token = self._next()
            if token.kind in _CLOSING:
                expected.append(_CLOSING[token.kind])
            elif token.kind == expected[-1]:
                expected.pop()

    def _statement(self, depth: int) -> Statement:
        token = self._next()
        if not token.is_text:
            self._fault(token, f"{token.kind!r} cannot begin a statement", _BEGINS)
            raise _Broken
        if token.kind == "word" and token.text == "...":
            return Elision(token.place, token.last_line)
        name = token.text.lower()
        if name in _INCLUDES and self._peek().is_text:
            path = self._next()
            return Include(path.text, token.place, path.last_line)
        arguments: list[str] = []
        while self._peek().is_text and self._peek().place.line == token.last_line:
            arguments.append(self._next().text)
        following = self._peek()
        if following.kind == "=" and self._tokens[self._index + 1].kind == "{":
            following = self._tokens[self._index + 1]  # the manual writes it now and then
            self._next()
        if following.kind == "{":
            return self._scope(token, name, tuple(arguments), depth)
        if following.kind in {"=", "[", "("} and not arguments:
            if following.kind == "=":
                self._next()
            value = self._value(depth)
            return Option(name, value, token.place, self._tokens[self._index - 1].last_line)
        shown = repr(following.text)
        if following.kind == "end" or following.place.line > token.last_line:
            shown = "the end of the file" if following.kind == "end" else "the end of the line"
        # Where the statement ends before anything else follows, the fault is the statement's.
        self._fault(
            token if following.kind == "end" or following.place.line > token.last_line else following,
            f"'=' or '{{' is expected after {' '.join((token.text, *arguments))[:60]!r}, not {shown}",
            _BEGINS,
        )
        raise _Broken

    def _scope(self, token: Token, name: str, arguments: tuple[str, ...], depth: int) -> Scope:
        brace = self._peek()
        if depth >= DEEPEST:
            self._fault(brace, f"more than {DEEPEST} scopes are inside each other", "take this one out")
            raise _Broken
        self._next()
        body = tuple(self._statements(depth + 1))
        closing = self._peek()
        if closing.kind != "}":
            self._fault(brace, f"the scope {name!r} that begins here is never closed", "close it with }")
        else:
            self._next()
        last = self._tokens[self._index - 1].last_line
        return Scope(name, arguments, body, token.place, brace.last_line, max(last, brace.last_line))

    def _value(self, depth: int) -> Value:
        token = self._peek()
        if token.is_text:
            self._next()
            return Scalar(token.text, token.place)
        if token.kind not in {"(", "["}:
            shown = "the file ends" if token.kind == "end" else f"there is {token.text!r}"
            self._fault(
                token, f"a value is expected, and {shown}", 'write a word, "TEXT", ( ... ) or [ ... ]'
            )
            raise _Broken
        if depth >= DEEPEST:
            self._fault(token, f"more than {DEEPEST} brackets are inside each other", "take this one out")
            raise _Broken
        self._next()
        return self._array(token, depth) if token.kind == "(" else self._table(token, depth)

    def _array(self, opening: Token, depth: int) -> Array:
        items: list[Value] = []
        while self._peek().kind not in {")", "}", "end", "="}:
            if self._peek().kind == ",":
                self._next()
            else:
                items.append(self._value(depth + 1))
        self._close(opening)
        return Array(tuple(items), opening.place)

    def _table(self, opening: Token, depth: int) -> Table:
        options: list[Option] = []
        while (token := self._peek()).kind not in {"]", "}", "end", ")"}:
            self._next()
            if token.kind == ",":
                continue
            if not token.is_text or self._peek().kind not in {"=", "(", "["}:
                self._fault(token, "NAME = VALUE is expected between [ and ]", "write NAME = VALUE")
                raise _Broken
            if self._peek().kind == "=":
                self._next()
            value = self._value(depth + 1)
            options.append(
                Option(token.text.lower(), value, token.place, self._tokens[self._index - 1].last_line)
            )
        self._close(opening)
        return Table(tuple(options), opening.place)

    def _close(self, opening: Token) -> None:
        if self._peek().kind != _CLOSING[opening.kind]:
            self._fault(
                opening,
                f"the {opening.kind!r} that stands here is never closed",
                f"close it with {_CLOSING[opening.kind]}",
            )
            raise _Broken
        self._next()
