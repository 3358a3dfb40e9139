"""JSON for logs: one object, one line, whatever is in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

# What would move a terminal's cursor, break a line for a careless reader or reorder text: DEL, C1 controls
# with NEL, U+2028 to U+202E, U+2066 to U+2069. JSON allows them bare; a log line had better not.
_DISGUISES = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]").search


def encode(record: Mapping[str, Any], default: Callable[[Any], Any] | None = None) -> bytes:
    """A JSON object on one line, with nothing in it that could pass for another line.

    What orjson cannot write (lone surrogates) or should not (see `_DISGUISES`) is escaped as JSON allows.
    `default` turns values of other types into ones that JSON has.
    """
    try:
        line = orjson.dumps(record, default)
    except TypeError:
        return _ascii(record, default)
    if line.isascii() and b"\x7f" not in line:
        return line
    return line if _DISGUISES(line) is None else _ascii(orjson.loads(line))


def _ascii(record: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    # json leaves DEL alone, which is the one ASCII character that is neither printable nor escaped by it.
    return json.dumps(record, separators=(",", ":"), default=default).replace("\x7f", "\\u007f").encode()
