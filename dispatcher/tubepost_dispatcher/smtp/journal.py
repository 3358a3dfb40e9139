"""The listener's lines in the process log: what was refused at Info, the course of sessions at Debug.

Each kind of line has a format string of its own (one for each stage and reason of a refusal), so that whoever
limits repeated lines can tell the kinds apart. No line holds what a client said, except a name that is
called for here: commands that come out of step may be passwords, and local parts device tokens.
"""

from __future__ import annotations

import logging

from tubepost_dispatcher.reasons.catalogue import REASONS
from tubepost_dispatcher.text import printable

log = logging.getLogger("tubepost.smtp")

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


def greeted(session: str, client: str, name: str, *, extended: bool) -> None:
    """The client has said EHLO or HELO with `name`."""
    if log.isEnabledFor(logging.DEBUG):
        log.debug("session %s (%s): %s %s", session, client, "EHLO" if extended else "HELO", printable(name))


def secured(session: str, client: str, version: str) -> None:
    """STARTTLS has succeeded."""
    log.debug("session %s (%s): STARTTLS, %s", session, client, version)


def authenticated(session: str, client: str, user: str) -> None:
    """AUTH has succeeded."""
    if log.isEnabledFor(logging.DEBUG):
        log.debug("session %s (%s): authenticated as %s", session, client, printable(user))


def closed(session: str, client: str, seconds: float, messages: int, refusals: int) -> None:
    """The connection is closed."""
    log.debug(
        "session %s (%s): closed after %.0f s, %d messages, %d refusals",
        session,
        client,
        seconds,
        messages,
        refusals,
    )


def unreadable() -> None:
    """A connection had been reset before its peer's address could be read: a health check, most likely."""
    log.debug("connection closed by its client before it was served")
