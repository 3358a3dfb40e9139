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
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import attrgetter

from tubepost_api.logformat import Macro, Text, parse_format
from tubepost_dispatcher.feeds.events import TOKEN_CONTEXT, LogEvent
from tubepost_dispatcher.text import BARE_TOKEN, hide_tokens, short_token

Formatter = Callable[[LogEvent], str]
"""Turns an event into one line, without its line end. Raises nothing for any text in the event."""

_Value = Callable[[LogEvent], str]

_SPECIAL = {"\\": "\\\\", '"': '\\"'}

_ATTRIBUTES = {
    "i": "message_id",
    "sa": "source_address",
    "d": "domain",
    "dt": "addressee",
    "ti": "apns_id",
    "B": "message_bytes",
    "b": "route",
    "g": "push_domain",
    "H": "remote_ip",
    "S": "status",
    "e": "error",
}

_FAST_ATTRIBUTES = {**_ATTRIBUTES, "t": "time", "da": "destination_address"}

_NUMBERS = frozenset({"t", "B", "S"})

_HIDING = frozenset({"sa", "da", "d", "e"})
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


def compile_format(text: str) -> Formatter:
    """Compile a format string.

    Raises:
        tubepost_api.logformat.FormatError: the format cannot be used.
    """
    items = parse_format(text)
    careful = _compile_careful(items)
    return _compile_fast(items, careful) or careful


def _compile_careful(items: Sequence[Text | Macro]) -> Formatter:
    template = "".join("%s" if isinstance(item, Macro) else _literal(item) for item in items)
    getters = tuple(_value(item) for item in items if isinstance(item, Macro))

    def line(event: LogEvent) -> str:
        return template % tuple([getter(event) for getter in getters])

    return line


def _compile_fast(items: Sequence[Text | Macro], careful: Formatter) -> Formatter | None:
    """A formatter for the usual case, that no value needs an escape; it passes other events to `careful`.

    None where the format has macros whose value is not simply an attribute of the event.
    """
    macros = [item for item in items if isinstance(item, Macro)]
    attributes = [_FAST_ATTRIBUTES.get(macro.name) for macro in macros if macro.argument is None]
    names = [name for name in attributes if name is not None]
    if len(names) != len(macros) or len(names) < 2:  # attrgetter makes a tuple of two or more
        return None
    template = "".join(
        ("%d" if item.name in _NUMBERS else "%s") if isinstance(item, Macro) else _literal(item)
        for item in items
    )
    get_values = attrgetter(*names)
    texts = [(name, macro) for name, macro in zip(names, macros, strict=True) if macro.name not in _NUMBERS]
    # `kind` is clean and short: it only makes sure of a tuple.
    get_texts = attrgetter("kind", "kind", *[name for name, _ in texts])
    get_plain = attrgetter("kind", "kind", *[name for name, macro in texts if not macro.quoted])
    hiding = [_FAST_ATTRIBUTES[macro.name] for macro in macros if macro.name in _HIDING]
    get_hiding = attrgetter("kind", "kind", *hiding)
    join = "".join

    def line(event: LogEvent) -> str:
        if (
            not _is_clean(join(get_texts(event)))
            or "@" in join(get_plain(event))
            or (hiding and _may_hold_token(get_hiding(event), event.device_token))
        ):
            return careful(event)
        text: str = template % get_values(event)
        return text

    return line


def _may_hold_token(values: tuple[str, ...], token: str) -> bool:
    longest = max(map(len, values))
    return longest >= BARE_TOKEN or longest >= (len(token) or BARE_TOKEN)


def _literal(item: Text) -> str:
    return item.value.replace("\\", "\\\\").replace("%", "%%")


def _value(macro: Macro) -> Callable[[LogEvent], str | int]:
    if macro.name == "t":
        return _unix_time if macro.argument is None else _formatted_time(macro.argument, macro.quoted)
    if macro.name in _NUMBERS:
        number: Callable[[LogEvent], int] = attrgetter(_ATTRIBUTES[macro.name])
        return number
    if macro.name in _HIDING:
        return _escaped(_hidden(attrgetter(_FAST_ATTRIBUTES[macro.name])), macro.quoted)
    if macro.name == "vctx_mess":
        return _escaped(_context(macro.argument or ""), macro.quoted)
    attribute: _Value = attrgetter(_ATTRIBUTES[macro.name])
    return _escaped(attribute, macro.quoted)


def _escaped(get: _Value, quoted: bool) -> _Value:
    return lambda event: escape(get(event), quoted=quoted)


def _unix_time(event: LogEvent) -> int:
    return int(event.time)


def _hidden(get: _Value) -> _Value:
    return lambda event: hide_tokens(get(event), event.device_token)


def _context(name: str) -> _Value:
    if name == TOKEN_CONTEXT:

        def token(event: LogEvent) -> str:
            value = event.context.get(name, "")
            return short_token(value) + "..." if value else ""

        return token

    def variable(event: LogEvent) -> str:
        return hide_tokens(event.context.get(name, ""), event.device_token)

    return variable


def _formatted_time(argument: str, quoted: bool) -> _Value:
    # Events come in order and many a second, so the last text nearly always serves again.
    whole_seconds = "%f" not in argument.replace("%%", "")
    last_time: float = -1.0
    last_text = ""

    def value(event: LogEvent) -> str:
        nonlocal last_time, last_text
        time = float(int(event.time)) if whole_seconds else event.time
        if time != last_time:
            last_text = escape(datetime.fromtimestamp(time, UTC).strftime(argument), quoted=quoted)
            last_time = time
        return last_text

    return value


_PIECE = re.compile(
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
