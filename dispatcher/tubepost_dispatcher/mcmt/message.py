"""The values that the MCMT parser returns."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


class NotMcmt(enum.Enum):
    """The parser's answer to mail that is no MCMT message: there is only `NOT_MCMT`."""

    NOT_MCMT = "not-mcmt"


NOT_MCMT: Final = NotMcmt.NOT_MCMT
"""Ordinary mail: what becomes of it is the listener's `mcmt_reception` and the relay's business."""


class PushPart:
    """One `message/vnd.msys.apn` part, checked: nothing in it needs escaping any more.

    `payload` is a JSON object, byte for byte as the sender wrote it (but for a repaired trailing comma).
    The `apns-*` values are None where the part has no such header. `token` is lower-case hex. `background`
    and `is_mdm` say what the payload looks like, for parts (and routes) that name no push type.
    """

    __slots__ = (
        "apns_id",
        "background",
        "collapse_id",
        "expiration",
        "is_mdm",
        "payload",
        "priority",
        "push_type",
        "return_path",
        "token",
        "topic",
        "warnings",
    )

    def __init__(
        self,
        token: bytes,
        payload: bytes,
        *,
        topic: bytes | None = None,
        push_type: bytes | None = None,
        priority: int | None = None,
        expiration: int | None = None,
        collapse_id: bytes | None = None,
        apns_id: bytes | None = None,
        return_path: str | None = None,
        warnings: tuple[str, ...] = (),
        background: bool = False,
        is_mdm: bool = False,
    ) -> None:
        self.token = token
        self.payload = payload
        self.topic = topic
        self.push_type = push_type
        self.priority = priority
        self.expiration = expiration
        self.collapse_id = collapse_id
        self.apns_id = apns_id
        self.return_path = return_path
        """Where bounces go: an address without angle brackets, empty for the null path, None: MAIL FROM."""
        self.warnings = warnings
        """Warning slugs: keys of `mcmt.reasons.WARNINGS`."""
        self.background = background
        """`aps` asks for `content-available` and shows, badges and plays nothing."""
        self.is_mdm = is_mdm
        """The payload has a member `mdm`."""


@dataclass(slots=True)
class McmtMessage:
    """An MCMT message taken apart.

    `parts` is empty only when there is an `email`: a message with neither is a rejection. Whoever has no
    relay for the e-mail answers such a message with `mcmt.reasons.NO_PUSH_PART`.
    `email` is the `message/rfc822` rendering (decoded, CRLF), None without one. `ignored` lists the content
    types of other channel parts. `context` holds the context variables of `X-Tubepost-Context`.
    """

    parts: list[PushPart]
    email: bytes | None = None
    ignored: tuple[str, ...] = ()
    context: Mapping[str, str] = field(default_factory=dict)
