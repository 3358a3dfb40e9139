"""Every reply of the listener, as it goes on the wire (RFC 5321 4.2, RFC 2034, RFC 3463)."""

from __future__ import annotations

from tubepost_dispatcher.reply import Reply

MAX_TEXT = 450
"""Octets of a reply's text; a reply line has 512 with code and line end (RFC 5321 4.5.3.1.5)."""

OK = b"250 2.0.0 OK\r\n"
SENDER_OK = b"250 2.1.0 Sender OK\r\n"
RECIPIENT_OK = b"250 2.1.5 Recipient OK\r\n"
GO_AHEAD = b"354 End data with <CR><LF>.<CR><LF>\r\n"
BYE = b"221 2.0.0 Bye\r\n"
READY_FOR_TLS = b"220 2.0.0 Ready to start TLS\r\n"
CANNOT_VERIFY = b"252 2.1.5 Cannot verify, send some mail to find out\r\n"
HELP = (
    b"214-2.0.0 Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA RSET NOOP QUIT HELP VRFY\r\n"
    b"214 2.0.0 Extensions: as listed in the reply to EHLO\r\n"
)

SHUTTING_DOWN = b"421 4.3.2 Shutting down, try again\r\n"
OVERLOADED = b"421 4.3.2 Too busy, try again later\r\n"
SESSION_OVER = b"421 4.3.2 Session has served its time, connect again\r\n"
IDLE = b"421 4.4.2 Timeout, closing the connection\r\n"
TOO_SLOW = b"421 4.4.2 Too slow, closing the connection\r\n"
TOO_MANY_CONNECTIONS = b"421 4.7.0 Too many connections, try later\r\n"
TOO_MANY_CLIENT_CONNECTIONS = b"421 4.7.0 Too many connections from your address\r\n"
TOO_MANY_ERRORS = b"421 4.7.0 Too many errors, closing the connection\r\n"
TOO_MANY_AUTH_FAILURES = b"421 4.7.0 Too many failed authentications\r\n"
NOT_ALLOWED = b"554 5.7.1 Client address not allowed\r\n"

OUR_FAULT = b"451 4.3.0 Internal error, try again later\r\n"
NO_SPACE = b"452 4.3.1 Insufficient storage, try again later\r\n"
TOO_MANY_RECIPIENTS = b"452 4.5.3 Too many recipients\r\n"
TLS_NOT_AVAILABLE = b"454 4.7.0 TLS not available\r\n"
AUTH_NOT_READY = b"454 4.7.0 Temporary authentication failure\r\n"

LINE_TOO_LONG = b"500 5.5.2 Command line too long\r\n"
AUTH_LINE_TOO_LONG = b"500 5.5.6 Authentication exchange line too long\r\n"
BAD_LINE = b"500 5.5.2 Lines end with CRLF and hold no control characters\r\n"
UNKNOWN_COMMAND = b"500 5.5.1 Command not recognised\r\n"
NOT_IMPLEMENTED = b"502 5.5.1 Command not implemented\r\n"
NO_ARGUMENT = b"501 5.5.4 This command takes no argument\r\n"
SYNTAX_HELO = b"501 5.5.4 Syntax: EHLO or HELO with the client's name\r\n"
SYNTAX_AUTH = b"501 5.5.4 Syntax: AUTH mechanism [initial-response]\r\n"
NEED_HELO = b"503 5.5.1 Send EHLO or HELO first\r\n"
NEED_EHLO = b"503 5.5.1 Send EHLO first\r\n"
NEED_MAIL = b"503 5.5.1 Need MAIL first\r\n"
NESTED_MAIL = b"503 5.5.1 Sender already given\r\n"
NOT_NOW = b"503 5.5.1 Not during a mail transaction\r\n"
TLS_ALREADY = b"503 5.5.1 TLS already in use\r\n"
AUTH_ALREADY = b"503 5.5.1 Already authenticated\r\n"
UNKNOWN_MECHANISM = b"504 5.5.4 Unrecognised authentication mechanism\r\n"
NEED_TLS = b"530 5.7.0 Must issue a STARTTLS command first\r\n"
NEED_AUTH = b"530 5.7.0 Authentication required\r\n"
AUTH_NEEDS_TLS = b"538 5.7.11 Encryption required for requested authentication mechanism\r\n"
TOO_LARGE = b"552 5.3.4 Message size exceeds the limit\r\n"
HEADER_TOO_LARGE = b"552 5.3.4 Message header exceeds the limit\r\n"
LONG_TEXT_LINE = b"554 5.6.0 Message has a line that is longer than the limit\r\n"
NO_RECIPIENTS = b"554 5.5.1 No valid recipients\r\n"
NOT_SMTP = b"554 5.5.1 This is an SMTP server\r\n"


def render(reply: Reply) -> bytes:
    """One reply line. What is not printable ASCII becomes `?`, so that no value can forge a reply."""
    code, enhanced, text, _ = reply
    if not (text.isascii() and text.isprintable()):
        text = "".join(c if " " <= c <= "~" else "?" for c in text)
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT]
    return f"{code} {enhanced} {text}\r\n".encode("ascii", "replace")
