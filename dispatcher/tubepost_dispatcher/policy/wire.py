"""What dispatcher and policy process say to each other: JSON in frames. Imported by both, so it is light.

A frame is its length (4 bytes, big-endian) and a JSON object. The process says `ready` (the names of its
hooks, and warnings) or `fault` once, and then one answer for each call; with `last` it takes no more of them.
"""

from __future__ import annotations

from typing import Final, Literal

MAX_FRAME: Final = 2 * 1024 * 1024
"""Bytes of the largest frame: a mail with text and HTML in quoted-printable."""
LENGTH: Final = 4

FILE: Final = "policy.py"
"""What a module is called in tracebacks."""

Point = Literal["request", "response", "dispose"]
"""When hooks are called: before an attempt; after APNs' answer; before an end is told."""
POINTS: Final[tuple[Point, ...]] = ("request", "response", "dispose")

HOOKS: Final[dict[str, tuple[int, int]]] = {
    "apn_request_eval": (2, 2),
    "apn_response_eval": (1, 1),
    "apn_status_classifier": (1, 1),
    "generic_delivery_msg_dispose": (1, 1),
}
"""The functions that a module may have, with the least and the most arguments of a call."""

AT: Final[dict[Point, tuple[str, ...]]] = {
    "request": ("apn_request_eval",),
    "response": ("apn_response_eval", "apn_status_classifier"),
    "dispose": ("generic_delivery_msg_dispose",),
}
"""The hooks of each point, in the order in which they are called."""


def frame(content: bytes) -> bytes:
    """A frame with this content."""
    return len(content).to_bytes(LENGTH, "big") + content
