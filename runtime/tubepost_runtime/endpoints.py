"""HTTP endpoints of a process: metrics and health, and what a program adds.

Read-only, small, bounded: a peer that holds connections open cannot keep a probe out, since the oldest
connection makes room for a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from tubepost_runtime.addresses import bind_all
from tubepost_runtime.single_flight import SingleFlight

_LOG = logging.getLogger("tubepost.http")
_NOISE = logging.getLogger("tubepost.http.noise")
"""What the server says of bytes that are no request: a traceback with the client's own text, for each."""
_NOISE.setLevel(logging.CRITICAL)

MAX_CONNECTIONS = 100
"""Open connections of one endpoint; one more closes the oldest. Fewer where descriptors are scarce."""

FEWEST_CONNECTIONS = 4
"""Connections that an endpoint has in any case: a probe, a scrape, and whoever looks."""

KEEP_ALIVE = 75.0
"""Seconds for which an idle connection stays: longer than the usual scrape interval of a minute."""

ANSWER_TIMEOUT = 10.0
"""Seconds after which metrics or status that are not there are answered with 503."""

Handler = Callable[[web.BaseRequest], Awaitable[web.Response]]

Probe = Callable[[], tuple[bool, str]]
"""Whether all is well, and in words why not; the words may be empty."""


class Endpoints:
    """A server with a table of paths: GET and HEAD for what is read, POST for what changes something.

    Args:
        host: address to bind; `::` for all of both families, `localhost` for loopback of both.
        port: port to bind, 0 for any.
        paths: who answers what, GET and HEAD only.
        changes: who answers what, POST only.
        sock: a bound socket to listen on, instead of host and port; owned and closed by this object.
    """

    def __init__(
        self,
        host: str,
        port: int,
        paths: Mapping[str, Handler],
        changes: Mapping[str, Handler] | None = None,
        *,
        sock: socket.socket | None = None,
    ) -> None:
        self._host = host
        self._requested_port = port
        self._sock = sock
        self._paths = paths
        self._changes = changes or {}
        self._web: web.Server | None = None
        self._servers: list[asyncio.Server] = []
        self._port = 0
        self._affordable = MAX_CONNECTIONS

    @property
    def port(self) -> int:
        """The port that is bound, 0 before `start`; stays known after `stop`."""
        return self._port

    async def start(self) -> None:
        """Bind (or take the given socket) and serve.

        Raises:
            OSError: the address cannot be bound.
        """
        # Scrapers and probes come every few seconds: an access log would drown everything else.
        self._web = web.Server(
            self._answer, access_log=None, logger=_NOISE, keepalive_timeout=KEEP_ALIVE, lingering_time=0
        )
        loop = asyncio.get_running_loop()
        given = self._sock
        bound = bind_all(self._host, self._requested_port) if given is None else [given]
        self._port = bound[0].getsockname()[1]
        for sock in bound:
            self._servers.append(await loop.create_server(self._protocol, sock=sock))
        self._affordable = max(FEWEST_CONNECTIONS, spare_descriptors() // 3)

    async def stop(self) -> None:
        """Close the listening socket and every connection; does nothing when not started."""
        if not self._servers or self._web is None:
            return
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        await self._web.shutdown(1.0)
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(1.0):
                for server in servers:
                    await server.wait_closed()

    def _protocol(self) -> asyncio.BaseProtocol:
        assert self._web is not None
        open_ones = [handler for handler in self._web.connections if handler.transport is not None]
        most = min(MAX_CONNECTIONS, self._affordable)
        for handler in open_ones[: max(0, len(open_ones) - most + 1)]:
            handler.force_close()
        return self._web()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        change = self._changes.get(request.path)
        handler = change or self._paths.get(request.path)
        if handler is None:
            return text_response(404, f"not found; there are: {', '.join([*self._paths, *self._changes])}")
        allowed = ("GET", "HEAD") if change is None else ("POST",)
        if request.method not in allowed:
            response = text_response(405, f"only {' and '.join(allowed)}")
            response.headers["Allow"] = ", ".join(allowed)
            response.force_close()  # its body, if any, is not read
            return response
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await handler(request)
        except TimeoutError:
            _LOG.error("%s was not answered within %g s", request.path, ANSWER_TIMEOUT)
            return text_response(503, "not available in time")
        except Exception:  # noqa: BLE001 - the peer hears nothing of what went wrong
            _LOG.exception("%s failed", request.path)
            return text_response(500, "internal error")


class ProcessEndpoints(Endpoints):
    """`/metrics`, `/livez` and `/readyz`.

    Args:
        host: address to bind; `::` for all of both families.
        port: port to bind, 0 for any.
        metrics: the metrics as they are now; may be a coroutine function. Never runs twice at the same time
            for one format: requests that come meanwhile get the same answer.
        live: whether the process is alive, and why not.
        ready: whether it can do its work, and why not.
        sock: a bound socket to listen on, instead of host and port; owned and closed by this object.
    """

    def __init__(
        self,
        host: str,
        port: int,
        metrics: Callable[[], Collector | Awaitable[Collector]],
        live: Probe,
        ready: Probe,
        *,
        sock: socket.socket | None = None,
    ) -> None:
        super().__init__(
            host,
            port,
            {"/metrics": self._show_metrics, "/livez": self._livez, "/readyz": self._readyz},
            sock=sock,
        )
        self._metrics = metrics
        self._rendering: SingleFlight[str, bytes] = SingleFlight()
        self._live = live
        self._ready = ready

    async def _show_metrics(self, request: web.BaseRequest) -> web.Response:
        encode, content_type = _encoder(request.headers.get("Accept", ""))

        async def render() -> bytes:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                metrics = self._metrics()
                return encode(await metrics if inspect.isawaitable(metrics) else metrics)

        return body_response(await self._rendering.do(content_type, render), content_type)

    async def _livez(self, _: web.BaseRequest) -> web.Response:
        return _probe_response(self._live(), "not alive")

    async def _readyz(self, _: web.BaseRequest) -> web.Response:
        return _probe_response(self._ready(), "not ready")


def spare_descriptors() -> int:
    """File descriptors that this process may still open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are all that is wanted
    except OSError:
        used = 32  # not Linux: what a process of ours has at its start
    return max(0, min(limit, 1_000_000) - used)


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):
        return choose_encoder("")  # a version that is not made of numbers


def _probe_response(state: tuple[bool, str], otherwise: str) -> web.Response:
    well, reason = state
    return text_response(200 if well else 503, reason or ("ok" if well else otherwise))


def text_response(status: int, text: str) -> web.Response:
    """A line of text."""
    return web.Response(status=status, text=text + "\n", headers={"Cache-Control": "no-store"})


def body_response(body: bytes, content_type: str) -> web.Response:
    """A document."""
    return web.Response(body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})
