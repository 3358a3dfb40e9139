"""Writes docs/reference/message.md: what a message may contain, with the parser's own limits and warnings."""

from __future__ import annotations

import ast
import inspect
import itertools
from dataclasses import fields
from pathlib import Path
from typing import Final

from tubepost_dispatcher.header_values import MAX_CHANNEL_ID, MAX_COLLAPSE_ID, MAX_TOPIC
from tubepost_dispatcher.intake.mcmt.limits import DEFAULT_LIMITS, McmtLimits
from tubepost_dispatcher.intake.mcmt.mime import PUSH_FIELDS
from tubepost_dispatcher.intake.mcmt.values import MAX_PATH, MAX_TOKEN
from tubepost_dispatcher.reasons.message import MESSAGE_REASONS, WARNINGS

PATH: Final = "docs/reference/message.md"

_FIELDS: Final = {
    "X-Device-Token": (
        f"The device: hex digits, at most {MAX_TOKEN}; fewer than 64, `<...>`, blanks: with a warning",
        "`DLV_Dest_ID` of a context variable, else the recipient's local part where that is a token",
    ),
    "apns-topic": (f"At most {MAX_TOPIC} bytes of a bundle identifier", "the ApnRoute's topic"),
    "apns-push-type": (
        "One of [Apple's](simulator.md#push-types)",
        "the ApnRoute's default, else `background` where `aps` says so, `mdm`, or `alert`",
    ),
    "apns-priority": ("10, 5 or 1", "the ApnRoute's default, else 10, and 5 for background"),
    "apns-expiration": (
        "Unix seconds until which APNs keeps it; 0: tried once. Other units are read with a warning",
        "acceptance time and `delivery.expiry`",
    ),
    "apns-collapse-id": (f"At most {MAX_COLLAPSE_ID} bytes of printable ASCII", "the ApnRoute's default"),
    "apns-channel-id": (
        f"A [broadcast](../broadcast.md), not a device: base64 of at most {MAX_CHANNEL_ID} bytes",
        "",
    ),
    "apns-id": ("A UUID; the same for every attempt", "one is made"),
    "Return-Path": (
        f"An address of at most {MAX_PATH} bytes to which [bounces](../bounces.md) go",
        "the sender of the envelope",
    ),
}
"""Value, and what is there without the field."""

_LIMITS: Final = {
    "max_header_bytes": "header block, bytes",
    "max_headers": "header block, lines",
    "max_lines": "MIME headers, lines",
    "max_parts": "parts",
    "max_push_parts": "push parts",
    "max_push_bytes": "push parts together, bytes",
    "max_depth": "depth of multiparts",
    "max_boundary": "boundary, bytes",
    "max_part_bytes": "push part, bytes",
    "max_payload": "payload, bytes",
    "max_encoded_email": "encoded e-mail part, bytes",
    "max_false_delimiters": "lines like a delimiter",
    "max_context": "context variables",
}
"""What each bound is of."""


def outputs() -> dict[str, str]:
    """The page."""
    missing = {name.decode() for name in PUSH_FIELDS} ^ {name.lower() for name in _FIELDS}
    if missing:
        raise ValueError(f"{PATH}: the table of fields and the parser differ: {', '.join(sorted(missing))}")
    rows = [f"| `{name}` | {value} | {default} |" for name, (value, default) in _FIELDS.items()]
    docs = _docstrings()
    if unnamed := {field.name for field in fields(McmtLimits)} ^ _LIMITS.keys():
        raise ValueError(f"{PATH}: the table of limits and the parser differ: {', '.join(sorted(unnamed))}")
    limits = [
        f"| {title} | {getattr(DEFAULT_LIMITS, name):,} | {docs[name]} |" for name, title in _LIMITS.items()
    ]
    warnings = [f"| `{name}` | {text} |" for name, text in sorted(WARNINGS.items())]
    reasons = [
        f"| `{row.reason}` | {row.smtp_code} {row.enhanced} | {row.help} | {row.remedy} |"
        for row in MESSAGE_REASONS
    ]
    text = Path(__file__).with_name("message_page.md").read_text(encoding="utf-8")
    for name, table in (("FIELDS", rows), ("LIMITS", limits), ("WARNINGS", warnings), ("REASONS", reasons)):
        text = text.replace(f"@{name}@", "\n".join(table))
    return {PATH: text}


def _docstrings() -> dict[str, str]:
    """The text below each field of the limits, on one line."""
    (body,) = (
        node.body for node in ast.parse(inspect.getsource(McmtLimits)).body if isinstance(node, ast.ClassDef)
    )
    found: dict[str, str] = {}
    for field, text in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
        ):
            assert isinstance(text.value, ast.Constant)
            found[field.target.id] = " ".join(str(text.value.value).split())
    return found
