"""What the listener answers to each command (RFC 5321 4.1), and what it remembers of a transaction.

Nothing here reads or writes the connection: replies are appended, the session sends them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp import replies, syntax
from tubepost_dispatcher.smtp.auth import CLOSING, DATA, ColdCommands
from tubepost_dispatcher.smtp.listener import ListenerState
from tubepost_dispatcher.transaction import Recipient, SessionFacts

MAX_COMMAND_LINE = 510
"""Octets of a command line without CRLF (RFC 5321 4.5.3.1.4)."""
MAX_ENVELOPE_LINE = 2_046
"""The same for MAIL and RCPT, whose extensions add up to more than 1,000 (RFC 1870, 3461, 4954, 6531)."""
MAX_AUTH_COMMAND = 12_286
"""The same for AUTH with its initial response (RFC 4954 4)."""

_LONG_LINES = {b"MAIL": MAX_ENVELOPE_LINE, b"RCPT": MAX_ENVELOPE_LINE, b"AUTH": MAX_AUTH_COMMAND}

_control = re.compile(rb"[\x00-\x1f\x7f]").search


class Conversation(ColdCommands):
    """The commands of one session, and its transaction."""

    def __init__(self, listener: ListenerState, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(listener, loop)
        self._skipped = 0
        """Octets dropped of a line that is too long."""
        self._errors = 0
        """Commands refused since the last accepted message."""
        self._messages = 0
        self._retire = False
        """The next MAIL is answered with 421 4.3.2."""
        self._gate: bytes | None = None
        """The reply to MAIL and others while TLS or AUTH is missing."""
        self._data_since = 0.0
        self._mail_from: str | None = None
        self._recipients: list[Recipient[Any]] = []
        self._body = ""
        self._smtputf8 = False
        self._dsn: Mapping[str, str] | None = None

    def _command(self, line: bytes | None) -> None:
        """Answer one line, without its CRLF; None stands for a line that ended otherwise."""
        if line is None or self._skipped:
            self._error(replies.LINE_TOO_LONG if self._skipped else replies.BAD_LINE, "command")
            self._skipped = 0
            return
        verb = line[:4].upper()
        handler = self._handlers.get(verb)
        if len(line) > MAX_COMMAND_LINE and len(line) > _LONG_LINES.get(verb, MAX_COMMAND_LINE):
            self._error(replies.LINE_TOO_LONG, "command")
        elif handler is not None:
            handler(self, line)
        elif _control(line):
            self._error(replies.BAD_LINE, "command")
        else:
            self._error(replies.UNKNOWN_COMMAND, "command")

    def _error(self, reply: bytes, stage: str) -> None:
        """Refuse, count, and end the session of a client that gets too much wrong."""
        self._out.append(reply)
        self._listener.refused(stage, reply[:3].decode())
        if reply[0] == 0x35:  # 5yz
            self._errors += 1
            limit = self._config.limits.max_errors
            if limit and self._errors >= limit:
                self._out.append(replies.TOO_MANY_ERRORS)
                self._listener.refused("command", "421")
                self._state = CLOSING

    def _argument(self, line: bytes, verb: bytes = b"", *, wanted: bool = False) -> bytes | None:
        """What follows the verb; None, answered, when the line is malformed.

        `verb` is given where four letters do not tell it; `wanted` False refuses any argument.
        """
        if _control(line):
            self._error(replies.BAD_LINE, "command")
            return None
        found, _, argument = line.partition(b" ")
        if len(found) != (len(verb) or 4) or (verb and found.upper() != verb):
            self._error(replies.UNKNOWN_COMMAND, "command")
            return None
        argument = argument.strip(b" ")
        if argument and not wanted:
            self._error(replies.NO_ARGUMENT, "command")
            return None
        return argument

    # ---- config in force ---------------------------------------------------------------------------

    def _adopt(self) -> bool:
        """Take over changed config, between two transactions; False when the session ends by them."""
        config = self._config = self._listener.config
        facts = self._facts
        if not config.allows(facts.remote_ip):
            self._error(replies.NOT_ALLOWED, "command")
            self._state = CLOSING
            return False
        if facts.user and config.users.get(facts.user.encode()) != self._user_digest:
            self._facts = SessionFacts(facts.remote_ip, facts.remote_port, helo=facts.helo, tls=facts.tls)
            self.session.authenticated = None
        self._update_gate()
        return True

    def _current(self) -> bool:
        if self._listener.config is self._config or self._mail_from is not None:
            return True
        return self._adopt()

    def _update_gate(self) -> None:
        config = self._config
        if config.tls_required and not self._secure:
            self._gate = replies.NEED_TLS
        elif config.auth_required and not self._facts.user:
            self._gate = replies.NEED_AUTH
        else:
            self._gate = None

    # ---- commands ------------------------------------------------------------------------------------

    def _ehlo(self, line: bytes) -> None:
        argument = self._argument(line, wanted=True)
        if argument is None or not self._current():
            return
        if not argument:
            self._error(replies.SYNTAX_HELO, "command")
            return
        extended = line[:1] in b"Ee"
        config = self._config
        if not extended and config.tls_required and not self._secure:
            # RFC 3207 4 names the commands that stay open before STARTTLS; HELO leads nowhere.
            self._error(replies.NEED_TLS, "command")
            return
        self._reset()
        name = "".join(c if c.isprintable() else "?" for c in argument.decode("utf-8", "replace"))
        facts = self._facts
        self._facts = SessionFacts(
            facts.remote_ip, facts.remote_port, helo=name, tls=facts.tls, user=facts.user
        )
        self.session.host_name = name
        self.session.extended_smtp = extended
        if extended:
            self._out.append(config.ehlo_tls if self._secure else config.ehlo_plain)
        else:
            self._out.append(config.hello)

    def _mail(self, line: bytes) -> None:
        listener = self._listener
        if listener.config is not self._config and not self._current():
            return
        if self._retire and self._mail_from is None:
            self._out.append(replies.SHUTTING_DOWN if listener.draining else replies.SESSION_OVER)
            self._state = CLOSING
            return
        if self._gate is not None:
            self._error(self._gate, "mail")
            return
        if not self._facts.helo:
            self._error(replies.NEED_HELO, "mail")
            return
        if self._mail_from is not None:
            self._error(replies.NESTED_MAIL, "mail")
            return
        plain = syntax.FAST_MAIL(line)
        mail = None
        if plain is not None and (plain[2] is None or syntax.plain_domain(plain[2]) is not None):
            sender, _, declared, kind = plain.groups()
            address = sender.decode() if sender else ""
            size = int(declared) if declared else 0
            body = kind.decode() if kind else ""
        else:
            mail = self._read_mail(line)
            if mail is None:
                return
            address, size, body = mail.address, mail.size, mail.body
        limit = self._config.limits.max_message_size
        if limit and size > limit:
            self._error(replies.TOO_LARGE, "mail")
        else:
            self._mail_from = address
            self._body = body
            if mail is not None:
                self._smtputf8 = mail.smtputf8
                self._dsn = mail.dsn
            self._out.append(replies.SENDER_OK)

    def _read_mail(self, line: bytes) -> syntax.Mail | None:
        argument = self._argument(line, wanted=True)
        if argument is None:
            return None
        mail = syntax.parse_mail(argument)
        if isinstance(mail, Reply):
            self._error(replies.render(mail), "mail")
            return None
        return mail

    def _rcpt(self, line: bytes) -> None:
        if self._mail_from is None:
            if self._current():
                self._error(self._gate or replies.NEED_MAIL, "rcpt")
            return
        plain = syntax.FAST_RCPT(line)
        domain = syntax.plain_domain(plain[2]) if plain is not None else None
        dsn = None
        if plain is not None and domain is not None:
            address = plain[1].decode()
        else:
            argument = self._argument(line, wanted=True)
            if argument is None:
                return
            rcpt = syntax.parse_rcpt(argument, smtputf8=self._smtputf8)
            if isinstance(rcpt, Reply):
                self._error(replies.render(rcpt), "rcpt")
                return
            address, domain, dsn = rcpt.address, rcpt.domain, rcpt.dsn
            # RFC 5321 4.5.1: `postmaster` alone is the postmaster of this very host.
            domain = domain or self._config.hostname.lower()
        serving = self._config.acceptance.check_recipient(self._facts, domain, len(self._recipients))
        if isinstance(serving, Reply):
            self._error(replies.render(serving), "rcpt")
        else:
            self._recipients.append(Recipient(address, domain, serving, dsn))
            self._out.append(replies.RECIPIENT_OK)

    def _data(self, line: bytes) -> None:
        if line not in (b"DATA", b"data") and self._argument(line) is None:
            return
        if self._recipients:
            self._out.append(replies.GO_AHEAD)
            self._state = DATA
            self._data_since = self._listener.now
        elif self._mail_from is not None:
            self._error(replies.NO_RECIPIENTS, "data")
        else:
            self._error(self._gate or replies.NEED_MAIL, "data")

    def _rset(self, line: bytes) -> None:
        if self._argument(line) is not None:
            self._reset()
            self._out.append(replies.OK)

    def _noop(self, line: bytes) -> None:
        if self._argument(line, wanted=True) is not None:
            self._out.append(replies.OK)

    def _quit(self, line: bytes) -> None:
        if self._argument(line) is not None:
            self._out.append(replies.BYE)
            self._state = CLOSING

    def _help(self, line: bytes) -> None:
        if self._argument(line, wanted=True) is not None:
            self._out.append(replies.HELP)

    def _vrfy(self, line: bytes) -> None:
        if self._argument(line, wanted=True) is None or not self._current():
            return
        if self._gate is not None:
            self._error(self._gate, "command")
        else:
            self._out.append(replies.CANNOT_VERIFY)

    def _not_implemented(self, line: bytes) -> None:
        if self._argument(line, line.partition(b" ")[0].upper(), wanted=True) is not None:
            self._error(replies.NOT_IMPLEMENTED, "command")

    def _not_smtp(self, line: bytes) -> None:
        # A proxy's header or a browser's request: whatever follows was not written for a mail server.
        del line
        self._error(replies.NOT_SMTP, "command")
        self._state = CLOSING

    def _starttls(self, line: bytes) -> None:
        if self._argument(line, b"STARTTLS") is None:
            return
        if not self._current():
            return
        if self._secure:
            self._error(replies.TLS_ALREADY, "tls")
        elif self._mail_from is not None:
            self._error(replies.NOT_NOW, "tls")
        elif self._config.tls is None:
            self._error(replies.TLS_NOT_AVAILABLE, "tls")
        else:
            self._start_cold(self.smtp_STARTTLS(""))

    def _auth(self, line: bytes) -> None:
        argument = self._argument(line, wanted=True)
        if argument is None or not self._current():
            return
        config = self._config
        words = argument.split()
        if not config.auth_offered:
            self._error(replies.NOT_IMPLEMENTED, "auth")
        elif not self.session.host_name or not self.session.extended_smtp:
            self._error(replies.NEED_EHLO, "auth")
        elif config.auth_needs_tls and not self._secure:
            self._error(replies.AUTH_NEEDS_TLS, "auth")
        elif config.tls_required and not self._secure:
            self._error(replies.NEED_TLS, "auth")
        elif self._mail_from is not None:
            self._error(replies.NOT_NOW, "auth")
        elif self._facts.user:
            self._error(replies.AUTH_ALREADY, "auth")
        elif not 1 <= len(words) <= 2 or not argument.isascii():
            self._error(replies.SYNTAX_AUTH, "auth")
        elif words[0].upper() not in (b"PLAIN", b"LOGIN"):
            self._error(replies.UNKNOWN_MECHANISM, "auth")
        elif not config.users:
            self._error(replies.AUTH_NOT_READY, "auth")
        else:
            self._start_cold(self._authenticate_client(b" ".join(words).decode()))

    def _reset(self) -> None:
        self._mail_from = None
        self._recipients = []
        self._body = ""
        self._smtputf8 = False
        self._dsn = None

    def _forget(self) -> None:
        """Forget what the client said before TLS (RFC 3207 4.2)."""
        self._reset()

    _handlers: ClassVar[Mapping[bytes, Callable[[Any, bytes], None]]] = {
        b"EHLO": _ehlo,
        b"HELO": _ehlo,
        b"MAIL": _mail,
        b"RCPT": _rcpt,
        b"DATA": _data,
        b"RSET": _rset,
        b"NOOP": _noop,
        b"QUIT": _quit,
        b"HELP": _help,
        b"VRFY": _vrfy,
        b"STAR": _starttls,
        b"AUTH": _auth,
        b"EXPN": _not_implemented,
        b"TURN": _not_implemented,
        b"ETRN": _not_implemented,
        b"BDAT": _not_implemented,
        b"XCLI": _not_implemented,
        b"XFOR": _not_implemented,
        b"PROX": _not_smtp,
        b"GET ": _not_smtp,
        b"PUT ": _not_smtp,
        b"POST": _not_smtp,
        b"HEAD": _not_smtp,
        b"CONN": _not_smtp,
        b"OPTI": _not_smtp,
    }
