"""The simulator as a whole: starts, stops, and answers questions about itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self

from aiohttp import web
from pydantic.alias_generators import to_camel

from tubepost_credentials.authoring import KeyPair
from tubepost_simulator import api, tls
from tubepost_simulator.chaos import ConnectionAction
from tubepost_simulator.connection import ClientConnection
from tubepost_simulator.journal import Journal, Notification
from tubepost_simulator.settings import Environment, SimulatorSettings
from tubepost_simulator.switchboard import Switchboard
from tubepost_simulator.transport import H2Transport
from tubepost_simulator.validation import Policy

_BACKLOG = 1_024
_TLS_TIMEOUT = 30.0
_STOP_TIMEOUT = 5.0


class Simulator:
    """An APNs on a local port, with a JSON API on another.

    Create it anywhere, use it on one event loop. `start` may be called once; after `stop` the record and the
    counts can still be read. Certificates are made at creation.
    """

    def __init__(self, settings: SimulatorSettings | None = None) -> None:
        """Prepare a simulator; nothing listens yet.

        Raises:
            ValueError: settings that contradict themselves, or keys that cannot be read.
            ssl.SSLError: certificates that cannot be read.
        """
        self.settings = settings or SimulatorSettings()
        self.policy = Policy(self.settings)
        self.board = Switchboard(self.settings.chaos, self.settings.seed)
        self.journal = Journal(self.settings.retain, self.settings.retain_bytes)
        self._identity = tls.make_identity(self.settings)
        self._context = tls.server_context(self._identity)
        self._connections: dict[int, H2Transport] = {}
        self._all_gone = asyncio.Event()
        self._all_gone.set()
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._stopping = False
        self.port = 0
        """The port of APNs, once started."""
        self.api_port = 0
        """The port of the JSON API, once started."""

    # ---- life

    async def start(self) -> None:
        """Listen on both ports.

        Raises:
            OSError: a port cannot be had; nothing is left open then.
            RuntimeError: it was started before.
        """
        if self.port or self._stopping:
            raise RuntimeError("a simulator starts once")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ClientConnection(self, loop),
            self.settings.host,
            self.settings.port,
            ssl=self._context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=_TLS_TIMEOUT,
            ssl_shutdown_timeout=_STOP_TIMEOUT,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._runner = web.AppRunner(api.application(self), access_log=None, shutdown_timeout=1.0)
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, self.settings.host, self.settings.api_port).start()
        except BaseException:
            await self.stop()
            raise
        self.api_port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close both ports and cut all connections; does nothing the second time."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections.values()):
            connection.abort()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_gone.wait(), _STOP_TIMEOUT)

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
            topics, [self.settings.environment] if environments is None else environments
        )

    # ---- questions and switches

    @property
    def notifications(self) -> list[Notification]:
        """All processed requests that are still kept, rejected ones included, oldest first."""
        return list(self.journal)

    @property
    def accepted(self) -> list[Notification]:
        """Those of `notifications` whose verdict was 200."""
        return [record for record in self.journal if record.accepted]

    def clear(self) -> int:
        """Forget all notifications; returns how many. Counts stay."""
        return self.journal.clear()

    async def wait_for(self, count: int, timeout: float = 10.0) -> list[Notification]:
        """Return `notifications` once `count` were recorded since the start or the last `clear`.

        Raises:
            TimeoutError: not within `timeout` seconds; its text says how many there were.
        """
        await self.journal.wait_for(count, timeout)
        return self.notifications

    def apply_chaos(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change switches by their JSON names (see `chaos.Chaos`); returns all of them.

        Raises:
            ChaosError: an unknown switch or a value out of range; nothing is changed.
        """
        action = self.board.patch(changes)
        for connection in list(self._connections.values()):
            connection.chaos_changed()
            if action is ConnectionAction.DROP:
                connection.drop()
            elif action is ConnectionAction.GOAWAY:
                connection.goaway(self.board.chaos.goaway)
        return self.chaos()

    def chaos(self) -> dict[str, Any]:
        """The switches by their JSON names, with what is left of those that count down."""
        return self.board.current().model_dump(mode="json", by_alias=True)

    def connections(self) -> list[dict[str, Any]]:
        """The open connections, as the API shows them."""
        return [connection.as_dict() for connection in self._connections.values()]

    def stats(self) -> dict[str, Any]:
        """Counts since the start, by their JSON names (see `journal.Counts`), and the present state."""
        counts = {to_camel(name): value for name, value in asdict(self.journal.counts).items()}
        return {
            **counts,
            "verdicts": dict(sorted(self.journal.verdicts.items())),
            "retained": len(self.journal),
            "connectionsOpen": len(self._connections),
            "streamsOpen": sum(connection.open_streams for connection in self._connections.values()),
        }

    # ---- for connections

    def register(self, connection: H2Transport) -> bool:
        """Take in a new connection and number it; False when there are too many, or at the end."""
        if self._stopping or len(self._connections) >= self.settings.max_connections:
            return False
        counts = self.journal.counts
        counts.connections_total += 1
        connection.number = counts.connections_total
        self._connections[connection.number] = connection
        self._all_gone.clear()
        return True

    def unregister(self, connection: H2Transport) -> None:
        """Forget a connection that is gone; one that was never taken in is no matter."""
        if self._connections.get(connection.number) is connection:
            del self._connections[connection.number]
            if not self._connections:
                self._all_gone.set()
