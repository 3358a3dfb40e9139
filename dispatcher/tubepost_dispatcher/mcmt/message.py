"""The values that the MCMT parser returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message cannot be taken: an SMTP reply. `text` is printable ASCII, one line, no secrets."""

    code: int
    enhanced: str
    text: str


class PushPart:
    """One `message/vnd.msys.apn` part, checked: nothing in it needs escaping any more.

    `payload` is a JSON object, byte for byte as the sender wrote it (but for a repaired trailing comma).
    The `apns-*` values are None where the part has no such header. `token` is lower-case hex.
    """

    __slots__ = (
        "apns_id",
        "collapse_id",
        "expiration",
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
        self.warnings = warnings
        """Warning slugs, e.g. `trailing-comma-repaired`, `short-token`."""


@dataclass(slots=True)
class McmtMessage:
    """An MCMT message taken apart.

    `email` is the `message/rfc822` rendering (decoded, CRLF), None without one. `ignored` lists the content
    types of other channel parts. `context` holds the context variables of `X-Tubepost-Context`.
    """

    parts: list[PushPart]
    email: bytes | None = None
    ignored: tuple[str, ...] = ()
    context: Mapping[str, str] = field(default_factory=dict)
