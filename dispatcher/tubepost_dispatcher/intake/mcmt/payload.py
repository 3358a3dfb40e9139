"""The payload of a push part: exactly one JSON object, or a rejection that says where it is not."""

from __future__ import annotations

import re
from typing import Final

import orjson

from tubepost_dispatcher.push_types import PAYLOAD_LIMIT
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply

_FOLD_FROM: Final = 900
"""Octets of a line from which a line break behind it is a mail server's (RFC 5321 4.5.3.1.6: 998)."""
_BLANKS: Final = b" \t\r\n"  # RFC 8259 section 2

# Strings first, so that no comma inside one is touched; an unclosed one swallows the rest, so that no byte is
# read twice. A comma after an opening bracket, a colon or another comma is no trailing comma: it stays.
_COMMAS: Final = re.compile(
    rb"\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?|[{\[:,][ \t\r\n]*+,|(,)(?=[ \t\r\n]*+[}\]])", re.DOTALL
)


class Payload:
    """A checked payload. `data` is valid JSON; `warnings` are slugs of `reasons.WARNINGS`."""

    __slots__ = ("background", "data", "is_mdm", "warnings")

    def __init__(self, data: bytes, warnings: tuple[str, ...], *, background: bool, is_mdm: bool) -> None:
        self.data = data
        self.warnings = warnings
        self.background = background
        """`aps` has content-available 1 and no alert, badge or sound."""
        self.is_mdm = is_mdm


def check_payload(text: bytes, limit: int) -> Payload | Reply:
    """Check one payload of at most `limit` bytes; blanks around it do not count and are dropped.

    A trailing comma is replaced by a space (positions in the text stay true) and warned about. Names that
    occur twice are left to APNs. Rejections: 554 5.6.0 (what is wrong, at which line and column of the
    payload, both from 1), 552 5.3.4 when it is too large.

    CR LF becomes LF where that brings a payload below `limit`, or below the limit of most push types: SMTP
    has added the CR. In JSON it can stand between values only.
    """
    data = text.strip(_BLANKS)
    if not data:
        return refusal("PayloadEmpty", "the payload is empty")
    warnings: tuple[str, ...] = ()
    if len(data) > PAYLOAD_LIMIT and b"\r\n" in data:
        compact = data.replace(b"\r\n", b"\n")
        if len(compact) <= PAYLOAD_LIMIT or len(compact) <= limit < len(data):
            data = compact
            warnings = ("line-ends-compacted",)
    if len(data) > limit:
        return refusal("PayloadTooLarge", f"the payload has {len(data)} bytes, the limit is {limit}")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        repaired = _COMMAS.sub(lambda found: b" " if found[1] else found[0], data)
        try:
            value = orjson.loads(repaired)
        except orjson.JSONDecodeError as error:
            return _fault(repaired, error)
        data = repaired
        warnings = (*warnings, "trailing-comma-repaired")
    if type(value) is not dict:
        kind = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(
            type(value), "a number"
        )
        return refusal("BadPayload", f"the payload is {kind}, not a JSON object, at line 1 column 1")
    aps = value.get("aps")
    if aps is None:
        is_mdm = "mdm" in value
        if not is_mdm and "aps" not in value:
            warnings = (*warnings, "payload-without-aps")
        return Payload(data, warnings, background=False, is_mdm=is_mdm)
    background = (
        type(aps) is dict
        and aps.get("content-available") == 1
        and "alert" not in aps
        and "badge" not in aps
        and "sound" not in aps
    )
    return Payload(data, warnings, background=background, is_mdm="mdm" in value)


def _fault(data: bytes, error: orjson.JSONDecodeError) -> Reply:
    if data.startswith(b"\xef\xbb\xbf"):
        return refusal(
            "BadPayload", "the payload starts with a UTF-8 byte order mark at line 1 column 1; leave it out"
        )
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as bad:
        line = data.count(b"\n", 0, bad.start) + 1
        column = bad.start - data.rfind(b"\n", 0, bad.start)
        folded = _fold_near(data, bad.start)
        if folded:
            return refusal("BadPayload", folded)
        return refusal(
            "BadPayload",
            f"the payload is not UTF-8: byte 0x{data[bad.start]:02x} at line {line} column {column} "
            f"(offset {bad.start})",
        )
    # orjson counts characters, in a text that may have others than ASCII.
    folded = _fold_near(data, len(data.decode()[: error.pos].encode()))
    if folded:
        return refusal("BadPayload", folded)
    what = error.msg if error.msg.isascii() and error.msg.isprintable() else "malformed"
    return refusal(
        "BadPayload", f"the payload is not JSON: {what[:120]} at line {error.lineno} column {error.colno}"
    )


def _fold_near(data: bytes, at: int) -> str:
    """Tell that a mail server has broken a long line next to offset `at`; empty when none has."""
    end = data.find(b"\n", max(at - 8, 0), at + 8)
    if end < 0:
        return ""
    start = data.rfind(b"\n", 0, end) + 1
    line = data.count(b"\n", 0, end) + 1
    end -= data[end - 1 : end] == b"\r"
    if end - start < _FOLD_FROM:
        return ""
    return (
        f"the payload was damaged on its way: its line {line} was broken after {end - start} bytes, since "
        "lines of mail have at most 998; send the part in base64"
    )
