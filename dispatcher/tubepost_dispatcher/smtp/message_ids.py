"""Ids for the sessions and messages of a listener."""

from __future__ import annotations

import secrets
import time


class MessageIds:
    """Message ids: unique, sortable by time, 25 of `0-9a-f`.

    Milliseconds since the epoch (11 digits), a counter (6) that orders what one process makes within a
    millisecond, and 8 random digits that tell processes apart. The clock going back does not unsort them.
    """

    __slots__ = ("_counter", "_latest", "_prefix", "_suffix")

    def __init__(self) -> None:
        self._suffix = secrets.token_hex(4)
        self._prefix = ""
        self._counter = 0
        self._latest = 0

    def next(self) -> str:
        """A new id."""
        now = int(time.time() * 1000)
        if now > self._latest:
            self._start(now)
        elif self._counter == 0xFFFFFF:
            self._start(self._latest + 1)
        else:
            self._counter += 1
        return f"{self._prefix}{self._counter:06x}{self._suffix}"

    def _start(self, milliseconds: int) -> None:
        self._latest = milliseconds
        self._prefix = f"{milliseconds:011x}"
        self._counter = 0


class SessionIds:
    """Session ids: short; six random digits for the process, and a counter, both of `0-9a-f`."""

    __slots__ = ("_counter", "_prefix")

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(3)
        self._counter = 0

    def next(self) -> str:
        """A new id, such as `5f2a1c-3`."""
        self._counter += 1
        return f"{self._prefix}-{self._counter:x}"
