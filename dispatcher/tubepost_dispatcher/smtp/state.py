"""What a session is doing."""

from __future__ import annotations

import enum


class State(enum.Enum):
    """The state of a session.

    A member's two predicates are plain attributes, since they are read for every chunk of input.
    """

    GREETED = "greeted", True, True
    """Has greeted a client, which has sent nothing yet."""
    COMMAND = "command", True, True
    """Reads commands."""
    DATA = "data", True, True
    """Reads a message, after 354."""
    AUTH = "auth", True, True
    """Reads the client's lines of an AUTH exchange."""
    STARTTLS = "starttls", False, False
    """Has accepted STARTTLS; the handshake has its own time limit."""
    ACCEPTANCE = "acceptance", False, False
    """Waits for `Transaction.reply`."""
    YIELDED = "yielded", False, True
    """Has had its share of commands; other sessions go first."""
    CLOSING = "closing", False, True
    """Has said its last reply."""

    def __init__(self, word: str, reads: bool, timed: bool) -> None:
        del word  # makes a member of its own of each value
        self.reads = reads
        """Input is processed as it comes; in other states it is buffered, or dropped when closing."""
        self.timed = timed
        """It is the client's turn, so time limits apply."""


GREETED, COMMAND, DATA, AUTH, STARTTLS, ACCEPTANCE, YIELDED, CLOSING = State
"""The members as names of this module: an attribute of an enum costs more than a comparison."""
