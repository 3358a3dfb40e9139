"""Header fields and addresses of mails that are made here, of text that anybody may have written. Pure.

Nothing that comes out has a line end, a NUL or another control character in it, and no line is longer than a
relay takes. Text beyond ASCII stays as it is: mail that has some is sent with SMTPUTF8 (RFC 6532).
"""

from __future__ import annotations

import re
from typing import Final

MAX_VALUE: Final = 900
"""Octets of a field's value; lines have 998 at most (RFC 5322 2.1.1)."""
MAX_LINE: Final = 998
"""Octets of a line of the sender's header block."""

_PLAIN: Final = re.compile(r"[ -~]*")
_ATOM: Final = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff"
_DOT_ATOM: Final = re.compile(rf"[{_ATOM}]+(?:\.[{_ATOM}]+)*")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_MESSAGE_ID: Final = re.compile(r"<[!-;=?-~]{1,400}>")
_FIELD: Final = re.compile(r"[!-9;-~]+:")


def one_line(text: str, limit: int = MAX_VALUE) -> str:
    """`text` without line ends and control characters, of at most `limit` octets; blanks at its ends go."""
    if len(text) <= limit and _PLAIN.fullmatch(text):
        return text.strip()  # nearly always
    clean = "".join(_safe(char) for char in text[: limit + 1])
    if len(clean.encode()) > limit:
        clean = clean.encode()[: limit - 3].decode("utf-8", "ignore") + "..."
    return clean.strip()


def _safe(char: str) -> str:
    if " " <= char <= "~":
        return char
    if char in "\t\r\n":
        return " "
    # isprintable() excludes line separators, C1 controls and lone surrogates.
    return char if ord(char) > 0xA0 and char.isprintable() else "?"


def address(text: str) -> str:
    """An address as it may stand in a field: one that is none is put into quotes, as a local part alone."""
    clean = one_line(text, 600)
    local, at, domain = clean.rpartition("@")
    if not at:
        local, domain = clean, ""
    if not _DOT_ATOM.fullmatch(local) and not _QUOTED.fullmatch(local):
        local = quoted(local)
    domain = re.sub(r"[\s<>()\\\",;@]", "?", domain)
    return f"{local}@{domain}" if at else local


def quoted(text: str) -> str:
    """A quoted string (RFC 5322 3.2.4)."""
    return '"' + re.sub(r'(["\\])', r"\\\1", one_line(text, 600)) + '"'


def field(name: str, value: str) -> str:
    """One header field, with its line end."""
    return f"{name}: {one_line(value)}\r\n"


def message_id_of(headers: str) -> str:
    """The sender's own Message-ID with its angle brackets, empty where there is none that can be repeated."""
    value = value_of(headers, "message-id")
    return value if _MESSAGE_ID.fullmatch(value) else ""


def value_of(headers: str, name: str) -> str:
    """The value of the first field `name` (lower case) of a header block, unfolded; empty without."""
    if f"\n{name}:" not in f"\n{headers.lower()}":
        return ""
    lines = headers.split("\r\n")
    for number, line in enumerate(lines):
        if line[: len(name) + 1].lower() == f"{name}:":
            value = line[len(name) + 1 :]
            for more in lines[number + 1 :]:
                if more[:1] not in (" ", "\t"):
                    break
                value += more
            return value.strip()
    return ""


def safe_block(headers: str) -> str:
    """A sender's header block for others to read: whole fields, no control characters, no endless lines."""
    kept: list[str] = []
    in_field = False
    for line in headers.replace("\r\n", "\n").split("\n"):
        if line[:1] not in (" ", "\t"):
            in_field = _FIELD.match(line) is not None
            start = ""
        else:
            start = "\t"
        clean = one_line(line, MAX_LINE - len(start))
        if in_field and clean:
            kept.append(f"{start}{clean}\r\n")
    return "".join(kept)
