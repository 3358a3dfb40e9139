"""The dispatcher's HTTP endpoints beside metrics and health: /status, on the pod's loopback."""

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

from tubepost_runtime import endpoints
from tubepost_runtime.endpoints import Endpoints, body_response, text_response
from tubepost_runtime.single_flight import SingleFlight

_LOOPBACK_HOST = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?", re.IGNORECASE)


class AdminEndpoint(Endpoints):
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
        super().__init__(host, port, {"/status": self._show_status}, sock=sock)
        self._status = status
        self._running: SingleFlight[str, Mapping[str, Any]] = SingleFlight()

    async def _show_status(self, request: web.BaseRequest) -> web.Response:
        host = request.headers.get("Host", "")
        if host and not _LOOPBACK_HOST.fullmatch(host):
            return text_response(403, "ask for localhost")

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
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
