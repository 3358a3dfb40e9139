"""The simulator's page and its JSON API. Every fault of the caller's is `{"error": ..., "field": ...}`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from importlib.metadata import version
from typing import Any, Final

import orjson
from aiohttp import web

from tubepost_simulator import filters, guard, live, mcmt, openapi, page
from tubepost_simulator.chaos import ChaosError
from tubepost_simulator.context import Context
from tubepost_simulator.filters import BadRequestError, integer, seconds
from tubepost_simulator.journal import Notification

MAX_FEEDS: Final = 64
"""Readers of events at a time."""
_MAX_BODY: Final = 65_536
_HEARTBEAT: Final = 15.0
_PAUSE: Final = 0.05
"""Seconds between two pieces of an event stream: what comes in a burst is sent together."""
_STALLED: Final = 30.0
"""Seconds for which a reader may leave its events unread."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(context: Context, ca_pem: bytes, allowed_hosts: Collection[str] = ()) -> web.Application:
    """Page and API of one simulator, to be run on the same event loop.

    Args:
        context: the simulator.
        ca_pem: what clients have to trust.
        allowed_hosts: names by which it may be asked, besides those of `guard.host_refusal`.
    """
    app = web.Application(middlewares=[_guarded(allowed_hosts), _errors], client_max_size=_MAX_BODY)
    handlers = _Handlers(context, ca_pem)
    for route in openapi.ROUTES:
        app.router.add_route(route.method, openapi.PREFIX + route.path, getattr(handlers, route.handler))
    files = _Page()
    app.router.add_get("/", files.index)
    app.router.add_get("/page/{name}", files.asset)
    app.on_shutdown.append(handlers.stop)
    return app


class _Page:
    def __init__(self) -> None:
        self._files = page.load()

    async def index(self, request: web.Request) -> web.Response:
        return self._send(request, page.INDEX)

    async def asset(self, request: web.Request) -> web.Response:
        return self._send(request, request.match_info["name"])

    def _send(self, request: web.Request, name: str) -> web.Response:
        file = self._files.get(name)
        if file is None:
            raise web.HTTPNotFound
        headers = {"ETag": f'"{file.tag}"', "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=headers)


class _Handlers:
    """One method for each `openapi.Route`."""

    def __init__(self, context: Context, ca_pem: bytes) -> None:
        self._context = context
        self._ca_pem = ca_pem
        self._feeds: set[live.Feed] = set()

    async def stop(self, _app: web.Application) -> None:
        for feed in self._feeds:
            feed.stop()

    async def notifications(self, request: web.Request) -> web.Response:
        records = filters.select(self._context.journal, filters.read(request.query))
        return _answer({"notifications": [record.as_dict() for record in records]})

    async def notification(self, request: web.Request) -> web.Response:
        return _answer(self._find(request).as_dict())

    async def message(self, request: web.Request) -> web.Response:
        recipient = request.query.get("recipient", mcmt.DEFAULT_RECIPIENT)
        if not mcmt.is_recipient(recipient):
            raise BadRequestError("not an address", "recipient")
        return web.Response(
            body=mcmt.mcmt_message(self._find(request), recipient), content_type="text/plain", charset="utf-8"
        )

    async def clear(self, _request: web.Request) -> web.Response:
        return _answer({"cleared": self._context.journal.clear()})

    async def events(self, request: web.Request) -> web.StreamResponse:
        context = self._context
        criteria = filters.read(request.query)
        criteria = live.resumed(criteria, request.headers.get("Last-Event-ID", ""), context.instance)
        if len(self._feeds) >= MAX_FEEDS:
            return _answer({"error": f"{MAX_FEEDS} readers listen already", "field": ""}, status=503)
        feed = live.Feed(context.journal, criteria, context.instance, context.chaos)
        response = web.StreamResponse(headers={**guard.HEADERS, "Cache-Control": "no-store"})
        response.content_type = "text/event-stream"
        self._feeds.add(feed)
        feed.open()
        try:
            await response.prepare(request)
            await response.write(b"retry: 1000\n\n")
            while not feed.closing:
                piece = feed.take() if await feed.wait(_HEARTBEAT) else b": nothing new\n\n"
                async with asyncio.timeout(_STALLED):
                    await response.write(piece)
                await asyncio.sleep(_PAUSE)
        except (ConnectionError, TimeoutError):
            response.force_close()
        finally:
            feed.close()
            self._feeds.discard(feed)
        return response

    async def wait(self, request: web.Request) -> web.Response:
        count = integer("count", request.query.get("count", ""))
        timeout = min(seconds("timeout", request.query.get("timeout", "10")), openapi.MAX_WAIT)
        journal = self._context.journal
        try:
            await journal.wait_for(count, timeout)
        except TimeoutError:
            return _answer({"count": journal.count, "reached": False})
        return _answer({"count": journal.count, "reached": True})

    async def stats(self, _request: web.Request) -> web.Response:
        return _answer(self._context.stats())

    async def connections(self, _request: web.Request) -> web.Response:
        return _answer({"connections": [connection.as_dict() for connection in self._context.connections]})

    async def channels(self, _request: web.Request) -> web.Response:
        return _answer({"channels": self._context.policy.channels.as_dict()})

    async def chaos(self, _request: web.Request) -> web.Response:
        return _answer(self._context.chaos())

    async def patch_chaos(self, request: web.Request) -> web.Response:
        try:
            changes = json.loads(await request.read())
        except (ValueError, RecursionError):
            raise BadRequestError("the body is not JSON") from None
        if not isinstance(changes, dict):
            raise BadRequestError("the body is not a JSON object")
        try:
            answer = self._context.apply_chaos(changes)
        except ChaosError as error:
            raise BadRequestError(error.message, error.field) from None
        for feed in self._feeds:
            feed.switched()
        return _answer(answer)

    async def health(self, _request: web.Request) -> web.Response:
        context = self._context
        return _answer(
            {
                "status": "ok",
                "environment": context.settings.environment,
                "port": context.port,
                "apiPort": context.api_port,
                "version": version("tubepost"),
            }
        )

    async def ca(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._ca_pem, content_type="application/x-pem-file")

    async def openapi(self, _request: web.Request) -> web.Response:
        return web.Response(body=openapi.document(), content_type=openapi.JSON)

    def _find(self, request: web.Request) -> Notification:
        number = integer("number", request.match_info["number"])
        found = self._context.journal.find(number)
        if found is None:
            raise web.HTTPNotFound(reason=f"notification {number} is not kept, or never was")
        return found


def _guarded(allowed_hosts: Collection[str]) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def check(request: web.Request, handler: _Handler) -> web.StreamResponse:
        refusal, field = guard.host_refusal(request.headers.get("Host", ""), allowed_hosts), "Host"
        if not refusal and request.method not in {"GET", "HEAD"}:
            refusal, field = guard.origin_refusal(request.headers), "Origin"
        if refusal:
            response: web.StreamResponse = _answer({"error": refusal, "field": field}, status=403)
            response.force_close()  # its body, if any, is not read
        else:
            response = await handler(request)
        if not response.prepared:
            response.headers.update(guard.HEADERS)
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return check


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except BadRequestError as error:
        return _answer({"error": str(error), "field": error.field}, status=400)
    except web.HTTPException as error:
        return _answer({"error": error.reason, "field": ""}, status=error.status)


def _answer(document: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json", status=status)
