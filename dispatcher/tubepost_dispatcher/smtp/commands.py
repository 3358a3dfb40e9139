"""The commands of SMTP (RFC 5321 4.1 and its extensions): what each does to a session and answers.

A handler gets the whole line, since most clients' lines can be matched whole, and answers it in `smtp.out`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp import journal, replies, syntax
from tubepost_dispatcher.smtp.auth import MECHANISMS
from tubepost_dispatcher.smtp.protocol import SmtpProtocol
from tubepost_dispatcher.smtp.state import CLOSING, COMMAND, DATA, STARTTLS
from tubepost_dispatcher.text import printable, visible
from tubepost_dispatcher.transaction import DomainT, Recipient

MAX_COMMAND_LINE = 510
"""Octets of a command line without CRLF (RFC 5321 4.5.3.1.4)."""
MAX_ENVELOPE_LINE = 2_046
"""The same for MAIL and RCPT, whose extensions add up to more than 1,000 (RFC 1870, 3461, 4954, 6531)."""
MAX_AUTH_COMMAND = 12_286
"""The same for AUTH with its initial response (RFC 4954 4)."""
MAX_SKIPPED = 65_536
"""Octets of an overlong line that are followed to its end; a longer one ends the session."""
RECIPIENT_OVERSHOOT = 1_000
"""RCPT commands above `maxRecipients` that are refused and not yet counted as errors of the client.

A sender with more recipients keeps those that were refused for its next transaction (RFC 5321 4.5.3.1.10)
and may have sent them all in one go. Postfix has the same (smtpd_recipient_overshoot_limit)."""

MISSING_BRACKETS: Final = "missing_angle_brackets"
"""The warning of MAIL and RCPT with an address that has no angle brackets (RFC 5321 4.1.2)."""

_LONG_LINES: Final = {b"MAIL": MAX_ENVELOPE_LINE, b"RCPT": MAX_ENVELOPE_LINE, b"AUTH": MAX_AUTH_COMMAND}

_PROXY_V2: Final = b"\r\n\r\n\x00"
"""How the signature of version 2 of the PROXY protocol begins: nobody's first command."""
_TLS_RECORD: Final = b"\x16"
"""The first octet of a TLS handshake."""

_control: Final = re.compile(rb"[\x00-\x1f\x7f]").search


def answer(smtp: SmtpProtocol[DomainT], line: bytes | None) -> None:
    """Answer one line, without its CRLF; None stands for a line that ended otherwise."""
    if not smtp.listener.verbose:
        _answer(smtp, line)
        return
    before = len(smtp.out)
    _answer(smtp, line)
    journal.exchanged(smtp.id, smtp.facts.remote_ip, line, smtp.out[before:])


def answer_auth(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    """Answer one line of an AUTH exchange."""
    before = len(smtp.out)
    smtp.auth_line(line)
    if smtp.listener.verbose:
        journal.auth_exchanged(smtp.id, smtp.facts.remote_ip, line, smtp.out[before:])


def _answer(smtp: SmtpProtocol[DomainT], line: bytes | None) -> None:
    if line is None or smtp.skipped:
        smtp.refuse(replies.LINE_TOO_LONG if smtp.skipped else replies.BAD_LINE, "command")
        smtp.skipped = 0
        return
    verb = line[:4].upper()
    handler = _HANDLERS.get(verb)
    if len(line) > MAX_COMMAND_LINE and len(line) > _LONG_LINES.get(verb, MAX_COMMAND_LINE):
        smtp.refuse(replies.LINE_TOO_LONG, "command")
    elif handler is not None:
        handler(smtp, line)
    elif _control(line):
        smtp.refuse(replies.BAD_LINE, "command")
    else:
        smtp.refuse(replies.UNKNOWN_COMMAND, "command")


def first_input(smtp: SmtpProtocol[DomainT], chunk: bytes) -> None:
    """Recognise who does not speak SMTP by the first octets, since not all of them send lines."""
    smtp.state = COMMAND
    if chunk.startswith(_PROXY_V2):
        _proxy_header(smtp, chunk)
    elif chunk.startswith(_TLS_RECORD):
        smtp.refuse(replies.TLS_TOO_EARLY, "tls")
        smtp.state = CLOSING


def drop_overlong(smtp: SmtpProtocol[DomainT], chunk: bytes, position: int) -> int:
    """Drop what has come of a line that is too long already, and return the position behind it.

    The line's end gets the reply. AUTH with its initial response may be longer than other commands.
    """
    left = len(chunk) - position
    if (
        not smtp.skipped
        and left <= MAX_AUTH_COMMAND + 1
        and chunk[position : position + 5].upper() == b"AUTH "
    ):
        return position
    smtp.skipped += left
    if smtp.skipped > MAX_SKIPPED:
        smtp.refuse(replies.LINE_TOO_LONG, "command")
        smtp.state = CLOSING
    return len(chunk)


def _argument(
    smtp: SmtpProtocol[DomainT], line: bytes, verb: bytes = b"", *, wanted: bool = False
) -> bytes | None:
    """What follows the verb; None, answered, when the line is malformed.

    `verb` is given where four letters do not tell it; `wanted` False refuses any argument.
    """
    if _control(line):
        smtp.refuse(replies.BAD_LINE, "command")
        return None
    found, _, argument = line.partition(b" ")
    if len(found) != (len(verb) or 4) or (verb and found.upper() != verb):
        smtp.refuse(replies.UNKNOWN_COMMAND, "command")
        return None
    argument = argument.strip(b" ")
    if argument and not wanted:
        smtp.refuse(replies.NO_ARGUMENT, "command")
        return None
    return argument


def _ehlo(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    argument = _argument(smtp, line, wanted=True)
    if argument is None or not smtp.current():
        return
    if not argument:
        smtp.refuse(replies.SYNTAX_HELO, "command")
        return
    extended = line[:1] in b"Ee"
    config = smtp.config
    if not extended and config.tls_required and not smtp.secure:
        # RFC 3207 4 names the commands that stay open before STARTTLS; HELO leads nowhere.
        smtp.refuse(replies.NEED_TLS, "command")
        return
    smtp.envelope.clear()
    name = visible(argument.decode("utf-8", "replace"))
    facts = smtp.facts
    if not facts.helo:
        smtp.active = smtp.listener.now
    smtp.facts = replace(facts, helo=name)
    smtp.extended = extended
    if extended:
        smtp.out.append(config.ehlo_tls if smtp.secure else config.ehlo_plain)
    else:
        smtp.out.append(config.hello)


def _mail(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    listener = smtp.listener
    envelope = smtp.envelope
    if listener.config is not smtp.config and not smtp.current():
        return
    if smtp.retiring and envelope.mail_from is None:
        smtp.out.append(replies.SHUTTING_DOWN if listener.ending else replies.SESSION_OVER)
        smtp.state = CLOSING
        return
    if smtp.precondition is not None:
        smtp.refuse(smtp.precondition, "mail")
        return
    if not smtp.facts.helo:
        smtp.refuse(replies.NEED_HELO, "mail")
        return
    if envelope.mail_from is not None:
        smtp.refuse(replies.NESTED_MAIL, "mail")
        return
    plain = syntax.plain_mail(line)
    mail = None
    if plain is not None:
        address, size, body = plain
    else:
        mail = _read_mail(smtp, line)
        if mail is None:
            return
        address, size, body = mail.address, mail.size, mail.body
    limit = smtp.config.max_message_size
    if limit and size > limit:
        smtp.refuse(replies.TOO_LARGE, "mail")
    else:
        envelope.mail_from = address
        envelope.body_type = body
        if mail is not None:
            envelope.smtputf8 = mail.smtputf8
            envelope.dsn = mail.dsn
            if mail.bare:
                smtp.warn(MISSING_BRACKETS)
        smtp.out.append(replies.SENDER_OK)


def _read_mail(smtp: SmtpProtocol[DomainT], line: bytes) -> syntax.Mail | None:
    argument = _argument(smtp, line, wanted=True)
    if argument is None:
        return None
    mail = syntax.parse_mail(argument)
    if isinstance(mail, Reply):
        smtp.refuse(mail, "mail")
        return None
    return mail


def _rcpt(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    envelope = smtp.envelope
    if envelope.mail_from is None:
        if smtp.current():
            smtp.refuse(smtp.precondition or replies.NEED_MAIL, "rcpt")
        return
    count = envelope.rcpt_commands = envelope.rcpt_commands + 1
    if count > smtp.config.max_recipients:
        excess = count > smtp.config.max_recipients + RECIPIENT_OVERSHOOT
        smtp.refuse(replies.TOO_MANY_RECIPIENTS, "rcpt", excess=excess)
        return
    plain = syntax.plain_rcpt(line)
    dsn = None
    if plain is not None:
        address, domain = plain
    else:
        argument = _argument(smtp, line, wanted=True)
        if argument is None:
            return
        rcpt = syntax.parse_rcpt(argument, smtputf8=envelope.smtputf8)
        if isinstance(rcpt, Reply):
            smtp.refuse(rcpt, "rcpt")
            return
        if rcpt.bare:
            smtp.warn(MISSING_BRACKETS)
        address, domain, dsn = rcpt.address, rcpt.domain, rcpt.dsn
        # RFC 5321 4.5.1: `postmaster` alone is the postmaster of this very host.
        domain = domain or smtp.config.hostname.lower()
    serving = smtp.config.acceptance.check_recipient(smtp.facts, domain, len(envelope.recipients))
    if isinstance(serving, Reply):
        smtp.refuse(serving, "rcpt", detail=f"domain {printable(domain)}")
    else:
        envelope.recipients.append(Recipient(address, domain, serving, dsn))
        smtp.out.append(replies.RECIPIENT_OK)


def _data(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    if line not in (b"DATA", b"data") and _argument(smtp, line) is None:
        return
    if smtp.envelope.recipients:
        smtp.out.append(replies.GO_AHEAD)
        smtp.state = DATA
        smtp.data_since = smtp.listener.now
    elif smtp.envelope.mail_from is not None:
        smtp.refuse(replies.NO_RECIPIENTS, "data")
    else:
        smtp.refuse(smtp.precondition or replies.NEED_MAIL, "data")


def _rset(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    if _argument(smtp, line) is not None:
        smtp.envelope.clear()
        smtp.out.append(replies.OK)


def _noop(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    if _argument(smtp, line, wanted=True) is not None:
        smtp.out.append(replies.OK)


def _quit(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    if _argument(smtp, line) is not None:
        smtp.out.append(replies.BYE)
        smtp.state = CLOSING


def _help(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    if _argument(smtp, line, wanted=True) is not None:
        smtp.out.append(replies.HELP)


def _vrfy(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    if _argument(smtp, line, wanted=True) is None or not smtp.current():
        return
    if smtp.precondition is not None:
        smtp.refuse(smtp.precondition, "command")
    else:
        smtp.out.append(replies.CANNOT_VERIFY)


def _not_implemented(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    if _argument(smtp, line, line.partition(b" ")[0].upper(), wanted=True) is not None:
        smtp.refuse(replies.NOT_IMPLEMENTED, "command")


def _not_smtp(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    # A browser's request: whatever follows was not written for a mail server.
    smtp.refuse(replies.NOT_SMTP, "command", detail=f"HTTP method {printable(line.partition(b' ')[0], 8)}")
    smtp.state = CLOSING


def _proxy_header(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    version = 1 if line[:1] in b"Pp" else 2
    smtp.refuse(replies.PROXY_HEADER, "command", detail=f"PROXY protocol version {version}")
    smtp.state = CLOSING


def _starttls(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    if _argument(smtp, line, b"STARTTLS") is None:
        return
    if not smtp.current():
        return
    if smtp.secure:
        smtp.refuse(replies.TLS_ALREADY, "tls")
    elif smtp.envelope.mail_from is not None:
        smtp.refuse(replies.NOT_NOW, "tls")
    elif smtp.config.tls is None:
        smtp.refuse(replies.TLS_NOT_AVAILABLE, "tls")
    else:
        smtp.state = STARTTLS


def _auth(smtp: SmtpProtocol[DomainT], line: bytes) -> None:
    argument = _argument(smtp, line, wanted=True)
    if argument is None or not smtp.current():
        return
    config = smtp.config
    words = argument.split()
    if not config.auth_offered:
        smtp.refuse(replies.NOT_IMPLEMENTED, "auth")
    elif not smtp.extended:
        smtp.refuse(replies.NEED_EHLO, "auth")
    elif config.auth_needs_tls and not smtp.secure:
        smtp.refuse(replies.AUTH_NEEDS_TLS, "auth")
    elif config.tls_required and not smtp.secure:
        smtp.refuse(replies.NEED_TLS, "auth")
    elif smtp.envelope.mail_from is not None:
        smtp.refuse(replies.NOT_NOW, "auth")
    elif smtp.facts.user:
        smtp.refuse(replies.AUTH_ALREADY, "auth")
    elif not 1 <= len(words) <= 2 or not argument.isascii():
        smtp.refuse(replies.SYNTAX_AUTH, "auth")
    elif words[0].upper() not in MECHANISMS:
        smtp.refuse(replies.UNKNOWN_MECHANISM, "auth")
    elif not config.users:
        smtp.refuse(replies.AUTH_NOT_READY, "auth")
    else:
        # RFC 4954 4: `=` stands for an initial response of no octets, which no mechanism here can use.
        # aiosmtpd wants the mechanism in capitals.
        smtp.start_auth(words[0].upper().decode(), words[1].decode() if len(words) > 1 else "")


_HANDLERS: Mapping[bytes, Callable[[SmtpProtocol[Any], bytes], None]] = {
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
    b"PROX": _proxy_header,
    b"\0": _proxy_header,
    b"GET ": _not_smtp,
    b"PUT ": _not_smtp,
    b"POST": _not_smtp,
    b"HEAD": _not_smtp,
    b"CONN": _not_smtp,
    b"OPTI": _not_smtp,
}
