"""The admin API's paths for the queue: JSON in, JSON out; who may ask is the admin endpoint's to decide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol

import orjson
from aiohttp import web

from tubepost_dispatcher.queue_request import (
    Action,
    Change,
    Cursor,
    Group,
    Query,
    RequestRefused,
    read_change,
    read_query,
)
from tubepost_dispatcher.queue_step import Answer, Partition, Queued
from tubepost_runtime.endpoints import Handler, body_response

MOST_BODY: Final = 64 * 1024
"""Bytes of a request's body."""
_JSON: Final = "application/json"


class QueueRequests(Protocol):
    """Who answers requests about the queue."""

    async def summary(self, query: Query) -> Answer:
        """The partitions, and counts of what the selection names."""

    async def notifications(self, query: Query) -> Answer:
        """The notifications that the selection names."""

    async def trace(self, query: Query) -> Answer:
        """What journals and queue have about the selection's ids."""

    async def change(self, change: Change) -> Answer:
        """Do what was asked for, or count what it would be done with."""


def queue_reads(queue: QueueRequests) -> dict[str, Handler]:
    """Paths that change nothing, and who answers them."""
    return {
        "/queue/summary": partial(_read, queue.summary, _summary),
        "/queue/notifications": partial(_read, queue.notifications, _notifications),
        "/queue/trace": partial(_read, queue.trace, _trace),
    }


def queue_changes(queue: QueueRequests) -> dict[str, Handler]:
    """Paths that change the queue, and who answers them."""
    return {f"/queue/{action}": partial(_change, queue, action) for action in Action}


# -- requests ----------------------------------------------------------------------------------------------


async def _read(
    ask: Callable[[Query], Awaitable[Answer]],
    show: Callable[[Answer], dict[str, Any]],
    request: web.BaseRequest,
) -> web.Response:
    try:
        query = read_query(list(request.query.items()))
    except RequestRefused as refused:
        return _refuse(400, str(refused))
    if show is _trace and not query.selection.ids:
        return _refuse(400, "id: missing. Give the message id, as the 250 named it: /queue/trace?id=ID")
    return _json(show(await ask(query)))


async def _change(queue: QueueRequests, action: Action, request: web.BaseRequest) -> web.Response:
    if request.content_type != _JSON:
        # A web page can send other types to loopback without asking first.
        return _refuse(415, f"Content-Type: not {_JSON}. Send JSON, and say so")
    body = await _body(request)
    if body is None:
        response = _refuse(413, f"The body is longer than {MOST_BODY} bytes. Name fewer ids")
        response.force_close()  # the rest is not read
        return response
    try:
        change = read_change(action, _parsed(body))
    except RequestRefused as refused:
        return _refuse(400, str(refused))
    return _json(_changed(change, await queue.change(change)))


async def _body(request: web.BaseRequest) -> bytes | None:
    """The body, None when it is too long."""
    if (request.content_length or 0) > MOST_BODY:
        return None
    body = b""
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > MOST_BODY:
            return None
    return body


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestRefused(f"The body is not JSON: {error.msg} at byte {error.pos}") from None


# -- answers -----------------------------------------------------------------------------------------------


def _summary(answer: Answer) -> dict[str, Any]:
    return {
        **_frame(answer),
        "partitions": [_partition(one) for one in answer.partitions],
        "groups": [_group(one) for one in answer.groups],
        "lookedAt": answer.looked_at,
        "journal": _journal(answer),
    }


def _notifications(answer: Answer) -> dict[str, Any]:
    return {**_frame(answer), "notifications": [_queued(one) for one in answer.listed]}


def _trace(answer: Answer) -> dict[str, Any]:
    return {
        **_notifications(answer),
        "events": [_event(line) for line in answer.lines],
        "journal": _journal(answer),
    }


def _changed(change: Change, answer: Answer) -> dict[str, Any]:
    return {
        **_frame(answer),
        "action": change.action.value,
        "dryRun": change.dry_run,
        "groups": [_group(one) for one in answer.groups],
        "underWay": answer.under_way,
    }


def _frame(answer: Answer) -> dict[str, Any]:
    return {
        "asOf": _time(answer.as_of),
        "start": str(Cursor(answer.as_of)),
        "next": None if answer.following is None else str(answer.following),
        "problems": answer.problems,
    }


def _journal(answer: Answer) -> dict[str, Any]:
    return {"outlivesWorkers": answer.lines_kept, "linesLost": answer.lines_lost}


def _partition(one: Partition) -> dict[str, Any]:
    return {
        "number": one.number,
        "state": one.state,
        "notifications": one.entries,
        "active": one.active,
        "bytes": one.size,
        "filesSetAside": one.quarantined,
        "entriesSetAside": one.damaged,
        "problem": one.problem,
    }


def _group(one: Group) -> dict[str, Any]:
    return {
        "domain": one.domain,
        "route": one.route,
        "lastReason": one.reason,
        "hold": one.hold,
        "notifications": one.queued,
        "due": one.due,
        "oldest": _time(one.oldest),
        "bytes": one.size,
    }


def _queued(one: Queued) -> dict[str, Any]:
    return {
        "id": one.message_id,
        "apnsId": one.apns_id,
        "kind": one.kind,
        "state": one.state,
        "domain": one.domain,
        "sender": one.sender,
        "recipient": one.recipient,
        "tokenPrefix": one.token_prefix,
        "channelId": one.channel_id,
        "accepted": _time(one.accepted),
        "nextTry": None if one.due is None else _time(one.due),
        "expires": _time(one.expires),
        "attempts": one.attempts,
        "route": one.route,
        "lastReason": one.reason,
        "hold": one.hold,
        "topic": one.topic,
        "pushType": one.push_type,
        "priority": one.priority,
        "collapseId": one.collapse_id,
        "apnsExpiration": one.apns_expiration,
        "user": one.user,
        "client": one.client,
        "bytes": one.size,
        "partition": one.partition,
    }


def _event(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _time(value) if name in _TIMES else value for name, value in line.items()}


_TIMES: Final = frozenset({"at", "accepted", "due"})


def _time(seconds: object) -> str:
    """RFC 3339 in UTC, with milliseconds; what is no time becomes an empty text."""
    try:
        found = datetime.fromtimestamp(float(seconds), UTC)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return ""
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(document: Mapping[str, Any]) -> web.Response:
    return body_response(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE), _JSON)


def _refuse(status: int, text: str) -> web.Response:
    response = _json({"error": text})
    response.set_status(status)
    return response
