"""Text from outside, made fit for replies, log lines and labels."""

from __future__ import annotations

import re
from typing import Final

MAX_TEXT = 128
"""Characters that `clean` keeps."""

BARE_TOKEN = 64
"""Hex digits from which on a text counts as a device token."""
LEAST_SOUGHT = 16
"""Digits of the shortest token that is looked for within other text; a shorter one hides only where it stands
alone, since its digits could be part of any word."""

_LONGEST_TOKEN = 200
_LONG_HEX: Final = re.compile(rf"[0-9A-Fa-f]{{{BARE_TOKEN},}}")
MAX_FOREIGN = 4096
"""Characters of a peer's text that `foreign` looks at."""
HIDDEN: Final = "[hidden]"
"""What `foreign` puts in the place of a secret."""

_UNSAFE: Final = re.compile(r"[^\x20-\x7e]")
# What may be a secret or a device token, cut short or not: what follows an authentication scheme; the head of
# a JWT; hex beyond the 32 digits of a UUID; any other long run of base64. No word of Apple's is that long.
_SECRET: Final = re.compile(
    r"(?i:\b(?:bearer|basic|negotiate|digest))\s+[^\s,;\"']+"
    r"|eyJ[A-Za-z0-9_\-]{4,}(?:\.[A-Za-z0-9_\-]*)*"
    r"|[0-9A-Fa-f]{33,}"
    r"|[A-Za-z0-9+/_\-]{40,}={0,2}"
)
# Hex in groups, as NSData and certificate tools print it.
_GROUPED_HEX: Final = re.compile(r"\b[0-9A-Fa-f]{2,}(?:[ :\-][0-9A-Fa-f]{2,}){3,}\b")
_UUID_DIGITS = 32


def clean(text: str) -> str:
    """Make a text from outside fit for SMTP replies and logs: printable ASCII, at most 128 characters."""
    return _UNSAFE.sub("?", text[:MAX_TEXT]).strip()


def foreign(text: str, *secrets: str) -> str:
    """Make what a peer or proxy said fit for anything that people read: `clean`, and nothing in it is secret.

    Called where the text enters. It may echo what we sent: provider token, proxy password, device token; each
    becomes `HIDDEN`, as does whatever looks like one.

    Args:
        text: what the other side said.
        secrets: what was sent to it that must not come back; empty ones are passed over.
    """
    # Control characters go first, or one of them in its middle would keep a secret from being recognised.
    text = _UNSAFE.sub("?", text[:MAX_FOREIGN])
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _GROUPED_HEX.sub(_without_grouped, text)
    return _SECRET.sub(HIDDEN, text)[:MAX_TEXT].strip()


def _without_grouped(found: re.Match[str]) -> str:
    digits = sum(char not in " :-" for char in found[0])
    return HIDDEN if digits > _UUID_DIGITS else found[0]


def visible(text: str, instead: str = "?") -> str:
    """`text` with `instead` for each character that cannot be printed.

    That is controls, line ends, white space but the plain space, bidirectional controls, lone surrogates and
    unassigned code points.
    """
    if text.isprintable():
        return text
    return "".join([character if character.isprintable() else instead for character in text])


def printable(value: bytes | str, limit: int = 64) -> str:
    r"""`value` in quotes for a text that people read: ASCII, the rest as \xHH, cut after `limit`.

    Device tokens are in short form, since half of one may be behind the cut.
    """
    ahead = limit + _LONGEST_TOKEN
    raw = value[:ahead] if isinstance(value, bytes) else value[:ahead].encode("utf-8", "replace")
    shown = hide_tokens(raw.decode("latin-1"))
    cut = "..." if len(shown) > limit or len(value) > ahead else ""
    body = "".join(
        char if " " <= char <= "~" and char not in '"\\' else f"\\x{ord(char):02x}" for char in shown[:limit]
    )
    return f'"{body}{cut}"'


def short_token(token: str) -> str:
    """The first digits of a device token: eight, but at most half of it. Enough to find it, not to use it."""
    return token[: min(8, len(token) // 2)]


def hide_tokens(value: str, token: str = "") -> str:
    """`value` with device tokens in short form: their first digits and `...`.

    Senders put tokens into recipients, VERP return paths, user names and topics; in full a token appears only
    where a logger's format asks for it. Hidden is `token` (lower case), alone or within other text, and what
    looks like a token by itself (`BARE_TOKEN` hex digits or more), since a message may fail before its token
    is known.
    """
    size = len(value)
    if token and size >= len(token):
        lower = value.lower()
        if lower == token:
            return short_token(value) + "..."
        if len(token) >= LEAST_SOUGHT and token in lower and len(lower) == size:
            value = re.sub(re.escape(token), _shortened, value, flags=re.IGNORECASE)
    if size >= BARE_TOKEN:
        value = _LONG_HEX.sub(_shortened, value)
    return value


def _shortened(found: re.Match[str]) -> str:
    return short_token(found[0]) + "..."
