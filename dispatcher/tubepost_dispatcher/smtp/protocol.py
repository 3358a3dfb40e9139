"""The server's side of SMTP for one session, without I/O: its state and its transaction (RFC 5321 3).

`commands` answers lines by it, `session` connects it to a client: replies are collected in `out`, `state`
says what is to be read next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Generic

from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp import journal, replies
from tubepost_dispatcher.smtp.admission import Rank, rank
from tubepost_dispatcher.smtp.auth import MAX_AUTH_FAILURES, Authentication
from tubepost_dispatcher.smtp.config import EffectiveConfig
from tubepost_dispatcher.smtp.data import DataFault
from tubepost_dispatcher.smtp.listener import ListenerState
from tubepost_dispatcher.smtp.state import ACCEPTANCE, AUTH, CLOSING, COMMAND, GREETED, State
from tubepost_dispatcher.text import printable
from tubepost_dispatcher.transaction import (
    Content,
    DomainT,
    Recipient,
    Replier,
    SessionFacts,
    Transaction,
)

log: Final = logging.getLogger("tubepost.smtp")

_DATA_FAULTS: Mapping[DataFault, str] = {
    DataFault.TOO_LARGE: "MessageTooLarge",
    DataFault.HEADER_TOO_LARGE: "HeaderTooLarge",
    DataFault.LINE_TOO_LONG: "MessageLineTooLong",
    DataFault.NO_SPACE: "InsufficientStorage",
}
"""Reasons of the catalogue."""


class Envelope(Generic[DomainT]):
    """What MAIL and RCPT have said: the transaction that is open, if one is."""

    __slots__ = ("body_type", "dsn", "mail_from", "rcpt_commands", "recipients", "smtputf8")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """No transaction is open."""
        self.mail_from: str | None = None
        """None until MAIL; empty for the null sender."""
        self.recipients: list[Recipient[DomainT]] = []
        """Never changed after it was handed over: the next transaction has a list of its own."""
        self.rcpt_commands = 0
        """RCPT commands so far, the refused ones included."""
        self.body_type = ""
        self.smtputf8 = False
        self.dsn: Mapping[str, str] | None = None


class SmtpProtocol(Generic[DomainT]):
    """The state of one session. `loop` is for aiosmtpd's constructor, which needs one."""

    __slots__ = (
        "_auth_wait",
        "_authentication",
        "_errors",
        "_loop",
        "_user_digest",
        "_warned",
        "accepted",
        "active",
        "config",
        "data_since",
        "envelope",
        "extended",
        "facts",
        "id",
        "listener",
        "messages",
        "out",
        "precondition",
        "refusals",
        "retiring",
        "secure",
        "skipped",
        "state",
    )

    def __init__(self, listener: ListenerState[DomainT], loop: asyncio.AbstractEventLoop) -> None:
        self.listener = listener
        self._loop = loop
        self.id = listener.session_ids.next()
        """Names the session in the log, and in replies that its administrator may ask about."""
        self.config: EffectiveConfig[DomainT] = listener.config
        """What is in force for this session, until its next transaction."""
        self.facts = SessionFacts("", 0)
        self.state: State = CLOSING
        self.secure = False
        """TLS is in use."""
        self.out: list[bytes] = []
        """Replies not yet written."""
        self.skipped = 0
        """Octets dropped of a line that is too long; its end gets the reply."""
        self.retiring = False
        """The next MAIL is answered with 421 4.3.2."""
        self.data_since = 0.0
        """When the last 354 was said."""
        self.active = listener.now
        """When the client last did something useful; see `timeouts`."""
        self.accepted: float | None = None
        """When its last message was accepted."""
        self.extended = False
        """The client has said EHLO, not HELO."""
        self._authentication: Authentication | None = None
        self._auth_wait = 0.0
        """Seconds that the client has to wait, since an exchange ended without comparing its password."""
        self._user_digest: bytes | None = None
        self.precondition: bytes | None = None
        """The reply to MAIL and others while TLS or AUTH is missing."""
        self._errors = 0
        """Commands refused since the last accepted message."""
        self._warned: tuple[str, ...] = ()
        self.messages = 0
        """Messages that were received to their end."""
        self.refusals = 0
        self.envelope: Envelope[DomainT] = Envelope()

    # ---- sessions, transactions, refusals ------------------------------------------------------------

    @property
    def between_transactions(self) -> bool:
        """No transaction is open, and no exchange either."""
        return (self.state is COMMAND or self.state is GREETED) and self.envelope.mail_from is None

    def open(self, address: str, port: int, refusal: bytes | None) -> None:
        """Greet a client, or turn it away with `refusal`."""
        config = self.config = self.listener.config
        self.facts = SessionFacts(address, port, session=self.id)
        if refusal is None:
            self.state = GREETED
            self._find_precondition()
            self.out.append(config.greeting)
            journal.opened(self.id, address, port)
        else:
            self.out.append(refusal)
            self._log_refusal(refusal, "connect")

    def message(self, replier: Replier, content: Content) -> Transaction[DomainT]:
        """The complete transaction with its message; its reply is due."""
        listener = self.listener
        listener.received.count += len(content)
        envelope = self.envelope
        assert envelope.mail_from is not None
        self.state = ACCEPTANCE
        return Transaction(
            replier,
            self.facts,
            listener.ids.next(),
            envelope.mail_from,
            envelope.recipients,
            content,
            body_type=envelope.body_type,
            smtputf8=envelope.smtputf8,
            dsn=envelope.dsn,
        )

    def end_transaction(self, reply: Reply, message_id: str) -> None:
        """Answer the message; the reply names its id."""
        self.envelope.clear()
        self.out.append(replies.render(reply, message_id))
        if self.listener.verbose:
            journal.message_answered(self.id, self.facts.remote_ip, message_id, self.out[-1])
        self.messages += 1
        now = self.active = self.listener.now
        limit = self.config.max_messages
        if self.listener.leaving or (limit and self.messages >= limit):
            self.retiring = True
        code = reply.code
        if code < 400:
            self._errors = 0
            self.accepted = now
        else:
            self._message_refused(reply, message_id)
        self.state = CLOSING if code == 421 else COMMAND

    def withdraw(self, transaction: Transaction[DomainT]) -> None:
        """The client has gone before the reply to this message."""
        transaction.abandoned = True
        journal.client_left(self.id, self.facts.remote_ip, transaction.message_id)
        try:
            if transaction.pending is not None:
                transaction.pending.abandon()
        except Exception:
            log.exception(journal.WHILE_WITHDRAWN, self.id, self.facts.remote_ip, transaction.message_id)

    def refuse_message(self, fault: DataFault, received: int) -> None:
        """Refuse a message that was read to its end, of `received` octets, and not handed over."""
        self.listener.received.count += received
        self.messages += 1
        self.active = self.listener.now
        self.envelope.clear()
        self.state = COMMAND
        message_id = self.listener.ids.next()
        reply = refusal(_DATA_FAULTS[fault])
        self.out.append(replies.render(reply, message_id))
        self._message_refused(reply, message_id)
        if reply.code >= 500:
            self._count_error()

    def refuse(self, reply: bytes | Reply, stage: str, *, excess: bool = False, detail: str = "") -> None:
        """Refuse, count and log; end the session of a client with too many errors.

        Permanent refusals count as errors of the client, a temporary one only in `excess` of a limit.
        `detail` is for the log.
        """
        if isinstance(reply, Reply):
            line, reason = replies.render(reply), reply.reason
        else:
            line, reason = reply, ""
        self.out.append(line)
        self._refused(line, stage, reason, detail)
        if excess or line[0] == 0x35:  # 5yz
            self._count_error()

    def warn(self, warning: str) -> None:
        """A command was understood although it is malformed: counted, and said once in a session."""
        self.listener.warnings.labels(warning).inc()
        if warning not in self._warned:
            self._warned += (warning,)
            journal.accepted_with_warning(self.id, self.facts.remote_ip, warning)

    def dismiss(self, reply: bytes, stage: str = "", detail: str = "") -> None:
        """Say the last reply. `stage` is for a client that is at fault; the reply names the session then."""
        self.state = CLOSING
        if stage:
            self.out.append(replies.of_session(reply, self.id))
            self._refused(reply, stage, "", detail)
        else:
            self.out.append(reply)

    def _count_error(self) -> None:
        self._errors += 1
        limit = self.config.limits.max_errors
        if limit and self._errors >= limit:
            self.dismiss(replies.TOO_MANY_ERRORS, "command")

    def _refused(self, line: bytes, stage: str, reason: str, detail: str) -> None:
        self.refusals += 1
        self.listener.refused(stage, replies.code(line))
        self._log_refusal(line, stage, reason, detail)

    def _log_refusal(self, line: bytes, stage: str, reason: str = "", detail: str = "") -> None:
        reason = reason or replies.reason(line)
        journal.refused(self.id, self.facts.remote_ip, stage, reason, replies.text(line), detail)

    def _message_refused(self, reply: Reply, message_id: str) -> None:
        self.refusals += 1
        self.listener.refused("data", str(reply.code))
        text = replies.text(replies.render(reply))
        journal.message_refused(self.id, self.facts.remote_ip, message_id, reply.reason, text)

    def handshake_failed(self, cause: str) -> None:
        """The handshake of STARTTLS has failed, and with it the connection; `cause` is for the log."""
        self.refusals += 1
        self.listener.refused("tls", "0")
        journal.tls_failed(self.id, self.facts.remote_ip, cause)

    def begin_tls(self) -> None:
        """Say the last reply in the clear, and forget what the client has said (RFC 3207 4.2)."""
        self.envelope.clear()
        self.out.append(replies.READY_FOR_TLS)

    def secured(self, version: str) -> None:
        """The handshake has succeeded: the session starts again."""
        self.secure = True
        self.state = COMMAND
        self.active = self.listener.now
        self.facts = replace(self.facts, helo="", tls=version, user="")
        self.extended = False
        self._user_digest = None
        self._find_precondition()
        journal.secured(self.id, self.facts.remote_ip, version)

    def rank(self) -> Rank | None:
        """How readily it makes room for another client; None while a message waits for its reply."""
        if self.state is ACCEPTANCE:
            return None
        return rank(
            closing=self.state is CLOSING,
            transaction=self.envelope.mail_from is not None,
            authenticated=bool(self.facts.user),
            accepted=self.accepted,
            active=self.active,
            now=self.listener.now,
        )

    def closed(self, opened: float) -> None:
        """The connection is lost or about to be; `opened` is when it came, in monotonic seconds."""
        seconds = self.listener.now - opened
        journal.closed(self.id, self.facts.remote_ip, seconds, self.messages, self.refusals)
        if self.listener.on_closed is not None:
            self.listener.on_closed(self.facts, seconds, self.messages, self.refusals)
        self.state = CLOSING
        self.out.clear()
        if self._authentication is not None:
            self._authentication.abandon()

    # ---- configuration in force ----------------------------------------------------------------------

    def _adopt(self) -> bool:
        """Adopt a changed configuration, between two transactions; False when that ends the session."""
        config = self.config = self.listener.config
        facts = self.facts
        if not config.allows(facts.remote_ip):
            self.refuse(replies.NOT_ALLOWED, "command")
            self.state = CLOSING
            return False
        if facts.user and config.users.get(facts.user.encode()) != self._user_digest:
            self.facts = replace(facts, user="")
        self._find_precondition()
        return True

    def current(self) -> bool:
        """Adopt the configuration in force unless a transaction is open; False when that ends the session."""
        if self.listener.config is self.config or self.envelope.mail_from is not None:
            return True
        return self._adopt()

    def _find_precondition(self) -> None:
        config = self.config
        if config.tls_required and not self.secure:
            self.precondition = replies.NEED_TLS
        elif config.auth_required and not self.facts.user:
            self.precondition = replies.NEED_AUTH
        else:
            self.precondition = None

    # ---- AUTH ----------------------------------------------------------------------------------------

    def start_auth(self, mechanism: str, initial: str) -> None:
        """Begin an AUTH exchange; `initial` is the initial response, empty without."""
        auth = self._authentication
        if auth is None:
            auth = self._authentication = Authentication(self.config.hostname, self._loop)
        self._after_auth_step(auth, auth.start(mechanism, initial, self._password_matches))

    def auth_line(self, line: bytes) -> None:
        """Go on with an AUTH exchange by a line of the client's."""
        assert self._authentication is not None
        # Set first: an exception ends the exchange.
        self.state = COMMAND
        self._after_auth_step(self._authentication, self._authentication.advance(line))

    def _password_matches(self, name: bytes, password: bytes) -> bool:
        address, now, auth_throttle = self.facts.remote_ip, self.listener.now, self.listener.auth_throttle
        self._auth_wait = auth_throttle.wait(address, name, now)
        if self._auth_wait:
            return False
        matches = self.config.password_matches(name, password)
        if matches:
            auth_throttle.succeeded(address, name)
        else:
            auth_throttle.failed(address, name, now)
        return matches

    def _after_auth_step(self, auth: Authentication, pushed: list[bytes]) -> None:
        for reply in pushed:
            if reply == replies.AUTH_FAILED and self._auth_wait:
                self.dismiss(
                    replies.AUTH_THROTTLED,
                    "auth",
                    f"user {printable(auth.tried)}, not compared for another {self._auth_wait:.0f} s",
                )
            elif reply == replies.AUTH_FAILED:
                self.refuse(reply, "auth", detail=f"user {printable(auth.tried)}")
            elif reply[:1] in b"45":
                self.refuse(reply, "auth")
            else:
                self.out.append(reply)
        if self.state is CLOSING:
            return
        if auth.pending:
            self.state = AUTH
        elif auth.user is not None:
            self.active = self.listener.now
            facts = self.facts
            self.facts = replace(facts, user=auth.user.decode("utf-8", "replace"))
            self._user_digest = self.config.users.get(auth.user)
            self._find_precondition()
            journal.authenticated(self.id, facts.remote_ip, self.facts.user)
        elif auth.failures >= MAX_AUTH_FAILURES:
            self.dismiss(replies.TOO_MANY_AUTH_FAILURES, "auth")
