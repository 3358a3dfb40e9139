"""Reasons for which the listener refuses a command: its order, its syntax, TLS and AUTH. Data."""

from __future__ import annotations

from typing import Final

from tubepost_dispatcher.reasons.spec import ReasonSpec, listener_row

_CLIENT = "Correct the client; mail libraries do it right."

_ORDER = (
    listener_row(
        "HelloFirst", 503, "5.5.1", "Send EHLO or HELO first", "MAIL came before EHLO and HELO.", _CLIENT
    ),
    listener_row("EhloFirst", 503, "5.5.1", "Send EHLO first", "AUTH came before EHLO.", _CLIENT),
    listener_row("MailFirst", 503, "5.5.1", "Need MAIL first", "RCPT or DATA came before MAIL.", _CLIENT),
    listener_row("NestedMail", 503, "5.5.1", "Sender already given", "MAIL came twice.", _CLIENT),
    listener_row(
        "AmidTransaction",
        503,
        "5.5.1",
        "Not during a mail transaction",
        "STARTTLS or AUTH came between MAIL and the message.",
        _CLIENT,
    ),
    listener_row(
        "NoRecipients",
        554,
        "5.5.1",
        "No valid recipients",
        "DATA came, and every recipient had been refused.",
        "See what the RCPT commands were answered.",
    ),
    listener_row(
        "TooManyRecipients",
        452,
        "4.5.3",
        "Too many recipients",
        "The transaction has had spec.listener.limits.maxRecipients RCPT commands.",
        "Send the others in another transaction; mail servers do so by themselves.",
    ),
)

_SECURITY = (
    listener_row(
        "TlsRequired",
        530,
        "5.7.0",
        "Must issue a STARTTLS command first",
        "spec.listener.startTls.mode is Required.",
        "Switch STARTTLS on in the client.",
    ),
    listener_row(
        "TlsNotAvailable",
        454,
        "4.7.0",
        "TLS not available",
        "There is no usable certificate for STARTTLS, or it is switched off.",
        "Check the Secret of spec.listener.startTls.",
    ),
    listener_row("TlsActive", 503, "5.5.1", "TLS already in use", "STARTTLS came twice.", _CLIENT),
    listener_row(
        "AuthRequired",
        530,
        "5.7.0",
        "Authentication required",
        "spec.listener.auth is set and required.",
        "Give the client a name and password of the Secret.",
    ),
    listener_row(
        "AuthNeedsTls",
        538,
        "5.7.11",
        "Encryption required for requested authentication mechanism",
        "spec.listener.auth.requireTls lets passwords travel under TLS only.",
        "Switch STARTTLS on in the client.",
    ),
    listener_row(
        "AuthNotReady",
        454,
        "4.7.0",
        "Temporary authentication failure",
        "The Secret of spec.listener.auth holds no usable name and password.",
        "Put username and password, or users lines, into it.",
    ),
    listener_row(
        "AuthFailed",
        535,
        "5.7.8",
        "Authentication credentials invalid",
        "The name or the password is wrong.",
        "Compare the client's password with the Secret of spec.listener.auth.",
    ),
    listener_row(
        "AuthNotBase64",
        501,
        "5.5.2",
        "Can't decode base64",
        "A line of an AUTH exchange is not base64.",
        _CLIENT,
    ),
    listener_row(
        "AuthMalformed",
        501,
        "5.5.2",
        "Can't split auth value",
        "The response of AUTH PLAIN is not identity, name and password with a NUL between.",
        _CLIENT,
    ),
    listener_row(
        "AuthAborted",
        501,
        "5.7.0",
        "Auth aborted",
        "The client ended an AUTH exchange with `*`.",
        "Give the client a name and password.",
    ),
    listener_row("AuthActive", 503, "5.5.1", "Already authenticated", "AUTH came twice.", _CLIENT),
    listener_row(
        "UnknownMechanism",
        504,
        "5.5.4",
        "Unrecognised authentication mechanism",
        "AUTH asked for another mechanism than PLAIN or LOGIN.",
        "Let the client use PLAIN or LOGIN.",
    ),
)

_SYNTAX = (
    listener_row(
        "CommandLineTooLong",
        500,
        "5.5.2",
        "Command line too long",
        "A command has more than 510 bytes, MAIL and RCPT more than 2,046.",
        _CLIENT,
    ),
    listener_row(
        "AuthLineTooLong",
        500,
        "5.5.6",
        "Authentication exchange line too long",
        "A line of an AUTH exchange has more than 12,288 bytes.",
        _CLIENT,
    ),
    listener_row(
        "MalformedLine",
        500,
        "5.5.2",
        "Lines end with CRLF and hold no control characters",
        "A command line ended with a bare LF, or held a control character.",
        _CLIENT,
    ),
    listener_row(
        "UnknownCommand", 500, "5.5.1", "Command not recognised", "The command does not exist.", _CLIENT
    ),
    listener_row(
        "CommandNotImplemented",
        502,
        "5.5.1",
        "Command not implemented",
        "The command is known and not offered.",
        "Use the extensions that the reply to EHLO lists.",
    ),
    listener_row(
        "UnexpectedArgument",
        501,
        "5.5.4",
        "This command takes no argument",
        "DATA, RSET, QUIT or STARTTLS had an argument.",
        _CLIENT,
    ),
    listener_row(
        "HelloSyntax",
        501,
        "5.5.4",
        "Syntax: EHLO or HELO with the client's name",
        "EHLO or HELO came without a name.",
        _CLIENT,
    ),
    listener_row(
        "AuthSyntax",
        501,
        "5.5.4",
        "Syntax: AUTH mechanism [initial-response]",
        "AUTH had no mechanism, or more than one initial response.",
        _CLIENT,
    ),
    listener_row(
        "MailSyntax",
        501,
        "5.5.4",
        "Syntax: MAIL FROM:<address> [parameters]",
        "MAIL was not followed by an address in angle brackets.",
        _CLIENT,
    ),
    listener_row(
        "RcptSyntax",
        501,
        "5.5.4",
        "Syntax: RCPT TO:<address> [parameters]",
        "RCPT was not followed by an address in angle brackets.",
        _CLIENT,
    ),
    listener_row(
        "BadSender",
        501,
        "5.1.7",
        "Bad sender address syntax",
        "The sender is not an address.",
        "Correct the sender, or send with the null sender.",
    ),
    listener_row(
        "BadRecipient",
        501,
        "5.1.3",
        "Bad recipient address syntax",
        "The recipient is not an address.",
        "Correct the recipient.",
    ),
    listener_row(
        "NeedsSmtputf8",
        553,
        "5.6.7",
        "Address with non-ASCII characters needs SMTPUTF8",
        "An address has non-ASCII characters, and MAIL did not say SMTPUTF8.",
        "Use an ASCII address, or a client that knows RFC 6531.",
    ),
    listener_row(
        "BadParameter",
        501,
        "5.5.4",
        "Bad parameter syntax",
        "A parameter of MAIL or RCPT has a value that its extension does not allow.",
        _CLIENT,
    ),
    listener_row(
        "DuplicateParameter",
        501,
        "5.5.4",
        "Parameter given twice",
        "A parameter of MAIL or RCPT came twice.",
        _CLIENT,
    ),
    listener_row(
        "UnknownMailParameter",
        555,
        "5.5.4",
        "MAIL parameter not recognised or not implemented",
        "MAIL had a parameter of an extension that is not offered.",
        "Use the extensions that the reply to EHLO lists.",
    ),
    listener_row(
        "UnknownRcptParameter",
        555,
        "5.5.4",
        "RCPT parameter not recognised or not implemented",
        "RCPT had a parameter of an extension that is not offered.",
        "Use the extensions that the reply to EHLO lists.",
    ),
)

COMMAND_REASONS: Final[tuple[ReasonSpec, ...]] = (*_ORDER, *_SECURITY, *_SYNTAX)
