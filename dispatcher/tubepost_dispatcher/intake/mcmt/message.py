"""The values that the MCMT parser returns."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.reasons.catalogue import MAX_REPLY_TEXT
from tubepost_dispatcher.reply import Reply


class NotMcmt(enum.Enum):
    """The parser's answer to mail that is no MCMT message: there is only `NOT_MCMT`."""

    NOT_MCMT = "not-mcmt"


NOT_MCMT: Final = NotMcmt.NOT_MCMT
"""Ordinary mail: what becomes of it is the listener's `mcmt_reception` and the relay's business."""


class McmtMessage:
    """An MCMT message taken apart.

    `parts` is empty only when there is an `email`: a message with neither is a rejection. Whoever has no
    relay for the e-mail answers such a message with reason NoPushPart.
    `email` is the `message/rfc822` rendering (decoded, CRLF), None without one; a large one is a view of the
    message. `ignored` lists the content
    types of other channel parts. `context` holds the context variables of `X-Tubepost-Context`.
    """

    __slots__ = ("context", "email", "ignored", "parts", "token_of_recipient", "warnings")

    def __init__(
        self,
        parts: list[PushPart],
        context: Mapping[str, str],
        email: bytes | memoryview | None = None,
        ignored: tuple[str, ...] = (),
        *,
        token_of_recipient: bool = False,
    ) -> None:
        self.parts = parts
        self.context = context
        self.email = email
        self.ignored = ignored
        self.warnings: tuple[str, ...] = ()
        """Slugs that concern the message as a whole; its first push part has them, too."""
        self.token_of_recipient = token_of_recipient
        """A device token was taken from the recipient: for another one the message reads differently."""


def in_part(number: int, refused: Reply) -> Reply:
    """The same refusal with the part's number (counted from 1, in the order of the message) before it."""
    return refused._replace(text=f"part {number}: {refused.text}"[:MAX_REPLY_TEXT])
