"""The simulator as a whole: starts, stops, and answers questions about itself."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from aiohttp import web

from tubepost_credentials.throwaway import KeyPair
from tubepost_simulator import api, tls
from tubepost_simulator.connection import ClientConnection
from tubepost_simulator.context import Context
from tubepost_simulator.journal import Notification
from tubepost_simulator.settings import Environment, SimulatorSettings

_BACKLOG = 1_024
_TLS_TIMEOUT = 30.0
_STOP_TIMEOUT = 5.0


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket; for `::` of both families, where the machine has both.

    Raises:
        OSError: the address cannot be had.
    """
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104 - what `::` stands for
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")


class Simulator:
    """An APNs on a local port, with an inbox page and a JSON API on another.

    Create it anywhere, use it on one event loop. `start` may be called once; after `stop` the record and the
    counts can still be read. Certificates are made at creation.
    """

    def __init__(self, settings: SimulatorSettings | None = None) -> None:
        """Prepare a simulator; nothing listens yet.

        Raises:
            ValueError: settings that contradict themselves, or keys that cannot be read.
            ssl.SSLError: certificates that cannot be read.
        """
        self._context = Context(settings or SimulatorSettings())
        self._identity = tls.make_identity(self._context.settings)
        self._tls = tls.server_context(self._identity)
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._stopped = False

    @property
    def settings(self) -> SimulatorSettings:
        """What it was made with."""
        return self._context.settings

    @property
    def port(self) -> int:
        """The port of APNs, once started."""
        return self._context.port

    @property
    def api_port(self) -> int:
        """The port of the inbox page and the JSON API, once started."""
        return self._context.api_port

    # ---- life

    async def start(self) -> None:
        """Listen on both ports.

        Raises:
            OSError: a port cannot be had; nothing is left open then.
            RuntimeError: it was started before.
        """
        context = self._context
        if context.port or self._stopped:
            raise RuntimeError("a simulator starts once")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ClientConnection(context, loop),
            sock=_bind(context.settings.host, context.settings.port),
            ssl=self._tls,
            backlog=_BACKLOG,
            ssl_handshake_timeout=_TLS_TIMEOUT,
            ssl_shutdown_timeout=_STOP_TIMEOUT,
        )
        context.port = self._server.sockets[0].getsockname()[1]
        application = api.application(context, self.ca_pem, context.settings.allowed_hosts)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        try:
            await self._runner.setup()
            await web.SockSite(self._runner, self._bind_api(), backlog=_BACKLOG).start()
        except BaseException:
            await self.stop()
            raise
        context.api_port = self._runner.addresses[0][1]

    def _bind_api(self) -> socket.socket:
        settings = self._context.settings
        try:
            return _bind(settings.host, settings.api_port)
        except OSError:
            if not settings.api_port_may_differ:
                raise
            return _bind(settings.host, 0)

    async def stop(self) -> None:
        """Close both ports and cut all connections; does nothing the second time."""
        self._stopped = True
        if self._server is not None:
            self._server.close()
            self._server = None
        self._context.connections.abort()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._context.connections.all_gone(), _STOP_TIMEOUT)

    async def serve_forever(self) -> None:
        """Start, and stop when cancelled.

        Raises:
            OSError: as `start`.
        """
        await self.start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    # ---- credentials

    @property
    def ca_pem(self) -> bytes:
        """What clients have to trust, PEM."""
        return self._identity.ca_pem

    def client_certificate(
        self, topics: Sequence[str], environments: Iterable[Environment] | None = None
    ) -> KeyPair:
        """Make a client certificate for `topics`; the environment is the simulator's unless given.

        It is accepted unless `client_ca` was set.
        """
        return self._identity.issue(
            topics, [self._context.settings.environment] if environments is None else environments
        )

    # ---- questions and switches

    def add_channel(self, bundle: str, policy: int = 0) -> str:
        """Make a broadcast channel of an app; `policy` 1 keeps its latest message. Returns its id."""
        return self._context.policy.channels.add(bundle, policy)

    @property
    def notifications(self) -> list[Notification]:
        """All processed requests that are still kept, rejected ones included, oldest first."""
        return list(self._context.journal)

    @property
    def accepted(self) -> list[Notification]:
        """Those of `notifications` whose verdict was 200."""
        return [record for record in self._context.journal if record.accepted]

    def clear(self) -> int:
        """Forget all notifications; returns how many. Counts stay."""
        return self._context.journal.clear()

    async def wait_for(self, count: int, timeout: float = 10.0) -> list[Notification]:
        """Return `notifications` once `count` were recorded since the start or the last `clear`.

        Raises:
            TimeoutError: not within `timeout` seconds; its text says how many there were.
        """
        await self._context.journal.wait_for(count, timeout)
        return self.notifications

    def apply_chaos(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change switches by their JSON names (see `chaos.Chaos`); returns all of them.

        Raises:
            ChaosError: an unknown switch or a value out of range; nothing is changed.
        """
        return self._context.apply_chaos(changes)

    def chaos(self) -> dict[str, Any]:
        """The switches by their JSON names, with what is left of those that count down."""
        return self._context.chaos()

    def connections(self) -> list[dict[str, Any]]:
        """The open connections, as the API shows them."""
        return [connection.as_dict() for connection in self._context.connections]

    def stats(self) -> dict[str, Any]:
        """Counts since the start, by their JSON names (see `journal.Counts`), and the present state."""
        return self._context.stats()
