"""Text from outside, made fit for replies, log lines and labels."""

from __future__ import annotations

import re

MAX_TEXT = 128
"""Characters that `clean` keeps."""

_UNSAFE = re.compile(r"[^\x20-\x7e]")


def clean(text: str) -> str:
    """Make a text from outside fit for SMTP replies and logs: printable ASCII, at most 128 characters."""
    return _UNSAFE.sub("?", text[:MAX_TEXT]).strip()


def printable(value: bytes | str, limit: int = 64) -> str:
    r"""`value` in quotes for a text that people read: ASCII, the rest as \xHH, cut after `limit`."""
    raw = value[: limit + 1] if isinstance(value, bytes) else value[: limit + 1].encode("utf-8", "replace")
    cut = "..." if len(value) > limit else ""
    raw = raw[:limit]
    body = "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in raw)
    return f'"{body}{cut}"'
