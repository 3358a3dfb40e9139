"""The listener's reasons: sessions, commands and messages that SMTP itself refuses. Data."""

from __future__ import annotations

from typing import Final

from tubepost_dispatcher.outcome import OutcomeKind
from tubepost_dispatcher.reasons.spec import ReasonSpec, Source


def _row(reason: str, code: int, enhanced: str, text: str, help_: str, remedy: str) -> ReasonSpec:
    kind = OutcomeKind.TRANSIENT if code < 500 else OutcomeKind.PERMANENT
    legacy_code = 1 if kind is OutcomeKind.TRANSIENT else 4
    return ReasonSpec(reason, kind, code, enhanced, help_, remedy, legacy_code, text, source=Source.LISTENER)


_AGAIN = "Connect again; mail servers do so by themselves."
_CLIENT = "Correct the client; mail libraries do it right."

_SESSIONS = (
    _row(
        "ServiceClosing",
        421,
        "4.3.2",
        "Shutting down, try again",
        "The pod or its worker is being stopped or replaced; the session ended between two transactions.",
        _AGAIN,
    ),
    _row(
        "Overloaded",
        421,
        "4.3.2",
        "Too busy, try again later",
        "The dispatcher has no room for more messages that wait.",
        "Raise spec.replicas or the pod's memory if it lasts.",
    ),
    _row(
        "SessionExpired",
        421,
        "4.3.2",
        "Session has served its time, connect again",
        "The session reached spec.listener.limits.maxSessionAge or maxMessagesPerSession.",
        _AGAIN,
    ),
    _row(
        "CommandTimeout",
        421,
        "4.4.2",
        "Timeout, closing the connection",
        "The client did nothing useful for spec.listener.limits.commandTimeout, or for 10 s near "
        "maxConnections or maxConnectionsPerClient. NOOP, RSET and what was refused do not count.",
        "Close connections that are not in use, or raise commandTimeout.",
    ),
    _row(
        "MessageTooSlow",
        421,
        "4.4.2",
        "Too slow, closing the connection",
        "A message came at less than 1,024 bytes a second.",
        "Check the network between the sender and the pod.",
    ),
    _row(
        "TooManyConnections",
        421,
        "4.7.0",
        "Too many connections, try later",
        "spec.listener.limits.maxConnections sessions are open, and this address has its share of them.",
        "Let senders reuse connections, raise the limit, or raise spec.replicas.",
    ),
    _row(
        "ConnectionEvicted",
        421,
        "4.7.0",
        "Too many connections, this one makes room",
        "spec.listener.limits.maxConnections sessions are open, the most of them from this address, and a "
        "client with fewer came. Idle ones go first, those that authenticated or sent a message lately last.",
        "Close connections that are not in use, or raise the limit.",
    ),
    _row(
        "TooManyClientConnections",
        421,
        "4.7.0",
        "Too many connections from your address",
        "spec.listener.limits.maxConnectionsPerClient sessions are open from one address.",
        "Let the sender use fewer connections, or raise the limit.",
    ),
    _row(
        "TooManyErrors",
        421,
        "4.7.0",
        "Too many errors, closing the connection",
        "spec.listener.limits.maxErrors commands were refused since the last accepted message.",
        "See what the refused commands were answered.",
    ),
    _row(
        "TooManyAuthFailures",
        421,
        "4.7.0",
        "Too many failed authentications",
        "Three times in one session the name or the password was wrong.",
        "Compare the client's password with the Secret of spec.listener.auth.",
    ),
    _row(
        "AuthThrottled",
        421,
        "4.7.0",
        "Too many failed authentications from your address, try later",
        "The name or the password was wrong too often from this address; the wait grows with each failure, "
        "up to a minute, and nothing is compared meanwhile. A name that has authenticated from there before "
        "waits 5 s at most.",
        "Look in the log for the names that failed, and correct the client that uses them.",
    ),
    _row(
        "ClientNotAllowed",
        554,
        "5.7.1",
        "Client address not allowed",
        "The client's address is not in spec.listener.allowedNetworks.",
        "Add its network; behind a Service the address may be a node's.",
    ),
    _row(
        "NotSmtp",
        554,
        "5.5.1",
        "This is an SMTP server",
        "An HTTP request came.",
        "Point the client at another port.",
    ),
    _row(
        "ProxyHeader",
        554,
        "5.5.1",
        "PROXY protocol header not supported",
        "A load balancer sent a header of the PROXY protocol, version 1 or 2.",
        "Switch the PROXY protocol off for this port.",
    ),
    _row(
        "TlsTooEarly",
        554,
        "5.7.0",
        "TLS begins with STARTTLS here",
        "The client sent a TLS handshake where the greeting had to be answered (implicit TLS, SMTPS).",
        "Set the client to STARTTLS.",
    ),
)

_ORDER = (
    _row("HelloFirst", 503, "5.5.1", "Send EHLO or HELO first", "MAIL came before EHLO and HELO.", _CLIENT),
    _row("EhloFirst", 503, "5.5.1", "Send EHLO first", "AUTH came before EHLO.", _CLIENT),
    _row("MailFirst", 503, "5.5.1", "Need MAIL first", "RCPT or DATA came before MAIL.", _CLIENT),
    _row("NestedMail", 503, "5.5.1", "Sender already given", "MAIL came twice.", _CLIENT),
    _row(
        "AmidTransaction",
        503,
        "5.5.1",
        "Not during a mail transaction",
        "STARTTLS or AUTH came between MAIL and the message.",
        _CLIENT,
    ),
    _row(
        "NoRecipients",
        554,
        "5.5.1",
        "No valid recipients",
        "DATA came, and every recipient had been refused.",
        "See what the RCPT commands were answered.",
    ),
    _row(
        "TooManyRecipients",
        452,
        "4.5.3",
        "Too many recipients",
        "The transaction has had spec.listener.limits.maxRecipients RCPT commands.",
        "Send the others in another transaction; mail servers do so by themselves.",
    ),
)

_SECURITY = (
    _row(
        "TlsRequired",
        530,
        "5.7.0",
        "Must issue a STARTTLS command first",
        "spec.listener.startTls.mode is Required.",
        "Switch STARTTLS on in the client.",
    ),
    _row(
        "TlsNotAvailable",
        454,
        "4.7.0",
        "TLS not available",
        "There is no usable certificate for STARTTLS, or it is switched off.",
        "Check the Secret of spec.listener.startTls.",
    ),
    _row("TlsActive", 503, "5.5.1", "TLS already in use", "STARTTLS came twice.", _CLIENT),
    _row(
        "AuthRequired",
        530,
        "5.7.0",
        "Authentication required",
        "spec.listener.auth is set and required.",
        "Give the client a name and password of the Secret.",
    ),
    _row(
        "AuthNeedsTls",
        538,
        "5.7.11",
        "Encryption required for requested authentication mechanism",
        "spec.listener.auth.requireTls lets passwords travel under TLS only.",
        "Switch STARTTLS on in the client.",
    ),
    _row(
        "AuthNotReady",
        454,
        "4.7.0",
        "Temporary authentication failure",
        "The Secret of spec.listener.auth holds no usable name and password.",
        "Put username and password, or users lines, into it.",
    ),
    _row(
        "AuthFailed",
        535,
        "5.7.8",
        "Authentication credentials invalid",
        "The name or the password is wrong.",
        "Compare the client's password with the Secret of spec.listener.auth.",
    ),
    _row(
        "AuthNotBase64",
        501,
        "5.5.2",
        "Can't decode base64",
        "A line of an AUTH exchange is not base64.",
        _CLIENT,
    ),
    _row(
        "AuthMalformed",
        501,
        "5.5.2",
        "Can't split auth value",
        "The response of AUTH PLAIN is not identity, name and password with a NUL between.",
        _CLIENT,
    ),
    _row(
        "AuthAborted",
        501,
        "5.7.0",
        "Auth aborted",
        "The client ended an AUTH exchange with `*`.",
        "Give the client a name and password.",
    ),
    _row("AuthActive", 503, "5.5.1", "Already authenticated", "AUTH came twice.", _CLIENT),
    _row(
        "UnknownMechanism",
        504,
        "5.5.4",
        "Unrecognised authentication mechanism",
        "AUTH asked for another mechanism than PLAIN or LOGIN.",
        "Let the client use PLAIN or LOGIN.",
    ),
)

_SYNTAX = (
    _row(
        "CommandLineTooLong",
        500,
        "5.5.2",
        "Command line too long",
        "A command has more than 510 bytes, MAIL and RCPT more than 2,046.",
        _CLIENT,
    ),
    _row(
        "AuthLineTooLong",
        500,
        "5.5.6",
        "Authentication exchange line too long",
        "A line of an AUTH exchange has more than 12,288 bytes.",
        _CLIENT,
    ),
    _row(
        "MalformedLine",
        500,
        "5.5.2",
        "Lines end with CRLF and hold no control characters",
        "A command line ended with a bare LF, or held a control character.",
        _CLIENT,
    ),
    _row("UnknownCommand", 500, "5.5.1", "Command not recognised", "The command does not exist.", _CLIENT),
    _row(
        "CommandNotImplemented",
        502,
        "5.5.1",
        "Command not implemented",
        "The command is known and not offered.",
        "Use the extensions that the reply to EHLO lists.",
    ),
    _row(
        "UnexpectedArgument",
        501,
        "5.5.4",
        "This command takes no argument",
        "DATA, RSET, QUIT or STARTTLS had an argument.",
        _CLIENT,
    ),
    _row(
        "HelloSyntax",
        501,
        "5.5.4",
        "Syntax: EHLO or HELO with the client's name",
        "EHLO or HELO came without a name.",
        _CLIENT,
    ),
    _row(
        "AuthSyntax",
        501,
        "5.5.4",
        "Syntax: AUTH mechanism [initial-response]",
        "AUTH had no mechanism, or more than one initial response.",
        _CLIENT,
    ),
    _row(
        "MailSyntax",
        501,
        "5.5.4",
        "Syntax: MAIL FROM:<address> [parameters]",
        "MAIL was not followed by an address in angle brackets.",
        _CLIENT,
    ),
    _row(
        "RcptSyntax",
        501,
        "5.5.4",
        "Syntax: RCPT TO:<address> [parameters]",
        "RCPT was not followed by an address in angle brackets.",
        _CLIENT,
    ),
    _row(
        "BadSender",
        501,
        "5.1.7",
        "Bad sender address syntax",
        "The sender is not an address.",
        "Correct the sender, or send with the null sender.",
    ),
    _row(
        "BadRecipient",
        501,
        "5.1.3",
        "Bad recipient address syntax",
        "The recipient is not an address.",
        "Correct the recipient.",
    ),
    _row(
        "NeedsSmtputf8",
        553,
        "5.6.7",
        "Address with non-ASCII characters needs SMTPUTF8",
        "An address has non-ASCII characters, and MAIL did not say SMTPUTF8.",
        "Use an ASCII address, or a client that knows RFC 6531.",
    ),
    _row(
        "BadParameter",
        501,
        "5.5.4",
        "Bad parameter syntax",
        "A parameter of MAIL or RCPT has a value that its extension does not allow.",
        _CLIENT,
    ),
    _row(
        "DuplicateParameter",
        501,
        "5.5.4",
        "Parameter given twice",
        "A parameter of MAIL or RCPT came twice.",
        _CLIENT,
    ),
    _row(
        "UnknownMailParameter",
        555,
        "5.5.4",
        "MAIL parameter not recognised or not implemented",
        "MAIL had a parameter of an extension that is not offered.",
        "Use the extensions that the reply to EHLO lists.",
    ),
    _row(
        "UnknownRcptParameter",
        555,
        "5.5.4",
        "RCPT parameter not recognised or not implemented",
        "RCPT had a parameter of an extension that is not offered.",
        "Use the extensions that the reply to EHLO lists.",
    ),
)

_MESSAGES = (
    _row(
        "MessageTooLarge",
        552,
        "5.3.4",
        "Message size exceeds the limit",
        "The message, or the size that MAIL declared, is above spec.listener.limits.maxMessageSize.",
        "Send smaller messages, or raise the limit.",
    ),
    _row(
        "HeaderTooLarge",
        552,
        "5.3.4",
        "Message header exceeds the limit",
        "The message's header is above spec.listener.limits.maxHeaderSize.",
        "Send a smaller header, or raise the limit.",
    ),
    _row(
        "MessageLineTooLong",
        554,
        "5.6.0",
        "Message has a line that is longer than the limit",
        "A line of the message is above spec.listener.limits.maxLineLength.",
        "Encode the content as quoted-printable or base64, or raise the limit.",
    ),
    _row(
        "InsufficientStorage",
        452,
        "4.3.1",
        "Insufficient storage, try again later",
        "A message above 256 KiB could not be kept in a temporary file.",
        "Give the pod more ephemeral storage.",
    ),
)

LISTENER_REASONS: Final[tuple[ReasonSpec, ...]] = (*_SESSIONS, *_ORDER, *_SECURITY, *_SYNTAX, *_MESSAGES)
