"""What follows a notification's end: a mail on its way to the relay. A value that can be stored."""

from __future__ import annotations

import base64
from typing import Any, Final, Literal, get_args

import orjson

MailKind = Literal["bounce", "delay", "success", "reroute"]
"""A report of a failure, of a delay or of success (RFC 3464), or what a policy makes of a notification."""

SCHEMA: Final = 1
"""Version of the stored form. A reader takes its own and older ones; fields that join are optional."""

KINDS: Final[tuple[MailKind, ...]] = get_args(MailKind)
_MARK: Final = b'{"mail":"'
"""How every stored mail begins, and no stored notification."""


class OutgoingMail:
    """One mail for one recipient: what is handed to the relay, and what it is about.

    All of it survives `encode` and `decode`.
    """

    __slots__ = (
        "apns_id",
        "attempt",
        "content",
        "created_at",
        "domain",
        "kind",
        "message_id",
        "recipient",
        "sender",
    )

    def __init__(
        self,
        kind: MailKind,
        sender: str,
        recipient: str,
        content: bytes,
        message_id: str,
        domain: str,
        created_at: float,
        attempt: int = 0,
        apns_id: str = "",
    ) -> None:
        self.kind: MailKind = kind
        self.sender = sender
        """Of the envelope, without angle brackets; empty for the null sender, which every report has."""
        self.recipient = recipient
        """Of the envelope, without angle brackets."""
        self.content = content
        """The whole mail, lines ended by CRLF."""
        self.message_id = message_id
        """Ours, of the mail that the notification came with."""
        self.domain = domain
        """Of the notification."""
        self.created_at = created_at
        """Unix seconds."""
        self.attempt = attempt
        """How often the relay was asked to take it, and answered that it does not now."""
        self.apns_id = apns_id
        """Of the notification, empty where it is not known."""


def encode(mail: OutgoingMail) -> bytes:
    """The stored form: JSON in UTF-8, of version `SCHEMA`."""
    document: dict[str, Any] = {
        "mail": mail.kind,
        "v": SCHEMA,
        "sender": mail.sender,
        "recipient": mail.recipient,
        "messageId": mail.message_id,
        "domain": mail.domain,
        "createdAt": mail.created_at,
        "attempt": mail.attempt,
    }
    if mail.apns_id:
        document["apnsId"] = mail.apns_id
    try:
        document["content"] = mail.content.decode("utf-8")
    except UnicodeDecodeError:
        document["base64"] = base64.b64encode(mail.content).decode("ascii")
    return orjson.dumps(document)


def is_mail(stored: bytes) -> bool:
    """Whether a stored form is a mail's; else it is a notification's, or nothing that this release wrote."""
    return stored.startswith(_MARK)


def decode(stored: bytes) -> OutgoingMail:
    """Read what `encode` wrote, in this release or an earlier one; fields it does not know are passed over.

    Raises:
        ValueError: it is not such a document, or a later release wrote it.
    """
    try:
        document = orjson.loads(stored)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not a stored mail: {error}") from None
    version = document.get("v") if isinstance(document, dict) else None
    if not isinstance(version, int):
        raise ValueError("not a stored mail: no version")  # noqa: TRY004 - of bytes, not of a call
    if version > SCHEMA:
        raise ValueError(
            f"a mail of schema {version}, written by a later release; this one reads up to {SCHEMA}"
        )
    try:
        kind = document["mail"]
        if kind not in KINDS:
            raise ValueError(f"a mail of a kind that this release does not know: {kind!r}")
        if (encoded := document.get("base64")) is None:
            content = document["content"].encode("utf-8")
        else:
            content = base64.b64decode(encoded, validate=True)
        return OutgoingMail(
            kind,
            document["sender"],
            document["recipient"],
            content,
            document["messageId"],
            document["domain"],
            document["createdAt"],
            document["attempt"],
            document.get("apnsId", ""),
        )
    except (KeyError, AttributeError, TypeError, UnicodeEncodeError) as error:
        raise ValueError(f"a stored mail is incomplete or damaged: {error!r}") from None
