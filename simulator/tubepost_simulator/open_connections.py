"""The connections that are open at the moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Protocol

from tubepost_simulator.chaos import GoAway


class OpenConnection(Protocol):
    """What can be asked of a connection, and done to it, from outside."""

    number: int
    """Counts from 1 over all connections since the start; 0 before it was added."""

    @property
    def open_streams(self) -> int:
        """Streams that wait for the rest of their request, or for an answer."""

    def as_dict(self) -> dict[str, Any]:
        """The connection as the API shows it."""

    def chaos_changed(self) -> None:
        """New switches are in force."""

    def goaway(self, how: GoAway) -> None:
        """Say GOAWAY."""

    def drop(self) -> None:
        """Cut the connection, without GOAWAY."""

    def abort(self) -> None:
        """Cut the connection because the simulator stops."""


class OpenConnections:
    """Connections from TLS handshake to end, at most `limit` at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[int, OpenConnection] = {}
        self._taken = 0
        self._stopping = False
        self._all_gone = asyncio.Event()
        self._all_gone.set()

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[OpenConnection]:
        """Oldest first; connections may come and go during the iteration."""
        return iter(list(self._known.values()))

    def add(self, connection: OpenConnection) -> bool:
        """Add a connection and number it; False if there are too many, or the simulator is stopping."""
        if self._stopping or len(self._known) >= self._limit:
            return False
        self._taken += 1
        connection.number = self._taken
        self._known[connection.number] = connection
        self._all_gone.clear()
        return True

    def remove(self, connection: OpenConnection) -> None:
        """Forget a connection that is gone; ignores one that was never added."""
        if self._known.get(connection.number) is connection:
            del self._known[connection.number]
            if not self._known:
                self._all_gone.set()

    def abort(self) -> None:
        """Cut all connections, and accept no more."""
        self._stopping = True
        for connection in self:
            connection.abort()

    async def all_gone(self) -> None:
        """Wait until none is open."""
        await self._all_gone.wait()
