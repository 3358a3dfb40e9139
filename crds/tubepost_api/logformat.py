"""The format strings of an ApnLogger, taken apart.

The grammar is that of Momentum's `apn_logger`: literal text with macros that start with a percent sign. One
format describes one line. This module only reads formats; giving the macros values, and escaping the values,
is the logger's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MACROS: dict[str, str] = {
    "t": "Unix time in whole seconds; `%{FORMAT}t` is the same moment, in UTC, through strftime.",
    "i": "Message id: the one that the dispatcher gave the message and that its SMTP reply names.",
    "sa": "Source address: Return-Path of the push part, else DLV_Source_Addr, else MAIL FROM.",
    "rp": "The same, whatever `compatibility` says: where bounces go.",
    "da": "Destination address: DLV_Dest_Addr, else the local part of the recipient.",
    "d": "Domain of the recipient.",
    "dt": "Device token in full; no other macro shows it.",
    "ti": "The notification's apns-id.",
    "ui": "APNs' apns-unique-id, which its development environment gives; empty elsewhere.",
    "B": "Size of the mail in bytes, as received.",
    "mb": "The same, whatever `compatibility` says.",
    "ob": "Bytes sent to APNs, header block and payload; 0 when nothing was sent.",
    "b": "Binding: the name of the ApnRoute.",
    "g": "Binding group: the name of the PushDomain.",
    "H": "IP address of the client.",
    "ca": "The same, whatever `compatibility` says.",
    "pa": "IP address of the APNs server, or of the proxy; empty when nothing was sent.",
    "S": "Status code: 0 delivered, else the legacy code of the failure.",
    "e": "Error text: the reason in APNs' own word, or ours where APNs gave none.",
    "vctx_mess": "`%vctx_mess{NAME}` is a context variable, empty when there is none.",
}
"""Name of each macro (without the percent sign) and its meaning. Source: Momentum's apn_logger."""

STRFTIME_DIRECTIVES = frozenset("aAbBcdfGHIjmMpSuUVwWxXyYzZ%")
"""What may follow a percent sign inside `%{FORMAT}t`: what Python documents for every platform."""

_LONGEST_FIRST = sorted((name for name in MACROS if name != "vctx_mess"), key=len, reverse=True)
_NOT_PRINTABLE = "the character U+{:04X} is not allowed in a format, which is one line"
_CONTEXT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class FormatError(ValueError):
    """A format that cannot be used; `position` counts characters from 0, `str()` is the message alone."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True, slots=True)
class Text:
    """Literal text; never empty, `%%` already turned into a single percent sign."""

    value: str


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro: `name` is a key of `MACROS`.

    `argument` is the strftime format of `%{...}t` or the variable of `%vctx_mess{...}`, else None.
    `quoted`: the macro is inside double quotes of the surrounding literal text.
    """

    name: str
    argument: str | None
    quoted: bool


def parse_format(text: str) -> tuple[Text | Macro, ...]:
    """Parse a format string.

    Where names overlap the longest wins: `%dt` is the device token, never the domain followed by a `t`.
    A double quote in literal text opens a quotation, the next one closes it. Two `Text` items are never
    adjacent.

    Raises:
        FormatError: unknown macro, missing or malformed argument, a quotation that is not closed, a control
            character (a format is one line).
    """
    items: list[Text | Macro] = []
    literal: list[str] = []
    quote_at = -1
    position = 0
    while position < len(text):
        character = text[position]
        if character != "%":
            if not character.isprintable():
                raise FormatError(
                    f"the character U+{ord(character):04X} is not allowed in a format, which is one line",
                    position,
                )
            if character == '"':
                quote_at = position if quote_at < 0 else -1
            literal.append(character)
            position += 1
        elif text.startswith("%%", position):
            literal.append("%")
            position += 2
        else:
            macro, position = _macro(text, position, quoted=quote_at >= 0)
            if literal:
                items.append(Text("".join(literal)))
                literal = []
            items.append(macro)
    if quote_at >= 0:
        raise FormatError("the double quote that opens here is never closed", quote_at)
    if literal:
        items.append(Text("".join(literal)))
    return tuple(items)


def _macro(text: str, start: int, *, quoted: bool) -> tuple[Macro, int]:
    if text.startswith("%{", start):
        argument, end = _argument(text, start, start + 1)
        if not text.startswith("t", end):
            raise FormatError(f"%{{{argument}}} must be followed by t: only times take a format", start)
        _check_strftime(argument, start + 2)
        return Macro("t", argument, quoted), end + 1
    if text.startswith("%vctx_mess", start):
        brace = start + len("%vctx_mess")
        if not text.startswith("{", brace):
            raise FormatError("%vctx_mess needs the name of a variable: %vctx_mess{NAME}", start)
        argument, end = _argument(text, start, brace)
        if not _CONTEXT_NAME.fullmatch(argument):
            raise FormatError(
                f"{argument!r} is not the name of a context variable: 1 to 64 letters, digits, _ . -",
                brace + 1,
            )
        return Macro("vctx_mess", argument, quoted), end
    for name in _LONGEST_FIRST:
        if text.startswith(name, start + 1):
            return Macro(name, None, quoted), start + 1 + len(name)
    if start + 1 == len(text):
        raise FormatError("a single % ends the format; write %% for a percent sign", start)
    word = re.match(r"%\w*", text[start:])
    shown = word.group() if word and len(word.group()) > 1 else text[start : start + 2]
    raise FormatError(f"{shown} is not a macro; write %% for a percent sign", start)


def _argument(text: str, start: int, brace: int) -> tuple[str, int]:
    end = text.find("}", brace)
    if end < 0:
        raise FormatError("the brace that opens the macro's argument is never closed", start)
    argument = text[brace + 1 : end]
    if not argument:
        raise FormatError("the macro's argument is empty", start)
    for offset, character in enumerate(argument, brace + 1):
        if not character.isprintable():
            raise FormatError(_NOT_PRINTABLE.format(ord(character)), offset)
    return argument, end + 1


def _check_strftime(argument: str, start: int) -> None:
    position = 0
    while (position := argument.find("%", position)) >= 0:
        directive = argument[position : position + 2]
        if directive[1:] not in STRFTIME_DIRECTIVES or len(directive) < 2:
            raise FormatError(f"{directive} is not a strftime directive", start + position)
        position += 2
