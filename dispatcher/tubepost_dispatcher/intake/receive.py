"""What a message is: notifications, mail for the relay, or a refusal. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tubepost_api.config import McmtReception
from tubepost_dispatcher.intake.mcmt.message import McmtMessage
from tubepost_dispatcher.intake.mcmt.parser import is_mcmt, parse_message
from tubepost_dispatcher.intake.mcmt.values import RELATIVE_EXPIRATION
from tubepost_dispatcher.notification import NO_CONTEXT, Notification
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Mailing, Recipient, Transaction

DomainT = TypeVar("DomainT")


class Push:
    """An MCMT message with something to push, for one recipient."""

    __slots__ = ("email", "ignored", "notifications")

    def __init__(
        self, notifications: list[Notification], email: bytes | memoryview | None, ignored: tuple[str, ...]
    ) -> None:
        self.notifications = notifications
        """At least one: one for each push part, in the order of the message."""
        self.email = email
        """The e-mail part, None without."""
        self.ignored = ignored
        """Content types of parts for other channels."""


@dataclass(frozen=True, slots=True)
class Mail:
    """Mail for the relay: a message that is no MCMT message, or an e-mail part with nothing to push."""

    content: Mailing
    ignored: tuple[str, ...] = ()
    """Content types of parts for other channels."""
    warnings: tuple[str, ...] = ()
    """Slugs of what was read charitably."""


def receive(
    transaction: Transaction[DomainT],
    recipient: Recipient[DomainT],
    reception: McmtReception,
    *,
    relay: bool,
    next_id: Callable[[], bytes],
    now: float,
) -> Push | Mail | Reply:
    """Read a message for one of its recipients.

    Args:
        transaction: the message and its envelope.
        recipient: one of the transaction's.
        reception: `listener.mcmtReception` (Momentum `mcmt_reception`).
        relay: whether there is a relay for mail.
        next_id: makes an apns-id for a part that has none.
        now: unix seconds.
    """
    content = transaction.content
    if reception is not McmtReception.ALLOW:
        if reception is McmtReception.REJECT and is_mcmt(content):
            return refusal("McmtRejected")
        return Mail(content)
    message = parse_message(content, recipient_local_part=recipient.address.rpartition("@")[0])
    if isinstance(message, Reply):
        return message
    if not isinstance(message, McmtMessage):
        return Mail(content)
    if not message.parts:
        if message.email is None or not relay:
            return refusal("NoPushPart")
        return Mail(message.email, message.ignored, message.warnings)
    dsn = recipient.dsn
    if transaction.dsn:
        dsn = {**transaction.dsn, **(dsn or {})}
    session = transaction.session
    notifications = []
    for part in message.parts:
        if part.warnings and RELATIVE_EXPIRATION in part.warnings and part.expiration is not None:
            part.expiration += int(now)
        notifications.append(
            Notification(
                part,
                part.apns_id or next_id(),
                transaction.message_id,
                transaction.mail_from,
                recipient.address,
                recipient.domain,
                message.context or NO_CONTEXT,
                dsn,
                session.user,
                session.remote_ip,
                len(content),
                now,
            )
        )
    return Push(notifications, message.email, message.ignored)
