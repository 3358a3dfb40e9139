"""Which sessions are closed for the time they take, and with which reply. Pure.

A client that has the word is closed when it has done nothing useful for the time limit: useful are the first
EHLO, STARTTLS, AUTH that succeeds, the first MAIL of a message, and messages. Other commands, NOOP and RSET
among them, and those that are refused, buy no time.
"""

from __future__ import annotations

from typing import NamedTuple

from tubepost_dispatcher.smtp import replies
from tubepost_dispatcher.smtp.protocol import SmtpProtocol
from tubepost_dispatcher.smtp.state import CLOSING, DATA, GREETED
from tubepost_dispatcher.transaction import DomainT

LINGER = 10.0
"""Seconds that a client has to read the last reply before its connection is reset."""
MIN_DATA_RATE = 1_024
"""Octets per second that a message must make on average once `commandTimeout` has passed."""


class End(NamedTuple):
    """The last reply; as `SmtpProtocol.dismiss` has it."""

    reply: bytes
    stage: str = ""
    detail: str = ""


LINGERED = End(b"")
"""The last reply is said, and the time to read it is over."""


class Clock:
    """The time limits of one session. All times are monotonic seconds."""

    __slots__ = ("_granted", "opened")

    def __init__(self, now: float) -> None:
        self.opened = now
        self._granted = -1
        """The number of messages before the last one that was begun in time."""

    def look(
        self,
        smtp: SmtpProtocol[DomainT],
        now: float,
        timeout: float,
        interval: float,
        *,
        last_input: float,
        received: int,
    ) -> End | None:
        """Apply the limits; how the session ends, or None when it goes on.

        Args:
            smtp: the session.
            now: the current time.
            timeout: seconds for an idle client, 0 means none.
            interval: seconds since the last call.
            last_input: when a part of a message came last, or the last reply was said.
            received: octets of the message so far.
        """
        state = smtp.state
        if state is CLOSING:
            return LINGERED if now - last_input > LINGER else None
        age = smtp.listener.config.limits.max_session_age
        if age and now - self.opened > age:
            smtp.retiring = True
        if not state.timed:
            return None
        if smtp.envelope.mail_from is not None and self._granted != smtp.messages:
            self._granted = smtp.messages
            smtp.active = now
        idle = now - (last_input if state is DATA else smtp.active)
        if smtp.retiring and smtp.between_transactions and idle >= interval:
            return End(replies.SHUTTING_DOWN if smtp.listener.ending else replies.SESSION_OVER)
        if timeout and idle > timeout:
            if state is DATA:
                return End(replies.IDLE, "data", "sent nothing more of its message")
            silent = state is GREETED
            return End(replies.IDLE, "command", "sent nothing" if silent else "sent no message")
        if timeout and state is DATA and now - smtp.data_since > timeout + received / MIN_DATA_RATE:
            return End(replies.TOO_SLOW, "data")
        return None
