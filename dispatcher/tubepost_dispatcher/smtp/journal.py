"""The listener's lines in the process log: what was refused at Info, the course of sessions at Debug.

Each kind of line has a format string of its own (one for each stage and reason of a refusal), so that whoever
limits repeated lines can tell the kinds apart. No line holds what a client said, except a name that is
called for here: commands that come out of step may be passwords, and local parts device tokens. At Debug
sessions are told command by command, with addresses, in which what looks like a token is in short form.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from tubepost_dispatcher.reasons.catalogue import REASONS
from tubepost_dispatcher.text import printable
from tubepost_runtime.words import counted

log = logging.getLogger("tubepost.smtp")

MOST_SHOWN = 300
"""Octets of a command or reply that a line shows."""
_VERBS = frozenset(
    {b"DATA", b"RSET", b"NOOP", b"QUIT", b"STARTTLS", b"HELP", b"VRFY", b"EXPN", b"BDAT", b"ETRN"}
)
"""Commands of which the verb is shown. What else comes may be a password out of step."""
_PATH = re.compile(rb"(?i)(MAIL FROM|RCPT TO): ?(<[^<>\s]*>|[^<>\s]+)((?: [^ ]+)*) *")
_PARAMETERS = re.compile(rb"(?i)(?:SIZE|BODY|RET|NOTIFY)=[A-Za-z0-9,]{1,40}|SMTPUTF8")
"""Parameters of MAIL and RCPT that are shown with their values."""
_MECHANISMS = frozenset({b"PLAIN", b"LOGIN"})
_TOKEN_IN_ADDRESS = re.compile(rb"[0-9A-Fa-f]{16,}")

IN_SESSION = "session %s (%s): internal error"
IN_MESSAGE = "session %s (%s): internal error in message %s"
WHILE_WITHDRAWN = "session %s (%s): internal error while message %s was withdrawn"
"""Faults of ours, with session, client and message; to log with their traceback."""

_formats: dict[tuple[str, str], str] = {}


def refused(session: str, client: str, stage: str, reason: str, reply: str, detail: str = "") -> None:
    """A session, command or message was refused.

    Args:
        session: the session's id.
        client: the client's address.
        stage: as in the metric of refusals.
        reason: a word of the catalogue; other words share one kind.
        reply: code and text of the reply.
        detail: what the reply does not say, for the log only.
    """
    known = reason if reason in REASONS else "another reason"
    line = _formats.get((stage, known))
    if line is None:
        line = _formats[stage, known] = f"session %s (%s): {stage} refused, {known}: %s%s"
    log.info(line, session, client, reply, f" ({detail})" if detail else "")


def message_refused(session: str, client: str, message_id: str, reason: str, reply: str) -> None:
    """A message was refused; as `refused`."""
    known = reason if reason in REASONS else "another reason"
    line = _formats.get(("", known))
    if line is None:
        line = _formats["", known] = f"session %s (%s): message %s refused, {known}: %s"
    log.info(line, session, client, message_id, reply)


def accepted_with_warning(session: str, client: str, warning: str) -> None:
    """A malformed command was understood; `warning` is the label of the metric."""
    log.info("session %s (%s): accepted a malformed command: %s", session, client, warning)


def tls_failed(session: str, client: str, cause: str) -> None:
    """A handshake failed; `cause` is OpenSSL's reason, or what became of the connection."""
    log.info("session %s (%s): TLS handshake failed: %s", session, client, cause)


def tls_rejected(session: str, client: str, cause: str) -> None:
    """The client has ended TLS with an alert; with TLS 1.3 it rejects a certificate after the handshake."""
    log.info("session %s (%s): TLS ended by an error: %s", session, client, cause)


def client_left(session: str, client: str, message_id: str) -> None:
    """The connection was lost while a message waited for its reply."""
    log.info("session %s (%s): client left before the reply to message %s", session, client, message_id)


def opened(session: str, client: str, port: int) -> None:
    """A session was greeted."""
    log.debug("session %s (%s): opened from port %d", session, client, port)


def verbose() -> bool:
    """Whether sessions are told command by command."""
    return log.isEnabledFor(logging.DEBUG)


def exchanged(session: str, client: str, line: bytes | None, answers: Sequence[bytes]) -> None:
    """A command was answered; None: a line that nobody could read. To be called where `verbose`."""
    log.debug("session %s (%s): %s -> %s", session, client, shown_command(line), _replies(answers))


def auth_exchanged(session: str, client: str, line: bytes, answers: Sequence[bytes]) -> None:
    """A line of an AUTH exchange was answered; it is a secret."""
    said = f"[AUTH response, {len(line.rstrip())} octets]"
    log.debug("session %s (%s): %s -> %s", session, client, said, _replies(answers))


def message_answered(session: str, client: str, message_id: str, answer: bytes) -> None:
    """A message got its reply. To be called where `verbose`."""
    log.debug("session %s (%s): message %s -> %s", session, client, message_id, _replies([answer]))


def shown_command(line: bytes | None) -> str:
    """A command without what may be secret: responses of AUTH, and device tokens in addresses."""
    if line is None:
        return "[a line that ends otherwise than with CRLF]"
    verb, _, rest = line.partition(b" ")
    verb = verb.upper()
    if (path := _PATH.fullmatch(line)) is not None:
        address = _TOKEN_IN_ADDRESS.sub(_short, path[2])
        parameters = [_parameter(one) for one in path[3].split()]
        return printable(b" ".join([path[1] + b":" + address, *parameters]), MOST_SHOWN)[1:-1]
    if verb in {b"EHLO", b"HELO"}:
        return f"{verb.decode()} {printable(rest)}"
    if verb == b"AUTH":
        mechanism, _, initial = rest.partition(b" ")
        if mechanism.upper() in _MECHANISMS:
            return f"AUTH {mechanism.upper().decode()}{' [initial response]' if initial else ''}"
    if verb in _VERBS:
        return verb.decode() + (f" [{len(rest)} octets]" if rest else "")
    return f"[{len(line)} octets]"


def _parameter(one: bytes) -> bytes:
    return one if _PARAMETERS.fullmatch(one) else one.partition(b"=")[0][:20] + b"=[...]"


def _short(found: re.Match[bytes]) -> bytes:
    return found[0][:8] + b"..."


def _replies(answers: Sequence[bytes]) -> str:
    if not answers:
        return "(no reply yet)"
    first, *more = b"".join(answers).rstrip().split(b"\r\n")
    text = printable(first, MOST_SHOWN)[1:-1]
    return f"{text} (and {counted(len(more), 'line')})" if more else text


def secured(session: str, client: str, version: str) -> None:
    """STARTTLS has succeeded."""
    log.debug("session %s (%s): STARTTLS, %s", session, client, version)


def authenticated(session: str, client: str, user: str) -> None:
    """AUTH has succeeded."""
    if log.isEnabledFor(logging.DEBUG):
        log.debug("session %s (%s): authenticated as %s", session, client, printable(user))


def closed(session: str, client: str, seconds: float, messages: int, refusals: int) -> None:
    """The connection is closed."""
    if not log.isEnabledFor(logging.DEBUG):
        return
    log.debug(
        "session %s (%s): closed after %.0f s, %s, %s",
        session,
        client,
        seconds,
        counted(messages, "message"),
        counted(refusals, "refusal"),
    )


def unreadable() -> None:
    """A connection had been reset before its peer's address could be read: a health check, most likely."""
    log.debug("connection closed by its client before it was served")
