"""What a listener hands over, and what it asks: the seam between listeners (SMTP, REST) and acceptance."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from tubepost_dispatcher.reply import Reply

Content: TypeAlias = bytes | mmap.mmap
"""A message as received: bytes, or a read-only map of a temporary file for a large one."""
Mailing: TypeAlias = bytes | mmap.mmap | memoryview
"""What is handed to a relay: a message, or a part of one."""

DomainT = TypeVar("DomainT")
"""What acceptance knows of a recipient's domain; opaque to the listener."""


class PushFields(NamedTuple):
    """A push part that came by itself and not in a mail; the transaction's content is its payload.

    `headers`: what the part's header fields would say, by their lower-case names. `context`: variables.
    """

    headers: Mapping[bytes, bytes]
    context: Mapping[str, str]


@dataclass(slots=True)
class SessionFacts:
    """What is known of the client. `remote_ip` is printable text; `helo` is SMTP's."""

    remote_ip: str
    remote_port: int
    helo: str = ""
    tls: str = ""
    """TLS version, empty without."""
    user: str = ""
    """Authenticated name, empty without."""
    session: str = ""
    """Id of the SMTP session, empty for requests."""


class Recipient(Generic[DomainT]):
    """One accepted recipient: of RCPT TO, or of a request."""

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
    """A message between its end (of DATA, of a request) and its reply, as acceptance holds it."""

    def abandon(self) -> None:
        """The client has gone before the reply: withdraw what has not been sent."""


class Transaction(Generic[DomainT]):
    """One transaction when its message is complete: SMTP's at the end of DATA, or one of a REST request.

    `content` has CRLF line ends as received and dot-stuffing undone; it ends with CRLF. Where there are
    `fields`, it is the payload of a push part instead. `mail_from` is
    without angle brackets, empty for the null sender. The listener calls `Acceptance.accept(transaction)`
    once; the reply is given by calling `reply` exactly once, then or later, always on the event loop.
    `abandoned` becomes True when the client has gone (nobody hears the reply any more); `pending.abandon` is
    called at that moment.
    """

    __slots__ = (
        "_replier",
        "abandoned",
        "apns_id",
        "body_type",
        "content",
        "dsn",
        "fields",
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
        fields: PushFields | None = None,
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
        self.fields = fields
        """None: `content` is a mail."""
        self.apns_id = b""
        """Of the (first) notification; acceptance sets it as soon as the message has been read."""
        self.abandoned = False
        self.pending: Pending | None = None
        """Set by acceptance where the reply comes later."""

    def reply(self, reply: Reply) -> None:
        """Answer: 250, 4xx or 5xx."""
        self._replier.transaction_done(self, reply)


class Replier(Protocol):
    """The listener's side of a transaction."""

    def transaction_done(self, transaction: Transaction[DomainT], reply: Reply) -> None:
        """Send the reply and go on with the session."""


class Acceptance(Protocol[DomainT]):
    """What stands behind a listener. All methods are called on the event loop and return at once."""

    def check_recipient(self, session: SessionFacts, domain: str, recipients_so_far: int) -> Reply | DomainT:
        """Look up the domain of a recipient: what serves it, or the refusal to answer with."""

    def accept(self, transaction: Transaction[DomainT]) -> None:
        """Take the message; `transaction.reply` follows, once."""
