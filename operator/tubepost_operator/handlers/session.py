"""The HTTP session that kopf uses, which reports whatever arrives on a watch."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import aiohttp

from tubepost_operator.cluster import ConnectionInfo
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.names import Names

Noted = Callable[[str], None]
"""Called with the plural of a kind."""


def make_session(
    connection: ConnectionInfo, begun: Noted, noted: Noted, refused: Noted, metrics: OperatorMetrics
) -> aiohttp.ClientSession:
    """Make a session. The token is looked up for every request: it changes while the process runs.

    Args:
        connection: how to reach the API server.
        begun: called when a kind is listed, which a watch begins with; that alone is no sign that it works.
        noted: called whenever a watch brings anything.
        refused: called when a kind may not be listed or watched, or is not there.
        metrics: counts requests.
    """

    async def observe(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        authorization = connection.authorization()
        if authorization:
            request.headers["Authorization"] = authorization
        watch = request.url.query.get("watch") == "true"
        method = "WATCH" if watch else request.method
        try:
            response = await handler(request)
        except (aiohttp.ClientError, TimeoutError):
            metrics.api_requests.labels(method, "none").inc()
            raise
        metrics.api_requests.labels(method, str(response.status)).inc()
        plural = request.url.path.rpartition("/")[2]
        if response.status in {403, 404}:
            refused(plural)
        if not watch and response.status == 200:
            begun(plural)
        if watch and response.status == 200:
            stream = _Observed(response.content, lambda: noted(plural))
            response.content = cast("aiohttp.StreamReader", stream)
        return response

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=_context(connection)),
        headers={"User-Agent": Names.FIELD_MANAGER},
        middlewares=(observe,),
    )


def _context(connection: ConnectionInfo) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=connection.ca_file)
    if connection.cert_file:
        context.load_cert_chain(connection.cert_file, connection.key_file)
    if not connection.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Observed:
    """A response stream that reports every chunk that arrives, events and bookmarks alike.

    kopf has no hook for bookmarks, and without them a quiet watch cannot be told from a dead one.
    """

    def __init__(self, stream: aiohttp.StreamReader, noted: Callable[[], None]) -> None:
        self._stream = stream
        self._noted = noted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """What kopf reads a watch by."""
        async for piece in self._stream.iter_chunked(size):
            self._noted()
            yield piece
        self._noted()  # the server has ended it in order: it was there until then
