"""What a listener hands over, and what it asks: the seam between listeners and acceptance."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

from tubepost_dispatcher.reply import Reply

Content: TypeAlias = bytes | mmap.mmap
"""A message as received: bytes, or a read-only map of a temporary file for a large one."""
Mailing: TypeAlias = bytes | mmap.mmap | memoryview
"""What is handed to a relay: a message, or a part of one."""

DomainT = TypeVar("DomainT")
"""What acceptance knows of a recipient's domain; opaque to the listener."""


@dataclass(slots=True)
class SessionFacts:
    """What is known of the SMTP client. `remote_ip` is printable text."""

    remote_ip: str
    remote_port: int
    helo: str = ""
    tls: str = ""
    """TLS version, empty without."""
    user: str = ""
    """Authenticated name, empty without."""


class Recipient(Generic[DomainT]):
    """One accepted RCPT TO."""

    __slots__ = ("address", "domain", "dsn", "serving")

    def __init__(
        self, address: str, domain: str, serving: DomainT, dsn: Mapping[str, str] | None = None
    ) -> None:
        self.address = address
        """The whole address, without angle brackets."""
        self.domain = domain
        """Lower-cased domain of the address, as written."""
        self.serving = serving
        """What `Acceptance.check_recipient` returned for it."""
        self.dsn = dsn
        """NOTIFY and ORCPT as given (RFC 3461), None without."""


class Pending(Protocol):
    """A message between the end of DATA and its reply, as acceptance holds it."""

    def abandon(self) -> None:
        """The client has gone before the reply: withdraw what has not been sent."""


class Transaction(Generic[DomainT]):
    """One SMTP transaction at the end of DATA.

    `content` has CRLF line ends as received and dot-stuffing undone; it ends with CRLF. `mail_from` is
    without angle brackets, empty for the null sender. The listener calls `Acceptance.accept(transaction)`
    once; the reply is given by calling `reply` exactly once, then or later, always on the event loop.
    `abandoned` becomes True when the client has gone (nobody hears the reply any more); `pending.abandon` is
    called at that moment.
    """

    __slots__ = (
        "_replier",
        "abandoned",
        "body_type",
        "content",
        "dsn",
        "mail_from",
        "message_id",
        "pending",
        "recipients",
        "session",
        "smtputf8",
    )

    def __init__(
        self,
        replier: Replier,
        session: SessionFacts,
        message_id: str,
        mail_from: str,
        recipients: Sequence[Recipient[DomainT]],
        content: Content,
        *,
        body_type: str = "",
        smtputf8: bool = False,
        dsn: Mapping[str, str] | None = None,
    ) -> None:
        self._replier = replier
        self.session = session
        self.message_id = message_id
        """Ours, unique: Momentum's `%i`."""
        self.mail_from = mail_from
        self.recipients = recipients
        """At least one."""
        self.content = content
        self.body_type = body_type
        """`7BIT`, `8BITMIME` or empty."""
        self.smtputf8 = smtputf8
        self.dsn = dsn
        """RET and ENVID of MAIL as given (RFC 3461), None without."""
        self.abandoned = False
        self.pending: Pending | None = None
        """Set by acceptance where the reply comes later."""

    def reply(self, reply: Reply) -> None:
        """Answer DATA: 250, 4xx or 5xx."""
        self._replier.transaction_done(self, reply)


class Replier(Protocol):
    """The listener's side of a transaction."""

    def transaction_done(self, transaction: Transaction[DomainT], reply: Reply) -> None:
        """Send the reply and go on with the session."""


class Acceptance(Protocol[DomainT]):
    """What stands behind a listener. All methods are called on the event loop and return at once."""

    def check_recipient(self, session: SessionFacts, domain: str, recipients_so_far: int) -> Reply | DomainT:
        """Look up the domain of a RCPT TO: what serves it, or the refusal to answer with."""

    def accept(self, transaction: Transaction[DomainT]) -> None:
        """Take the message; `transaction.reply` follows, once."""
