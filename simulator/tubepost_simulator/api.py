"""The simulator's JSON API. Every fault of the caller's is answered with `{"error": ..., "field": ...}`.

| request | does |
| --- | --- |
| `GET /api/v1/notifications` | notifications, newest last; filters below |
| `DELETE /api/v1/notifications` | forgets them, answers `{"cleared": N}` |
| `GET /api/v1/wait?count=N&timeout=S` | waits for N of them; answers `{"count": N, "reached": true}` |
| `GET /api/v1/stats` | counts since the start, and the present state |
| `GET /api/v1/connections` | open connections |
| `GET /api/v1/channels` | broadcast channels of all apps |
| `GET /api/v1/chaos` | all switches |
| `PATCH /api/v1/chaos` | changes the switches named in a JSON object, all or none; answers all of them |
| `GET /api/v1/health` | `{"status": "ok"}` with ports and environment |
| `GET /api/v1/ca` | the authority that clients have to trust, PEM |

`wait` counts from the start or the last DELETE and waits at most S seconds (10 unless given, 300 at most);
`reached` is false when that was not enough.

Filters of notifications, all of them must hold: `token`, `topic`, `channel_id`, `apns_id`, `status`,
`reason` (equal),
`since` (received at or after, unix seconds), `after` (number greater than), `limit` (the newest so many,
1,000 unless given, at most 100,000).
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from tubepost_simulator.chaos import ChaosError
from tubepost_simulator.context import Context
from tubepost_simulator.journal import Journal, Notification

_DEFAULT_LIMIT = 1_000
_MAX_LIMIT = 100_000
_MAX_WAIT = 300.0
_MAX_BODY = 65_536
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BadRequestError(Exception):
    """A fault of the caller's. `field` names the parameter or the JSON path, empty when it is the whole."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


def application(context: Context, ca_pem: bytes) -> web.Application:
    """The API of one simulator, to be run on the same event loop; `ca_pem` is what clients have to trust."""
    app = web.Application(middlewares=[_errors], client_max_size=_MAX_BODY)
    handlers = _Handlers(context, ca_pem)
    app.router.add_get("/api/v1/notifications", handlers.notifications)
    app.router.add_delete("/api/v1/notifications", handlers.clear)
    app.router.add_get("/api/v1/wait", handlers.wait)
    app.router.add_get("/api/v1/stats", handlers.stats)
    app.router.add_get("/api/v1/connections", handlers.connections)
    app.router.add_get("/api/v1/channels", handlers.channels)
    app.router.add_get("/api/v1/chaos", handlers.chaos)
    app.router.add_patch("/api/v1/chaos", handlers.patch_chaos)
    app.router.add_get("/api/v1/health", handlers.health)
    app.router.add_get("/api/v1/ca", handlers.ca)
    return app


def select(journal: Journal, query: Mapping[str, str]) -> list[Notification]:
    """Choose notifications by the filters of the API, newest last.

    Raises:
        BadRequestError: an unknown filter, or an invalid value.
    """
    wanted: dict[str, Any] = {}
    for name, value in query.items():
        if name not in _FILTERS:
            raise BadRequestError(f"there is no filter of this name; there are {', '.join(_FILTERS)}", name)
        wanted[name] = _FILTERS[name](name, value)
    limit = wanted.pop("limit", _DEFAULT_LIMIT)
    since = wanted.pop("since", 0.0)
    after = wanted.pop("after", 0)
    chosen: list[Notification] = []
    for record in reversed(journal):
        if len(chosen) >= limit or record.received_at < since or record.number <= after:
            break  # records are in order of both
        if all(getattr(record, name) == value for name, value in wanted.items()):
            chosen.append(record)
    chosen.reverse()
    return chosen


def _text(_name: str, value: str) -> str:
    return value


def _lower(_name: str, value: str) -> str:
    return value.lower()


def _integer(name: str, value: str) -> int:
    if not value.isascii() or not value.isdecimal() or len(value) > 15:
        raise BadRequestError("not a whole number", name)
    return int(value)


def _limit(name: str, value: str) -> int:
    number = _integer(name, value)
    if number > _MAX_LIMIT:
        raise BadRequestError(f"at most {_MAX_LIMIT}", name)
    return number


def _seconds(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise BadRequestError("not a number of seconds", name)
    return number


_FILTERS: dict[str, Callable[[str, str], Any]] = {
    "token": _lower,
    "topic": _text,
    "channel_id": _text,
    "apns_id": _text,
    "status": _integer,
    "reason": _text,
    "since": _seconds,
    "after": _integer,
    "limit": _limit,
}


class _Handlers:
    def __init__(self, context: Context, ca_pem: bytes) -> None:
        self._context = context
        self._ca_pem = ca_pem

    async def notifications(self, request: web.Request) -> web.Response:
        records = select(self._context.journal, request.query)
        return _answer({"notifications": [record.as_dict() for record in records]})

    async def clear(self, _request: web.Request) -> web.Response:
        return _answer({"cleared": self._context.journal.clear()})

    async def wait(self, request: web.Request) -> web.Response:
        count = _integer("count", request.query.get("count", ""))
        timeout = min(_seconds("timeout", request.query.get("timeout", "10")), _MAX_WAIT)
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
            return _answer(self._context.apply_chaos(changes))
        except ChaosError as error:
            raise BadRequestError(error.message, error.field) from None

    async def health(self, _request: web.Request) -> web.Response:
        context = self._context
        return _answer(
            {
                "status": "ok",
                "environment": context.settings.environment,
                "port": context.port,
                "apiPort": context.api_port,
            }
        )

    async def ca(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._ca_pem, content_type="application/x-pem-file")


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
