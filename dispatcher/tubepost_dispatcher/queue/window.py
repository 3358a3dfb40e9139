"""How many notifications may be with the routes of a group at a time: slow start. Pure."""

from __future__ import annotations

from typing import Final

START: Final = 128.0
"""Notifications, before anything is known."""
LEAST: Final = 1.0
MOST: Final = 8_192.0


class Window:
    """Doubles with each round of answers while it is made use of; halves with each round that failed.

    After an outage it starts at one: a probe. Whoever is answered lets two follow, so that a backlog comes
    in rounds of 1, 2, 4, ... and never all at once. As congestion control does it (RFC 5681, slow start).
    """

    __slots__ = ("_cut_at", "_size", "limits", "size")

    def __init__(self) -> None:
        self.limits = False
        """More could be with the routes, if it were larger."""
        self._size = START
        self.size = int(START)
        """Notifications; at least one."""
        self._cut_at = float("-inf")

    @property
    def probing(self) -> bool:
        """Whether the next one decides if others follow."""
        return self._size < 2 * LEAST

    def succeeded(self) -> None:
        """Note an answer that does not blame the route."""
        if self.limits:
            self._resize(min(MOST, self._size + 1.0))

    def failed(self, started: float, now: float) -> None:
        """Note a failure of the route. Those that began before the last one counted say nothing new.

        Args:
            started: when the notification was handed to delivery, monotonic seconds.
            now: monotonic seconds.
        """
        if started > self._cut_at:
            self._resize(max(LEAST, self._size / 2))
            self._cut_at = now

    def restart(self, now: float) -> None:
        """The routes take nothing at present: begin with a probe."""
        self._resize(LEAST)
        self._cut_at = now

    def _resize(self, size: float) -> None:
        self._size = size
        self.size = int(size)
