"""Passwords in a configuration: not shown in reports and manifests."""

from __future__ import annotations

import re
from typing import Final

from tubepost_importer.syntax import Option, Statement

HIDDEN: Final = "***"
_NAMES = re.compile(r"passw|passphrase|secret|basic_auth|community|token_id|credential|api_?key")
_IN_TEXT = re.compile(
    r"""(?ix) (?P<before> ://[^\s/:@"']*: | \b(?:password|passwd|pwd|passphrase|secret)\s*=\s*["']? )
        (?P<secret> [^\s@&;"']+ )"""
)


def concealed(text: str, statement: Statement | None) -> str:
    """The text of a statement without the passwords in it: by the option's name, in URLs, after `password=`.

    A text that could not be read is searched only.
    """
    if isinstance(statement, Option) and _NAMES.search(statement.name):
        return f"{statement.name} = {HIDDEN}"
    if statement is None and _NAMES.search(text.lower()):
        return HIDDEN
    return _IN_TEXT.sub(lambda match: f"{match['before']}{HIDDEN}" if _secret(match) else match[0], text)


def _secret(match: re.Match[str]) -> bool:
    # `://host:25` is an address; `://user:word@host` has a password.
    return "=" in match["before"] or match.string.startswith("@", match.end())
