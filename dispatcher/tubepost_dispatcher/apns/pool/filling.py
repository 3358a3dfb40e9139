"""Putting waiting requests on connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from tubepost_dispatcher.apns.blocks import BlockBuilder
from tubepost_dispatcher.apns.connection import Connection, Request
from tubepost_dispatcher.apns.credential_state import CredentialState
from tubepost_dispatcher.apns.pool.policy import spread
from tubepost_dispatcher.apns.pool.waiting import Waiting
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import local_outcome

_LOG: Final = logging.getLogger("tubepost.apns")


class Filler:
    """Takes requests from the queue, first in, first out, and spreads them over the connections."""

    __slots__ = ("_builder", "_credential", "_loop", "_route", "_tell", "_waiting", "_wall")

    def __init__(
        self,
        route: str,
        builder: BlockBuilder,
        credential: CredentialState,
        waiting: Waiting,
        tell: Callable[[Request, Outcome], None],
        loop: asyncio.AbstractEventLoop,
        wall: Callable[[], float],
    ) -> None:
        self._route = route
        self._builder = builder
        self._credential = credential
        self._waiting = waiting
        self._tell = tell
        self._loop = loop
        self._wall = wall

    def fill(self, connections: Sequence[Connection], count: int, now: float, most: int) -> None:
        """Put requests on connections, each of which then writes once.

        Args:
            connections: those that take requests, now or later.
            count: how many requests to send, if there are streams for them.
            now: monotonic seconds.
            most: requests that a connection may carry in its life; 0 for any number.
        """
        if not connections:
            return
        self._builder.authorize(self._credential.bearer(now, self._wall()))
        free = [_free(c, now, most) for c in connections]
        if len(connections) == 1:
            shares = [min(free[0], count)]
        else:
            shares = spread([(c.open_streams, f) for c, f in zip(connections, free, strict=True)], count)
            if _LOG.isEnabledFor(logging.DEBUG):
                _LOG.debug("route %s: requests per connection: %s", self._route, shares)
        for connection, share in zip(connections, shares, strict=True):
            if share:
                self._put(connection, share, now)
                connection.flush()
                if most and connection.submitted >= most:
                    connection.retire()

    def _put(self, connection: Connection, share: int, now: float) -> None:
        pop, block, hold = self._waiting.pop, self._builder.block, self._credential.hold
        while share:
            request = pop()
            if request is None:
                return
            try:
                header = block(request)
            except ValueError as error:  # a fault of ours: header values were checked before
                self._loop.call_soon(self._tell, request, local_outcome("InternalError", str(error)))
                continue
            connection.submit(request, header, now)
            share -= 1
            if hold.reason and self._credential.blames(request.source):
                hold.admit(now)


def _free(connection: Connection, now: float, most: int) -> int:
    free = connection.capacity(now)
    return min(free, most - connection.submitted) if most else free
