"""The SMTP listener: its sockets, its configuration, the sweep over idle sessions, graceful shutdown."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic

from tubepost_api.config import ListenerConfig
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.pod_limits.interface import PodLimits
from tubepost_dispatcher.smtp import journal
from tubepost_dispatcher.smtp.config import EffectiveConfig
from tubepost_dispatcher.smtp.listener import ListenerState
from tubepost_dispatcher.smtp.proxied import ProxiedConnection
from tubepost_dispatcher.smtp.session import SmtpSession
from tubepost_dispatcher.transaction import Acceptance, DomainT, SessionFacts

log = logging.getLogger("tubepost.smtp")

BACKLOG = 1_024
"""Connections that may wait to be accepted, per socket."""
QUIET = 2.0
"""Seconds without a new session after which nobody is led here any more."""
SWEEP_INTERVAL = 1.0
"""Seconds between two sweeps; less when a time limit is shorter."""


class SmtpServer(Generic[DomainT]):
    """The listener.

    `config` holds the limits; `acceptance` takes the messages; `tls` is the context for STARTTLS, None
    while there is no certificate; `users` are the names and passwords for AUTH, None while there are none;
    `temp_dir` is where messages above 256 KiB are kept while they come in (default: the system's place
    for temporary files); `limits` counts sessions for the whole pod (default: for this listener alone).
    Raises ValueError when a network of `config` is malformed.
    """

    def __init__(
        self,
        config: ListenerConfig,
        acceptance: Acceptance[DomainT],
        metrics: Metrics,
        *,
        tls: ssl.SSLContext | None = None,
        users: Mapping[str, str] | None = None,
        temp_dir: Path | None = None,
        limits: PodLimits | None = None,
    ) -> None:
        self._listener = ListenerState(
            EffectiveConfig(config, acceptance, tls=tls, users=users), metrics, temp_dir, 0.0, limits
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._servers: dict[int, asyncio.Server] = {}
        """By the inode of the listening socket, which its duplicates share."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._drained = False
        """It ends, or has ended."""
        self._exhausted = False
        """No file descriptor was left at the last sweep."""

    def tell_closed(self, told: Callable[[SessionFacts, float, int, int], None] | None) -> None:
        """Have somebody told of each session that ends: its client, its seconds, messages and refusals."""
        self._listener.on_closed = told

    @property
    def sessions(self) -> int:
        """Sessions that are open now."""
        return len(self._listener.sessions)

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on `sockets`, which listen already and stay the caller's to close."""
        self._loop = asyncio.get_running_loop()
        self._listener.now = self._loop.time()
        await self.serve(sockets)
        self._sweep()

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on exactly these sockets from now on; open sessions go on."""
        loop, listener = asyncio.get_running_loop(), self._listener
        wanted = {os.fstat(listening.fileno()).st_ino: listening for listening in sockets}
        for inode, listening in wanted.items():
            if inode in self._servers:
                continue
            # A duplicate, since the loop closes what it is given: the caller's socket keeps its queue of
            # connections for whoever serves it next.
            own = listening.dup()
            own.setblocking(False)
            # Without a descriptor left, asyncio's own loop tries as often as the backlog is long, and logs it
            # each time.
            at_once = 1 if isinstance(loop, asyncio.SelectorEventLoop) else BACKLOG
            self._servers[inode] = await loop.create_server(
                lambda: _protocol(listener, loop), sock=own, backlog=at_once
            )
            own.listen(BACKLOG)
        for inode in self._servers.keys() - wanted.keys():
            self._servers.pop(inode).close()

    def update(
        self,
        config: ListenerConfig,
        tls: ssl.SSLContext | None,
        users: Mapping[str, str] | None,
        acceptance: Acceptance[DomainT],
    ) -> None:
        """Put a new configuration in force; open sessions adopt it between two transactions.

        Raises ValueError when a network of `config` is malformed; the old values stay in force then.
        """
        self._listener.config = EffectiveConfig(config, acceptance, tls=tls, users=users)

    def stop_accepting(self) -> None:
        """Take no more connections; open sessions go on."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def set_overloaded(self, overloaded: bool) -> None:
        """Refuse new sessions (421 4.3.2) while there is no room for more; open ones go on."""
        self._listener.overloaded = overloaded

    def set_retiring(self, retiring: bool) -> None:
        """Refuse new sessions (421 4.3.2) and end open ones between two transactions; or take them again."""
        listener = self._listener
        if self._drained:
            return
        listener.leaving = False
        if retiring == listener.draining:
            return
        listener.draining = retiring
        if retiring:
            for session in tuple(listener.sessions):
                session.shut_down(at_once=False)

    async def leave(self, at_most: float) -> None:
        """End open sessions between two transactions, and take new ones for one message each while any come.

        Others take the mail, but whoever leads connections here may learn that late: who is refused then has
        nowhere else to go. Returns when nobody has come for `QUIET` seconds, at the latest after `at_most`.
        """
        loop, listener = asyncio.get_running_loop(), self._listener
        if listener.draining:
            return
        listener.leaving = True
        for session in tuple(listener.sessions):
            session.shut_down(at_once=False)
        end, before = loop.time() + at_most, -1
        while listener.arrivals != before and (left := end - loop.time()) > 0:
            before = listener.arrivals
            await asyncio.sleep(min(QUIET, left))

    async def drain(self, grace: float) -> int:
        """Stop accepting, end every session between two transactions with 421 4.3.2.

        Sessions that are in a transaction end after its reply. Those left after `grace` seconds are cut;
        returns their number.
        """
        self.stop_accepting()
        self._drained = True
        listener = self._listener
        listener.draining = True
        for session in tuple(listener.sessions):
            session.shut_down(at_once=False)
        deadline = asyncio.get_running_loop().time() + grace
        await self._until_empty(deadline)
        left = tuple(listener.sessions)
        for session in left:
            session.shut_down(at_once=True)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        return len(left)

    async def _until_empty(self, deadline: float) -> None:
        listener = self._listener
        if not listener.sessions:
            return
        empty = listener.emptied = asyncio.Event()
        try:
            async with asyncio.timeout_at(deadline):
                await empty.wait()
        except TimeoutError:
            pass
        finally:
            listener.emptied = None

    def _sweep(self) -> None:
        assert self._loop is not None
        listener = self._listener
        now = listener.now = self._loop.time()
        listener.verbose = journal.verbose()
        limits = listener.config.limits
        short = min(t for t in (limits.command_timeout, limits.max_session_age, 4 * SWEEP_INTERVAL) if t)
        interval = min(SWEEP_INTERVAL, max(short / 4, 0.02))
        self._look_for_descriptors()
        timeouts: dict[str, float] = {}
        for session in tuple(listener.sessions):
            client = session.client
            timeout = timeouts.get(client)
            if timeout is None:
                timeout = timeouts[client] = listener.timeout(client)
            session.tick(now, timeout, interval)
        self._sweeper = self._loop.call_later(interval, self._sweep)

    def _look_for_descriptors(self) -> None:
        """Say it when connections cannot be accepted: uvloop closes them without a word to anybody."""
        try:
            os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            if not self._exhausted and error.errno in (errno.EMFILE, errno.ENFILE):
                self._exhausted = True
                log.warning(
                    "listener: no file descriptor is left with %d sessions open, connections are refused "
                    "without a reply; lower maxConnections, or raise the limit of open files",
                    self.sessions,
                )
        else:
            if self._exhausted:
                self._exhausted = False
                log.info("listener: file descriptors are available again")


def _protocol(listener: ListenerState[DomainT], loop: asyncio.AbstractEventLoop) -> asyncio.Protocol:
    """What a new connection begins with, by the configuration in force."""
    if listener.config.proxy_networks:
        return ProxiedConnection(listener, loop)
    return SmtpSession(listener, loop)
