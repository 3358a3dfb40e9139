"""What the SMTP listener hands over, and what it asks: the seam between `smtp/` and the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tubepost_dispatcher.mcmt.message import Rejection


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


class Transaction:
    """One SMTP transaction at the end of DATA.

    `content` is bytes-like (bytes, or a read-only mmap for large messages) with CRLF line ends as received
    and dot-stuffing undone; it ends with CRLF. `mail_from` is without angle brackets, empty for the null
    sender. `recipient` and `domain` are of the single RCPT TO; `entry` is what `Acceptance.check_recipient`
    returned for it. The listener calls `Acceptance.accept(transaction)` once; the reply is given by calling
    `reply` exactly once, then or later, always on the event loop. `abandoned` becomes True when the client
    has gone (nobody hears the reply any more); `Acceptance.abandon` is called at that moment.
    """

    __slots__ = (
        "_replier",
        "abandoned",
        "body_type",
        "content",
        "domain",
        "dsn",
        "entry",
        "mail_from",
        "message_id",
        "recipient",
        "session",
        "smtputf8",
        "state",
    )

    def __init__(
        self,
        replier: Replier,
        session: SessionFacts,
        message_id: str,
        mail_from: str,
        recipient: str,
        domain: str,
        entry: Any,
        content: Any,
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
        self.recipient = recipient
        """The whole address, without angle brackets."""
        self.domain = domain
        """Lower-cased domain of the recipient, as written."""
        self.entry = entry
        self.content = content
        self.body_type = body_type
        """`7BIT`, `8BITMIME` or empty."""
        self.smtputf8 = smtputf8
        self.dsn = dsn
        """RET, ENVID of MAIL and NOTIFY, ORCPT of RCPT as given, None when there were none."""
        self.abandoned = False
        self.state: Any = None
        """Belongs to the acceptance."""

    def reply(self, code: int, enhanced: str, text: str) -> None:
        """Answer DATA: `code` 250/4xx/5xx, enhanced status code (RFC 3463), printable ASCII text."""
        self._replier.transaction_done(self, code, enhanced, text)


class Replier(Protocol):
    """The listener's side of a transaction."""

    def transaction_done(self, transaction: Transaction, code: int, enhanced: str, text: str) -> None:
        """Send the reply and go on with the session."""


class Acceptance(Protocol):
    """What stands behind the listener. All methods are called on the event loop and return at once."""

    def check_recipient(self, session: SessionFacts, domain: str, recipients_so_far: int) -> Rejection | Any:
        """Look up the domain of a RCPT TO: an opaque entry, or the rejection to answer with."""

    def accept(self, transaction: Transaction) -> None:
        """Take the message; `transaction.reply` follows, once."""

    def abandon(self, transaction: Transaction) -> None:
        """The client has gone before the reply: withdraw what has not been sent."""
