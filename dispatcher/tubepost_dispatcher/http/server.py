"""The listener for requests: sockets, configuration, the sweep over slow clients, graceful shutdown."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Sequence
from typing import Final, Generic

from tubepost_dispatcher.http.config import EffectiveRest
from tubepost_dispatcher.http.connection import RestConnection
from tubepost_dispatcher.http.listener import RestState
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.smtp import starttls
from tubepost_dispatcher.transaction import DomainT

BACKLOG: Final = 1_024
"""Connections that may wait to be accepted, per socket."""
SWEEP_INTERVAL: Final = 1.0
"""Seconds between two looks at time limits."""
TLS_TIME: Final = 10.0
"""Seconds for a handshake."""
QUIET: Final = 2.0
"""Seconds without a new connection after which nobody is led here any more."""


class RestServer(Generic[DomainT]):
    """The listener. It has sockets and a configuration only where requests are wanted.

    Every method is called on one event loop.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._state: RestState[DomainT] = RestState(metrics, 0.0)
        self._sockets: dict[int, socket.socket] = {}
        """Duplicates, by the inode that they share with the originals."""
        self._servers: dict[int, tuple[asyncio.Server, ssl.SSLContext | None]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._drained = False

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._state.connections)

    def update(self, config: EffectiveRest[DomainT] | None) -> None:
        """Put a configuration in force for the requests to come; None: none are taken."""
        self._state.config = config
        if self._sockets:
            self._renewal = asyncio.get_running_loop().create_task(self._renew(self._renewal))

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on exactly these sockets from now on, with the certificate in force; connections go on."""
        if self._drained:
            return
        wanted = {os.fstat(sock.fileno()).st_ino: sock for sock in sockets}
        for inode in self._sockets.keys() - wanted.keys():
            self._close(inode)
            self._sockets.pop(inode).close()
        for inode in wanted.keys() - self._sockets.keys():
            self._sockets[inode] = wanted[inode].dup()
        await self._renew(self._renewal)
        if self._sweeper is None and self._sockets:
            self._sweep()

    async def _renew(self, previous: asyncio.Task[None] | None) -> None:
        """Accept with the certificate in force: a listening socket has the one it was opened with."""
        if previous is not None:
            await previous
        config = None if self._drained else self._state.config
        tls = None if config is None else config.tls
        loop, state = asyncio.get_running_loop(), self._state
        for inode, sock in tuple(self._sockets.items()):
            found = self._servers.get(inode)
            if found is not None and found[1] is tls and config is not None:
                continue
            self._close(inode)
            if config is None:
                continue
            # The loop closes what it is given, and the backlog is the original's.
            own = sock.dup()
            own.setblocking(False)
            server = await loop.create_server(
                lambda: RestConnection(state, loop),
                sock=own,
                backlog=BACKLOG,
                ssl=tls,
                ssl_handshake_timeout=TLS_TIME if tls is not None else None,
                ssl_shutdown_timeout=starttls.GOODBYE if tls is not None else None,
            )
            self._servers[inode] = server, tls

    def _close(self, inode: int) -> None:
        found = self._servers.pop(inode, None)
        if found is not None:
            found[0].close()

    def set_overloaded(self, overloaded: bool) -> None:
        """Refuse notifications (503) while there is no room for more; or take them again."""
        if self._state.refusing != "ServiceClosing":
            self._state.refusing = "Overloaded" if overloaded else ""

    def set_retiring(self, retiring: bool) -> None:
        """Refuse notifications (503) and end connections after a request; or take them again."""
        if self._drained:
            return
        self._state.ending = retiring
        self._state.refusing = "ServiceClosing" if retiring else ""
        if retiring:
            self._shut_down(at_once=False)

    async def leave(self, at_most: float) -> None:
        """End connections after their request, and serve those who still come; as `SmtpServer.leave`."""
        state, loop = self._state, asyncio.get_running_loop()
        if state.refusing == "ServiceClosing" or not self._sockets:
            return
        state.ending = True
        self._shut_down(at_once=False)
        end, before = loop.time() + at_most, -1
        while state.arrivals != before and (left := end - loop.time()) > 0:
            before = state.arrivals
            await asyncio.sleep(min(QUIET, left))

    async def drain(self, grace: float) -> int:
        """Stop accepting, answer what is open, close; the number of connections that were cut."""
        state = self._state
        self._drained = True
        for inode in tuple(self._servers):
            self._close(inode)
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()
        state.ending, state.refusing = True, "ServiceClosing"
        self._shut_down(at_once=False)
        if state.connections:
            state.emptied = asyncio.Event()
            try:
                async with asyncio.timeout(grace):
                    await state.emptied.wait()
            except TimeoutError:
                pass
            finally:
                state.emptied = None
        cut = len(state.connections)
        self._shut_down(at_once=True)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        return cut

    def _shut_down(self, *, at_once: bool) -> None:
        for connection in tuple(self._state.connections):
            connection.shut_down(at_once=at_once)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = self._state.now = loop.time()
        for connection in tuple(self._state.connections):
            connection.tick(now)
        self._sweeper = loop.call_later(SWEEP_INTERVAL, self._sweep)
