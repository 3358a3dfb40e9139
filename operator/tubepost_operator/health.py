"""The operator's HTTP endpoints: /livez, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from tubepost_operator.metrics import OperatorMetrics

TEXT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

State = Callable[[], tuple[bool, str]]
"""Whether all is well, and in words why not."""


class HealthServer:
    """Serves probes and scrapers.

    Args:
        host: address to bind.
        port: port to bind, 0 for any.
        metrics: what to show.
        live: whether the process is worth keeping.
        ready: whether it does its work, or stands by to.
    """

    def __init__(self, host: str, port: int, metrics: OperatorMetrics, live: State, ready: State) -> None:
        self._host = host
        self._port = port
        self._metrics = metrics
        self._states = {"/livez": live, "/readyz": ready}
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port that is bound; the wanted one before `start`."""
        return self._port

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            OSError: the address cannot be bound.
        """
        application = web.Application()
        application.router.add_get("/metrics", self._show)
        for path in self._states:
            application.router.add_get(path, self._probe)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _show(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": TEXT_TYPE})

    async def _probe(self, request: web.Request) -> web.Response:
        well, text = self._states[request.path]()
        return web.Response(status=200 if well else 503, text=text + "\n")
