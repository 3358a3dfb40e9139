"""What a message is: notifications, mail for the relay, or a refusal. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic

from tubepost_api.config import McmtReception
from tubepost_dispatcher.context import sendable
from tubepost_dispatcher.intake.fields import read_fields
from tubepost_dispatcher.intake.kept_headers import kept_headers
from tubepost_dispatcher.intake.mcmt.message import McmtMessage
from tubepost_dispatcher.intake.mcmt.parser import is_mcmt, parse_message
from tubepost_dispatcher.intake.mcmt.values import RELATIVE_EXPIRATION
from tubepost_dispatcher.notification import NO_CONTEXT, Notification, PushPart
from tubepost_dispatcher.reasons.catalogue import MAX_REPLY_TEXT, refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.text import printable
from tubepost_dispatcher.transaction import DomainT, Mailing, Recipient, Transaction

APNS_ID_REPEATED: Final = "apns-id-repeated"
"""Slug of the warning."""
MAX_NOTIFICATIONS: Final = 1_000
"""Notifications of one message, recipients times push parts. They are taken in one turn of the event loop,
which takes 10 to 25 ms for so many."""


class Push(Generic[DomainT]):
    """An MCMT message with something to push."""

    __slots__ = ("email", "ignored", "notifications", "recipients")

    def __init__(
        self,
        notifications: list[Notification],
        recipients: Sequence[Recipient[DomainT]],
        email: bytes | memoryview | None,
        ignored: tuple[str, ...],
    ) -> None:
        self.notifications = notifications
        """At least one: recipient by recipient, and for each all push parts in the order of the message."""
        self.recipients = recipients
        """Each address once."""
        self.email = email
        """The e-mail part, None without."""
        self.ignored = ignored
        """Content types of parts for other channels."""

    @property
    def parts(self) -> int:
        """How many push parts the message has."""
        return len(self.notifications) // len(self.recipients)

    def addressed(self) -> Sequence[tuple[Notification, Recipient[DomainT]]]:
        """Every notification with its recipient."""
        if len(self.notifications) == 1:
            return [(self.notifications[0], self.recipients[0])]
        parts = self.parts
        return [(one, self.recipients[at // parts]) for at, one in enumerate(self.notifications)]


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
    reception: McmtReception,
    *,
    relay: bool,
    next_id: Callable[[], bytes],
    now: float,
    keep_headers: bool = False,
    addresses: bool = True,
) -> Push[DomainT] | Mail | Reply:
    """Read a message for its recipients.

    It is read once, and once for each recipient where a device token is the recipient's own. A fault that
    concerns one of them refuses the message, and names it.

    Args:
        transaction: the message and its envelope.
        reception: `listener.mcmtReception` (Momentum `mcmt_reception`); of mails.
        relay: whether there is a relay for mail.
        next_id: makes an apns-id for a notification that has none.
        now: unix seconds.
        keep_headers: whether notifications have the header block with them, for reports to their sender.
        addresses: whether senders may set DLV_Source_Addr and DLV_Dest_Addr (`context.addresses`).
    """
    content, fields = transaction.content, transaction.fields
    if reception is not McmtReception.ALLOW and fields is None:
        if reception is McmtReception.REJECT and is_mcmt(content):
            return refusal("McmtRejected")
        return Mail(content)
    recipients = transaction.recipients
    if len(recipients) > 1:
        # A sender that names somebody twice means one notification.
        first: dict[str, Recipient[DomainT]] = {}
        for recipient in recipients:
            first.setdefault(recipient.address, recipient)
        recipients = list(first.values())
    local_part = _local_part(recipients[0])
    if fields is None:
        message = parse_message(content, recipient_local_part=local_part)
    else:
        assert isinstance(content, bytes)
        message = read_fields(fields, content, recipient_local_part=local_part)
    if isinstance(message, Reply):
        return message
    if not isinstance(message, McmtMessage):
        return Mail(content)
    if not message.parts:
        if message.email is None or not relay:
            return refusal("NoPushPart")
        return Mail(message.email, message.ignored, message.warnings)
    count = len(message.parts) * len(recipients)
    if count > MAX_NOTIFICATIONS:
        text = f"the message makes {count} notifications, the limit is {MAX_NOTIFICATIONS}"
        return refusal("TooManyNotifications", text)
    if message.context:
        message.context, ignored = sendable(message.context, addresses=addresses)
        message.parts[0].warnings += ignored
    notifications: list[Notification] = []
    given: set[bytes] = set()
    parts = message.parts
    _count_from_now(parts, now)
    headers = kept_headers(content) if keep_headers and fields is None else ""
    for recipient in recipients:
        if message.token_of_recipient and notifications:
            read = parse_message(content, recipient_local_part=_local_part(recipient))
            if not isinstance(read, McmtMessage):
                assert isinstance(read, Reply)
                return read._replace(text=f"for {printable(recipient.address)}: {read.text}"[:MAX_REPLY_TEXT])
            parts = read.parts
            _count_from_now(parts, now)
        notifications += [
            _notification(transaction, recipient, message, part, given, next_id, now, headers)
            for part in parts
        ]
    return Push(notifications, recipients, message.email, message.ignored)


def _notification(
    transaction: Transaction[DomainT],
    recipient: Recipient[DomainT],
    message: McmtMessage,
    part: PushPart,
    given: set[bytes],
    next_id: Callable[[], bytes],
    now: float,
    headers: str,
) -> Notification:
    """That of one part; `given` are the apns-ids of the message's own that have their notification."""
    dsn = recipient.dsn
    if transaction.dsn:
        dsn = {**transaction.dsn, **(dsn or {})}
    apns_id = part.apns_id
    if apns_id is None:
        apns_id = next_id()
    elif apns_id in given:
        apns_id = next_id()
        if APNS_ID_REPEATED not in part.warnings:
            part.warnings = (*part.warnings, APNS_ID_REPEATED)
    else:
        given.add(apns_id)
    session = transaction.session
    notification = Notification(
        part,
        apns_id,
        transaction.message_id,
        transaction.mail_from,
        recipient.address,
        recipient.domain,
        message.context or NO_CONTEXT,
        dsn,
        session.user,
        session.remote_ip,
        len(transaction.content),
        now,
    )
    if headers and notification.return_path:
        notification.headers = headers
    return notification


def _count_from_now(parts: Iterable[PushPart], now: float) -> None:
    for part in parts:
        if part.warnings and RELATIVE_EXPIRATION in part.warnings and part.expiration is not None:
            part.expiration += int(now)


def _local_part(recipient: Recipient[DomainT]) -> str:
    return recipient.address.rpartition("@")[0]
