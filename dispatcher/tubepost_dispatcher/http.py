"""The HTTP endpoints: metrics and health on the pod's network, /status on its loopback.

Read-only, small, bounded: a peer that holds connections open cannot keep a probe out, since the oldest
connection makes room for a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import ipaddress
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

_LOG = logging.getLogger("tubepost.http")

MAX_CONNECTIONS = 100
"""Open connections of one endpoint; one more closes the oldest."""

KEEP_ALIVE = 75.0
"""Seconds for which an idle connection stays: longer than the usual scrape interval of a minute."""

ANSWER_TIMEOUT = 10.0
"""Seconds after which metrics or status that are not there are answered with 503."""

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""

OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_LOOPBACK_HOST = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?", re.IGNORECASE)

_Handler = Callable[[web.BaseRequest], Awaitable[web.Response]]


class _Endpoints:
    """A server with a table of paths; GET and HEAD only."""

    def __init__(
        self, host: str, port: int, sock: socket.socket | None, paths: Mapping[str, _Handler]
    ) -> None:
        self._host = host
        self._requested_port = port
        self._sock = sock
        self._paths = paths
        self._web: web.Server | None = None
        self._server: asyncio.Server | None = None
        self._port = 0

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
        self._web = web.Server(self._answer, access_log=None, keepalive_timeout=KEEP_ALIVE, lingering_time=0)
        loop = asyncio.get_running_loop()
        if self._sock is not None:
            self._server = await loop.create_server(self._protocol, sock=self._sock)
        else:
            self._server = await loop.create_server(self._protocol, self._host, self._requested_port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listening socket and every connection; does nothing when not started."""
        if self._server is None or self._web is None:
            return
        server, self._server = self._server, None
        server.close()
        await self._web.shutdown(1.0)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 1.0)

    def _protocol(self) -> asyncio.BaseProtocol:
        assert self._web is not None
        open_ones = [handler for handler in self._web.connections if handler.transport is not None]
        for handler in open_ones[: max(0, len(open_ones) - MAX_CONNECTIONS + 1)]:
            handler.force_close()
        return self._web()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        handler = self._paths.get(request.path)
        if handler is None:
            return _text(404, f"not found; there are: {', '.join(self._paths)}")
        if request.method not in {"GET", "HEAD"}:
            response = _text(405, "only GET and HEAD")
            response.headers["Allow"] = "GET, HEAD"
            response.force_close()  # its body, if any, is not read
            return response
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await handler(request)
        except TimeoutError:
            _LOG.error("%s was not answered within %g s", request.path, ANSWER_TIMEOUT)
            return _text(503, "not available in time")
        except Exception:  # noqa: BLE001 - the peer hears nothing of what went wrong
            _LOG.exception("%s failed", request.path)
            return _text(500, "internal error")


class PublicEndpoints(_Endpoints):
    """`/metrics`, `/livez` and `/readyz`.

    Args:
        host: address to bind, e.g. `0.0.0.0` or `::`.
        port: port to bind, 0 for any.
        registry_text: the metrics in Prometheus' text format; may be a coroutine function. Never runs twice
            at the same time: requests that come meanwhile get the same answer.
        live: whether the process is alive.
        ready: whether it can take messages, and why not.
        openmetrics_text: the same in the OpenMetrics format, for scrapers that ask for it; without, they
            get the text format too.
        sock: a bound socket to listen on, instead of host and port; owned and closed by this object.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry_text: Callable[[], bytes | Awaitable[bytes]],
        live: Callable[[], bool],
        ready: Callable[[], tuple[bool, str]],
        *,
        openmetrics_text: Callable[[], bytes | Awaitable[bytes]] | None = None,
        sock: socket.socket | None = None,
    ) -> None:
        super().__init__(
            host,
            port,
            sock,
            {"/metrics": self._metrics, "/livez": self._livez, "/readyz": self._readyz},
        )
        self._text = _SingleFlight(registry_text)
        self._openmetrics = _SingleFlight(openmetrics_text) if openmetrics_text is not None else None
        self._live = live
        self._ready = ready

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        if self._openmetrics is not None and wants_openmetrics(request.headers.get("Accept", "")):
            return _bytes(await self._openmetrics(), OPENMETRICS_TYPE)
        return _bytes(await self._text(), TEXT_TYPE)

    async def _livez(self, _: web.BaseRequest) -> web.Response:
        return _text(200, "ok") if self._live() else _text(503, "not alive")

    async def _readyz(self, _: web.BaseRequest) -> web.Response:
        ready, reason = self._ready()
        return _text(200 if ready else 503, reason or ("ok" if ready else "not ready"))


class AdminEndpoint(_Endpoints):
    """`/status` as JSON, on loopback only.

    A request whose Host header does not name loopback is refused, so that no web page can read the status
    through a name of its own that resolves there.

    Args:
        host: a loopback address.
        port: port to bind, 0 for any.
        status: the document; may be a coroutine function; never runs twice at the same time.
        sock: a bound socket to listen on, instead of host and port; owned and closed by this object.

    Raises:
        ValueError: the address is not loopback.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        status: Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]] = dict,
        *,
        sock: socket.socket | None = None,
    ) -> None:
        address = host if sock is None else sock.getsockname()[0]
        if not _is_loopback(address):
            raise ValueError(f"the admin endpoint serves on loopback only, not on {address}")
        super().__init__(host, port, sock, {"/status": self._status})
        self._document = _SingleFlight(status)

    async def _status(self, request: web.BaseRequest) -> web.Response:
        host = request.headers.get("Host", "")
        if host and not _LOOPBACK_HOST.fullmatch(host):
            return _text(403, "ask for localhost")
        document = await self._document()
        body = orjson.dumps(
            document,
            default=str,
            option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS,
        )
        return _bytes(body, "application/json")


class _SingleFlight:
    """Calls a function at most once at a time; callers that come meanwhile share its answer."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._running: asyncio.Task[Any] | None = None

    async def __call__(self) -> Any:
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())
        # One caller that gives up must not take the answer away from the others.
        return await asyncio.shield(self._running)

    async def _run(self) -> Any:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                result = self._function()
                return await result if inspect.isawaitable(result) else result
        finally:
            self._running = None


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header names OpenMetrics 1.0.0 (which is what Prometheus sends first).

    Preference by `q` is not weighed, as in prometheus_client.
    """
    for item in accept.split(","):
        media_type, *parameters = [part.strip() for part in item.split(";")]
        versions = [value.removeprefix("version=") for value in parameters if value.startswith("version=")]
        if media_type == "application/openmetrics-text" and (not versions or versions[0] == "1.0.0"):
            return True
    return False


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n", headers={"Cache-Control": "no-store"})


def _bytes(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})
