"""The dispatcher's HTTP endpoints beside metrics and health: /status and /queue, on the pod's loopback."""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from tubepost_dispatcher.queue_api import QueueRequests, queue_changes, queue_reads
from tubepost_runtime import endpoints
from tubepost_runtime.addresses import LOOPBACK
from tubepost_runtime.endpoints import Endpoints, Handler, body_response, text_response
from tubepost_runtime.single_flight import SingleFlight

_LOOPBACK_HOST = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?", re.IGNORECASE)


class AdminEndpoint(Endpoints):
    """`/status` as JSON, and the queue's paths, on loopback only.

    A request whose Host header does not name loopback is refused, so that no web page can read the status
    through a name of its own that resolves there. What changes something takes POST with a body of JSON,
    which no web page can send here without being asked for permission first.

    Args:
        host: a loopback address; `localhost` for those of both families.
        port: port to bind, 0 for any.
        status: the document; may be a coroutine function; never runs twice at the same time.
        sock: a bound socket to listen on, instead of host and port; owned and closed by this object.
        queue: answers requests about the queue; None: there are no paths for it.

    Raises:
        ValueError: the address is not loopback.
    """

    def __init__(
        self,
        host: str = LOOPBACK,
        port: int = 0,
        status: Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]] = dict,
        *,
        sock: socket.socket | None = None,
        queue: QueueRequests | None = None,
    ) -> None:
        address = host if sock is None else sock.getsockname()[0]
        if not _is_loopback(address):
            raise ValueError(f"the admin endpoint serves on loopback only, not on {address}")
        reads: dict[str, Handler] = {"/status": self._show_status}
        if queue is not None:
            reads |= queue_reads(queue)
        changes = None if queue is None else queue_changes(queue)
        super().__init__(host, port, reads, changes, sock=sock)
        self._status = status
        self._running: SingleFlight[str, Mapping[str, Any]] = SingleFlight()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        host = request.headers.get("Host", "")
        if host and not _LOOPBACK_HOST.fullmatch(host):
            response = text_response(403, "ask for localhost")
            response.force_close()  # its body, if any, is not read
            return response
        return await super()._answer(request)

    async def _show_status(self, _: web.BaseRequest) -> web.Response:
        async def make() -> Mapping[str, Any]:
            async with asyncio.timeout(endpoints.ANSWER_TIMEOUT):
                document = self._status()
                return await document if inspect.isawaitable(document) else document

        document = await self._running.do("", make)
        body = orjson.dumps(
            document,
            default=str,
            option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS,
        )
        return body_response(body, "application/json")


def _is_loopback(address: str) -> bool:
    if address == LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
