"""Reading from a connection, and the reasons for which it pauses."""

from __future__ import annotations

import asyncio
import re

MAX_HELD = 65_536
"""Octets of buffered input above which reading pauses."""
HELD, WRITE, TURN, SHARE = 1, 2, 4, 8
"""Why reading pauses: the input buffer is full; the client does not read its replies; it has had its share of
this turn's commands, or of this turn's octets."""


_QUIT = re.compile(rb"(?:\A|\n)QUIT *\r\n", re.IGNORECASE)


def says_quit(held: bytes) -> bool:
    """Whether QUIT is among the commands that are buffered."""
    return _QUIT.search(held) is not None


class Reading:
    """Pauses reading while there is a reason; there may be several at once."""

    __slots__ = ("reasons", "transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.reasons = 0
        """The current ones, added up."""

    def pause(self, reason: int) -> None:
        """Pause for `reason`."""
        if not self.reasons and not self.transport.is_closing():
            self.transport.pause_reading()
        self.reasons |= reason

    def resume(self, reasons: int) -> None:
        """`reasons` are gone; read on unless another is left."""
        before, self.reasons = self.reasons, self.reasons & ~reasons
        if before and not self.reasons and not self.transport.is_closing():
            self.transport.resume_reading()
