"""What the condition says of the suspension that a PushDomain carries, and when that ends. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tubepost_api.suspension import in_force, words_of
from tubepost_operator.observed import Document

_MOST: Final = 250
"""Characters of what somebody wrote into an annotation."""


def left(document: Document, now: datetime) -> float | None:
    """Seconds until a suspension ends by itself; None where none does."""
    suspension = in_force(document, now)
    end = suspension.ends if suspension is not None else None
    return (end - now).total_seconds() if end is not None else None


def suspended_text(document: Document, now: datetime) -> str:
    """Why delivery is suspended, for people: by whom, until when and why, or by the spec's mode."""
    suspension = in_force(document, now)
    if suspension is None:
        return "delivery.mode is Suspend"
    who, why = ("".join(filter(str.isprintable, text))[:_MOST] for text in words_of(suspension))
    return f"suspended {who}: {why.rstrip('. ')}"
