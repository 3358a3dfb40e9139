r"""Momentum-style log lines: format strings compiled to functions, and the inverse that splits a line again.

A line is UTF-8. Its fields are separated by `@`; text between double quotes is one piece in which `@` does
not separate. So that a line can always be split back, whatever a sender put into a message, values are
escaped where they are not plain:

- everywhere, a backslash is written `\\` and a double quote `\"`;
- outside quotes, `@` is written `\x40`;
- everywhere, a character that cannot be printed (control characters, line ends, all white space but the
  plain space, bidirectional controls, lone surrogates, unassigned code points) is written `\xHH` below
  U+0100 and `\u{H...}` from there on, in lower-case hex digits.

Everything else, non-ASCII letters among it, stands as it is. A backslash in a format's own literal text is
written `\\` too. `split_line` undoes all of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final, Literal, NamedTuple, Protocol

from tubepost_api.logformat import Macro, Text, parse_format
from tubepost_dispatcher.feeds.events import TOKEN_CONTEXT, LogEvent
from tubepost_dispatcher.text import BARE_TOKEN, hide_tokens, short_token, visible

Formatter = Callable[[LogEvent], str]
"""Turns an event into one line, without its line end. Raises nothing for any text in the event."""

Compatibility = Literal["Tubepost", "Momentum"]
"""Whose meaning macros have, and whose escaping values: `ApnLogger.spec.compatibility`."""

_Value = Callable[[LogEvent], str]


class _Escape(Protocol):
    def __call__(self, value: str, *, quoted: bool) -> str:
        """Write a value of a line."""


_SPECIAL: Final = {"\\": "\\\\", '"': '\\"'}

_ATTRIBUTES: Final = {
    "t": "time",
    "i": "message_id",
    "sa": "source_address",
    "rp": "source_address",
    "da": "destination_address",
    "d": "domain",
    "dt": "addressee",
    "ti": "apns_id",
    "ui": "unique_id",
    "B": "message_bytes",
    "mb": "message_bytes",
    "ob": "sent_bytes",
    "b": "route",
    "g": "push_domain",
    "H": "client_address",
    "ca": "client_address",
    "pa": "peer",
    "S": "status",
    "e": "error",
}

_MOMENTUM: Final = {**_ATTRIBUTES, "sa": "origin", "B": "sent_bytes", "H": "peer"}
"""What Momentum's macros mean where that is something else."""

_NUMBERS: Final = frozenset({"t", "B", "mb", "ob", "S"})

_HIDING: Final = frozenset({"sa", "rp", "da", "d", "e"})
"""Macros whose value a sender may put a device token into."""


def escape(value: str, *, quoted: bool) -> str:
    """Escape a value as the module describes; `quoted` says that it will stand between double quotes."""
    if _is_clean(value) and (quoted or "@" not in value):
        return value
    return "".join([_escape_character(character, quoted) for character in value])


def _is_clean(text: str) -> bool:
    # Four scans in C; a regular expression that says the same costs several times as much.
    return text.isprintable() and '"' not in text and "\\" not in text


def _escape_character(character: str, quoted: bool) -> str:
    special = _SPECIAL.get(character)
    if special is not None:
        return special
    if character == "@" and not quoted:
        return "\\x40"
    if character.isprintable():
        return character
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{{{point:x}}}"


def legacy_escape(value: str, *, quoted: bool) -> str:
    """As Momentum's parsers expect values: as they are, but for what would break the line or the quotation.

    A character that cannot be printed becomes a blank, a double quote inside quotes an apostrophe. An `@`
    stays, so that a line whose sender put one into an unquoted value has more fields than its format.
    """
    value = visible(value, " ")
    return value.replace('"', "'") if quoted else value


class _Dialect(NamedTuple):
    """What macros mean, and how values and a backslash of the literal text are written."""

    attributes: Mapping[str, str]
    escape: _Escape
    backslash: str


_DIALECTS: Mapping[Compatibility, _Dialect] = {
    "Tubepost": _Dialect(_ATTRIBUTES, escape, "\\\\"),
    "Momentum": _Dialect(_MOMENTUM, legacy_escape, "\\"),
}


def compile_format(text: str, compatibility: Compatibility = "Tubepost") -> Formatter:
    """Compile a format string; `compatibility`: whose meanings and escaping.

    Raises:
        tubepost_api.logformat.FormatError: the format cannot be used.
    """
    items = parse_format(text)
    dialect = _DIALECTS[compatibility]
    careful = _compile_careful(items, dialect)
    return _compile_fast(items, dialect, careful) or careful


def _compile_careful(items: Sequence[Text | Macro], dialect: _Dialect) -> Formatter:
    template = "".join("%s" if isinstance(item, Macro) else _literal(item, dialect) for item in items)
    getters = tuple(_value(item, dialect) for item in items if isinstance(item, Macro))

    def line(event: LogEvent) -> str:
        return template % tuple([getter(event) for getter in getters])

    return line


def _compile_fast(items: Sequence[Text | Macro], dialect: _Dialect, careful: Formatter) -> Formatter | None:
    """A formatter for the usual case, that no value needs an escape; it passes other events to `careful`.

    None where the format has macros whose value is not simply an attribute of the event.
    """
    macros = [item for item in items if isinstance(item, Macro)]
    attributes = [dialect.attributes.get(macro.name) for macro in macros if macro.argument is None]
    names = [name for name in attributes if name is not None]
    if len(names) != len(macros) or len(names) < 2:  # attrgetter makes a tuple of two or more
        return None
    template = "".join(
        ("%d" if item.name in _NUMBERS else "%s") if isinstance(item, Macro) else _literal(item, dialect)
        for item in items
    )
    get_values = attrgetter(*names)
    texts = [(name, macro) for name, macro in zip(names, macros, strict=True) if macro.name not in _NUMBERS]
    literal = "".join([item.value for item in items if isinstance(item, Text)])
    if not literal.isprintable():
        return None
    quotes, backslashes = template.count('"'), template.count("\\")
    # `kind` is clean and short: it only makes sure of a tuple.
    get_plain = attrgetter("kind", "kind", *[name for name, macro in texts if not macro.quoted])
    hiding = [dialect.attributes[macro.name] for macro in macros if macro.name in _HIDING]
    get_hiding = attrgetter("kind", "kind", *hiding)
    join = "".join

    def line(event: LogEvent) -> str:
        text: str = template % get_values(event)
        # Looked at as a whole, which is less than to gather its values: what is special beyond the format's
        # own text is in one of them.
        if (
            not text.isprintable()
            or text.count('"') != quotes
            or text.count("\\") != backslashes
            or "@" in join(get_plain(event))
            or (hiding and _may_hold_token(get_hiding(event), event.device_token))
        ):
            return careful(event)
        return text

    return line


def _may_hold_token(values: tuple[str, ...], token: str) -> bool:
    longest = max(map(len, values))
    return longest >= BARE_TOKEN or longest >= (len(token) or BARE_TOKEN)


def _literal(item: Text, dialect: _Dialect) -> str:
    return item.value.replace("\\", dialect.backslash).replace("%", "%%")


def _value(macro: Macro, dialect: _Dialect) -> Callable[[LogEvent], str | int]:
    if macro.name == "t":
        return (
            _unix_time if macro.argument is None else _formatted_time(macro.argument, macro.quoted, dialect)
        )
    if macro.name in _NUMBERS:
        number: Callable[[LogEvent], int] = attrgetter(dialect.attributes[macro.name])
        return number
    if macro.name == "vctx_mess":
        return _escaped(_context(macro.argument or ""), macro.quoted, dialect)
    attribute: _Value = attrgetter(dialect.attributes[macro.name])
    return _escaped(_hidden(attribute) if macro.name in _HIDING else attribute, macro.quoted, dialect)


def _escaped(get: _Value, quoted: bool, dialect: _Dialect) -> _Value:
    return lambda event: dialect.escape(get(event), quoted=quoted)


def _unix_time(event: LogEvent) -> int:
    return int(event.time)


def _hidden(get: _Value) -> _Value:
    return lambda event: hide_tokens(get(event), event.device_token)


def _context(name: str) -> _Value:
    if name == TOKEN_CONTEXT:

        def token(event: LogEvent) -> str:
            value = event.variable(name)
            return short_token(value) + "..." if value else ""

        return token

    def variable(event: LogEvent) -> str:
        return hide_tokens(event.variable(name), event.device_token)

    return variable


def _formatted_time(argument: str, quoted: bool, dialect: _Dialect) -> _Value:
    # Events come in order and many a second, so the last text nearly always serves again.
    whole_seconds = "%f" not in argument.replace("%%", "")
    last_time: float = -1.0
    last_text = ""

    def value(event: LogEvent) -> str:
        nonlocal last_time, last_text
        time = float(int(event.time)) if whole_seconds else event.time
        if time != last_time:
            last_text = dialect.escape(datetime.fromtimestamp(time, UTC).strftime(argument), quoted=quoted)
            last_time = time
        return last_text

    return value


_PIECE: Final = re.compile(
    r"""(?P<plain>[^@"\\]+)
    |   (?P<at>@)
    |   (?P<quote>")
    |   \\(?:(?P<special>[\\"]) | x(?P<byte>[0-9a-f]{2}) | u\{(?P<point>[0-9a-f]{1,6})\})""",
    re.VERBOSE,
)


def split_line(line: str) -> list[str]:
    """Split a line (without its line end) into its fields, unquoted and with escapes undone.

    Raises:
        ValueError: the line is none of ours: an unknown escape, or a quotation that is not closed.
    """
    fields: list[str] = []
    field: list[str] = []
    quoted = False
    position = 0
    while position < len(line):
        match = _PIECE.match(line, position)
        if match is None:
            raise ValueError(f"unknown escape at character {position}")
        position = match.end()
        kind = match.lastgroup
        if kind == "quote":
            quoted = not quoted
        elif kind == "at" and not quoted:
            fields.append("".join(field))
            field = []
        elif kind in {"byte", "point"}:
            field.append(_character(match[kind], match.start()))
        else:
            field.append(match["special"] or match[0])
    if quoted:
        raise ValueError("a quotation is not closed")
    fields.append("".join(field))
    return fields


def _character(digits: str, position: int) -> str:
    point = int(digits, 16)
    if point > 0x10FFFF:
        raise ValueError(f"no such character at {position}")
    return chr(point)
