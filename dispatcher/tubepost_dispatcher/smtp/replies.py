"""Every reply of the listener, as it goes on the wire (RFC 5321 4.2, RFC 2034, RFC 3463).

Codes and texts of refusals stand in the catalogue (`reasons`); here they are rendered, once.
"""

from __future__ import annotations

from typing import Final

from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply

MAX_TEXT = 450
"""Octets of a reply's text; a reply line has 512 with code and line end (RFC 5321 4.5.3.1.5)."""

OK: Final = b"250 2.0.0 OK\r\n"
SENDER_OK: Final = b"250 2.1.0 Sender OK\r\n"
RECIPIENT_OK: Final = b"250 2.1.5 Recipient OK\r\n"
GO_AHEAD: Final = b"354 End data with <CR><LF>.<CR><LF>\r\n"
BYE: Final = b"221 2.0.0 Bye\r\n"
READY_FOR_TLS: Final = b"220 2.0.0 Ready to start TLS\r\n"
CANNOT_VERIFY: Final = b"252 2.1.5 Cannot verify, send some mail to find out\r\n"
HELP: Final = (
    b"214-2.0.0 Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA RSET NOOP QUIT HELP VRFY\r\n"
    b"214 2.0.0 Extensions: as listed in the reply to EHLO\r\n"
)


def render(reply: Reply, message_id: str = "") -> bytes:
    """One reply line. What is not printable ASCII becomes `?`, so that no value can forge a reply.

    `message_id` is named at the end of a reply to a message, ` id=...`, where its text does not name it.
    """
    number, enhanced, text, *_ = reply
    if not (text.isascii() and text.isprintable()):
        text = "".join(c if " " <= c <= "~" else "?" for c in text)
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT]
    if message_id and message_id not in text:
        text = f"{text} id={message_id}"
    return f"{number} {enhanced} {text}\r\n".encode("ascii", "replace")


def code(line: bytes) -> str:
    """The reply code of a reply line, as a label of metrics."""
    return line[:3].decode()


_reasons: dict[bytes, str] = {}


def refuse(reason: str) -> bytes:
    """The reply line of a reason of the catalogue; its row is where code and text are."""
    line = render(refusal(reason))
    _reasons[line] = reason
    return line


def reason(line: bytes) -> str:
    """The reason of a line that `refuse` made; empty for others."""
    return _reasons.get(line, "")


def text(line: bytes) -> str:
    """A reply line for the log: without its line end."""
    return line[:-2].decode()


def of_session(line: bytes, session: str) -> bytes:
    """A reply line that names the session at its end, for who has to find its lines in the log."""
    return b"%b session=%b\r\n" % (line[:-2], session.encode())


SHUTTING_DOWN: Final[bytes] = refuse("ServiceClosing")
OVERLOADED: Final[bytes] = refuse("Overloaded")
SESSION_OVER: Final[bytes] = refuse("SessionExpired")
IDLE: Final[bytes] = refuse("CommandTimeout")
TOO_SLOW: Final[bytes] = refuse("MessageTooSlow")
TOO_MANY_CONNECTIONS: Final[bytes] = refuse("TooManyConnections")
EVICTED: Final[bytes] = refuse("ConnectionEvicted")
TOO_MANY_CLIENT_CONNECTIONS: Final[bytes] = refuse("TooManyClientConnections")
TOO_MANY_ERRORS: Final[bytes] = refuse("TooManyErrors")
TOO_MANY_AUTH_FAILURES: Final[bytes] = refuse("TooManyAuthFailures")
AUTH_THROTTLED: Final[bytes] = refuse("AuthThrottled")
NOT_ALLOWED: Final[bytes] = refuse("ClientNotAllowed")

OUR_FAULT: Final[bytes] = refuse("InternalError")
NO_SPACE: Final[bytes] = refuse("InsufficientStorage")
TOO_MANY_RECIPIENTS: Final[bytes] = refuse("TooManyRecipients")
TLS_NOT_AVAILABLE: Final[bytes] = refuse("TlsNotAvailable")
AUTH_NOT_READY: Final[bytes] = refuse("AuthNotReady")

LINE_TOO_LONG: Final[bytes] = refuse("CommandLineTooLong")
AUTH_LINE_TOO_LONG: Final[bytes] = refuse("AuthLineTooLong")
BAD_LINE: Final[bytes] = refuse("MalformedLine")
UNKNOWN_COMMAND: Final[bytes] = refuse("UnknownCommand")
NOT_IMPLEMENTED: Final[bytes] = refuse("CommandNotImplemented")
NO_ARGUMENT: Final[bytes] = refuse("UnexpectedArgument")
SYNTAX_HELO: Final[bytes] = refuse("HelloSyntax")
SYNTAX_AUTH: Final[bytes] = refuse("AuthSyntax")
NEED_HELO: Final[bytes] = refuse("HelloFirst")
NEED_EHLO: Final[bytes] = refuse("EhloFirst")
NEED_MAIL: Final[bytes] = refuse("MailFirst")
NESTED_MAIL: Final[bytes] = refuse("NestedMail")
NOT_NOW: Final[bytes] = refuse("AmidTransaction")
TLS_ALREADY: Final[bytes] = refuse("TlsActive")
AUTH_ALREADY: Final[bytes] = refuse("AuthActive")
UNKNOWN_MECHANISM: Final[bytes] = refuse("UnknownMechanism")
NEED_TLS: Final[bytes] = refuse("TlsRequired")
NEED_AUTH: Final[bytes] = refuse("AuthRequired")
AUTH_FAILED: Final[bytes] = refuse("AuthFailed")
AUTH_NOT_BASE64: Final[bytes] = refuse("AuthNotBase64")
AUTH_MALFORMED: Final[bytes] = refuse("AuthMalformed")
AUTH_ABORTED: Final[bytes] = refuse("AuthAborted")
AUTH_NEEDS_TLS: Final[bytes] = refuse("AuthNeedsTls")
TOO_LARGE: Final[bytes] = refuse("MessageTooLarge")
HEADER_TOO_LARGE: Final[bytes] = refuse("HeaderTooLarge")
LONG_TEXT_LINE: Final[bytes] = refuse("MessageLineTooLong")
NO_RECIPIENTS: Final[bytes] = refuse("NoRecipients")
NOT_SMTP: Final[bytes] = refuse("NotSmtp")
PROXY_HEADER: Final[bytes] = refuse("ProxyHeader")
PROXY_HEADER_EXPECTED: Final[bytes] = refuse("ProxyHeaderExpected")
TLS_TOO_EARLY: Final[bytes] = refuse("TlsTooEarly")
