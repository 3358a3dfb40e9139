"""What a sender wants to hear, and how it names its message (RFC 3461). Pure.

The parameters were checked when they came in; here they are decoded. What cannot be decoded is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FAILURE: Final = "FAILURE"
DELAY: Final = "DELAY"
SUCCESS: Final = "SUCCESS"
_DEFAULT: Final = frozenset({FAILURE, DELAY})
"""Without NOTIFY: of failures and, where they are configured, of delays (RFC 3461 4.1)."""

_XTEXT: Final = re.compile(r"\+([0-9A-Fa-f]{2})")
_CODE_POINT: Final = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")


@dataclass(frozen=True, slots=True)
class Wishes:
    """The DSN parameters of one recipient, decoded. Texts are as foreign as they came."""

    notify: frozenset[str] = _DEFAULT
    """Of FAILURE, DELAY and SUCCESS; empty: NEVER."""
    envelope_id: str = ""
    """ENVID, empty without."""
    recipient_type: str = ""
    """The address type of ORCPT, lower case; empty without ORCPT."""
    recipient: str = ""
    """The address of ORCPT."""


def wishes_of(dsn: Mapping[str, str] | None) -> Wishes:
    """Decode RET, ENVID, NOTIFY and ORCPT as they were given; None: none was."""
    if not dsn:
        return Wishes()
    words = dsn.get("NOTIFY")
    notify = _DEFAULT if words is None else frozenset(words.upper().split(",")) - {"NEVER"}
    kind, _, address = dsn.get("ORCPT", "").partition(";")
    kind = kind.lower()
    return Wishes(
        notify,
        xtext(dsn.get("ENVID", "")),
        kind,
        utf8_address(address) if kind == "utf-8" else xtext(address),
    )


def xtext(text: str) -> str:
    """Decode xtext (RFC 3461 4); other text is left as it is."""
    return _XTEXT.sub(lambda found: chr(int(found[1], 16)), text)


def utf8_address(text: str) -> str:
    r"""Decode an address of type utf-8 in any of its forms (RFC 6533 3): as it is, or with `\x{...}`."""
    return _CODE_POINT.sub(_char, xtext(text))


def _char(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return found[0] if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF else chr(number)
