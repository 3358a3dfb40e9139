"""How much of a message the parser is willing to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class McmtLimits:
    """Bounds of the MCMT parser. Sizes are in bytes; what exceeds one is a rejection that names it."""

    max_header_bytes: int = 102_400
    """Of one header block: the message's, a part's, or an inner one (Postfix `header_size_limit`)."""
    max_headers: int = 1_000
    """Header lines of one block, folded ones counted as often as they are lines."""
    max_lines: int = 20_000
    """Lines of the MIME headers of all parts, and of all push parts: what is read line by line."""
    max_parts: int = 1_000
    """Body parts of one message, nested ones and the multiparts around them included."""
    max_push_parts: int = 100
    """Push parts of one message: reading one costs more than passing over another."""
    max_push_bytes: int = 1_048_576
    """Of all push parts of one message as they stand in it."""
    max_depth: int = 100
    """Multiparts inside one another (Postfix `mime_nesting_limit`); at most a few hundred makes sense."""
    max_boundary: int = 2_048
    """RFC 2046 section 5.1.1 allows 70; longer ones are met in practice."""
    max_part_bytes: int = 65_536
    """Of one push part as it stands in the message, encoded and with its inner header block."""
    max_payload: int = 5_120
    """Of one payload: the most that APNs takes for any push type (`resolve` knows the type's own)."""
    max_encoded_email: int = 2_097_152
    """Of an e-mail part in base64 or quoted-printable, which RFC 2046 section 5.2.1 does not even allow:
    decoding holds the event loop. One in 7bit, 8bit or binary may be as large as the message."""
    max_false_delimiters: int = 10_000
    """Lines that begin like a delimiter and are none: each costs a step, where other bytes cost little."""
    max_context: int = 64
    """Context variables of one message."""


DEFAULT_LIMITS: Final = McmtLimits()
"""The limits in force unless the caller says otherwise."""
