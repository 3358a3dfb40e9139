"""Reading from a connection, and the reasons for which it pauses."""

from __future__ import annotations

import asyncio

HELD, WRITE, TURN, SHARE = 1, 2, 4, 8
"""Why reading pauses: much input is held back; the client does not take its replies; it is other sessions'
turn to have commands answered; or to take a piece of a large message."""


class Reading:
    """Pauses reading while there is a reason; several may hold at once."""

    __slots__ = ("reasons", "transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.reasons = 0
        """Those that hold now, added up."""

    def pause(self, reason: int) -> None:
        """Pause for `reason`."""
        if not self.reasons and not self.transport.is_closing():
            self.transport.pause_reading()
        self.reasons |= reason

    def resume(self, reasons: int) -> None:
        """`reasons` hold no more; read on when no other does."""
        before, self.reasons = self.reasons, self.reasons & ~reasons
        if before and not self.reasons and not self.transport.is_closing():
            self.transport.resume_reading()
