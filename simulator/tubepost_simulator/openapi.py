"""The paths of the API, as data: what is served and what is described (OpenAPI 3.1) is made of one table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, Final, Literal, NamedTuple

import orjson

from tubepost_simulator import live
from tubepost_simulator.chaos import Chaos, ConnectionAction
from tubepost_simulator.filters import DEFAULT_LIMIT, FILTERS, MAX_TEXT
from tubepost_simulator.mcmt import DEFAULT_RECIPIENT
from tubepost_simulator.validation import PUSH_TYPES

PREFIX: Final = "/api/v1"
JSON: Final = "application/json"
MAX_WAIT: Final = 300.0
"""Seconds."""

Schema = Mapping[str, Any]
_TEXT: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}


class Parameter(NamedTuple):
    """A parameter of a request."""

    name: str
    schema: Schema
    help: str
    place: Literal["query", "path"] = "query"
    required: bool = False


class Route(NamedTuple):
    """A path and a method of the API: `handler` names who answers, `answer` is what."""

    method: Literal["GET", "DELETE", "PATCH"]
    path: str
    handler: str
    help: str
    answer: Schema
    content_type: str = JSON
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    faults: tuple[int, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(name: str, items: Schema) -> Schema:
    return _object(**{name: {"type": "array", "items": items}})


_EXAMPLES: Final[Mapping[str, Schema]] = {"push_type": {"examples": sorted(PUSH_TYPES)}}
_FILTERS: Final = tuple(
    Parameter(name, {**spec.schema, **_EXAMPLES.get(name, {})}, spec.help) for name, spec in FILTERS.items()
)
_NUMBER: Final = Parameter("number", {"type": "integer", "minimum": 1}, "Its number.", "path", True)

ROUTES: Final = (
    Route(
        "GET",
        "/notifications",
        "notifications",
        f"notifications, newest last, {DEFAULT_LIMIT:,} of them unless `limit` says otherwise",
        _list("notifications", _ref("Notification")),
        parameters=_FILTERS,
        faults=(400,),
    ),
    Route(
        "DELETE",
        "/notifications",
        "clear",
        'forgets them, answers `{"cleared": N}`; counts stay',
        _object(cleared=_COUNT),
        faults=(403,),
    ),
    Route(
        "GET",
        "/notifications/{number}",
        "notification",
        "one of them",
        _ref("Notification"),
        parameters=(_NUMBER,),
        faults=(404,),
    ),
    Route(
        "GET",
        "/notifications/{number}/message",
        "message",
        "it as an MCMT message, to be submitted again",
        _TEXT,
        "text/plain",
        (
            _NUMBER,
            Parameter(
                "recipient",
                {"type": "string", "maxLength": 254, "default": DEFAULT_RECIPIENT},
                "Address for To, whose domain selects the PushDomain's entry.",
            ),
        ),
        faults=(400, 404),
    ),
    Route(
        "GET",
        "/events",
        "events",
        "the same as it happens, as server-sent events",
        _TEXT,
        "text/event-stream",
        _FILTERS,
        faults=(400, 503),
    ),
    Route(
        "GET",
        "/wait",
        "wait",
        "waits until `count` have come since the start or the last DELETE, at most `timeout` seconds; "
        'answers `{"count": N, "reached": true}`',
        _object(count=_COUNT, reached={"type": "boolean"}),
        parameters=(
            Parameter("count", _COUNT, "How many.", required=True),
            Parameter(
                "timeout", {"type": "number", "minimum": 0, "default": 10}, f"Seconds, at most {MAX_WAIT:g}."
            ),
        ),
        faults=(400,),
    ),
    Route("GET", "/stats", "stats", "counts since the start, and the present state", _ref("Stats")),
    Route("GET", "/connections", "connections", "open connections", _list("connections", _ref("Connection"))),
    Route(
        "GET",
        "/channels",
        "channels",
        "broadcast channels of all apps",
        _list("channels", _object(id=_TEXT, bundle=_TEXT, messageStoragePolicy={"enum": [0, 1]})),
    ),
    Route("GET", "/chaos", "chaos", "all switches", _ref("Chaos")),
    Route(
        "PATCH",
        "/chaos",
        "patch_chaos",
        "changes the switches named in a JSON object, all or none; answers all of them",
        _ref("Chaos"),
        body=_ref("ChaosPatch"),
        faults=(400, 403),
    ),
    Route(
        "GET",
        "/health",
        "health",
        '`{"status": "ok"}` with ports and environment',
        _object(
            status={"const": "ok"},
            environment={"enum": ["Production", "Sandbox"]},
            port=_COUNT,
            apiPort=_COUNT,
            version=_TEXT,
        ),
    ),
    Route(
        "GET", "/ca", "ca", "the authority that clients have to trust, PEM", _TEXT, "application/x-pem-file"
    ),
    Route("GET", "/openapi.json", "openapi", "this API, described (OpenAPI 3.1)", {"type": "object"}),
)

_FAULTS: Final[Mapping[int, str]] = {
    400: "A parameter or the body cannot be read; `field` names it.",
    403: "Another web page asks, or by a name that is not this machine's.",
    404: "It is not kept, or never was.",
    503: "Too many listen already.",
}
_OR_NULL: Final[Schema] = {"type": ["integer", "null"]}
_NOTIFICATION: Final[Mapping[str, Schema]] = {
    "number": {**_COUNT, "description": "Counts from 1 and is never used again."},
    "receivedAt": {"type": "number", "description": "Unix seconds."},
    "apnsId": _TEXT,
    "token": {**_TEXT, "description": "The device token; empty of a broadcast."},
    "channelId": {**_TEXT, "description": "The broadcast channel, or empty."},
    "topic": _TEXT,
    "pushType": _TEXT,
    "priority": _OR_NULL,
    "expiration": _OR_NULL,
    "collapseId": {"type": ["string", "null"]},
    "payload": {"description": "The payload, null if it is not JSON."},
    "payloadBase64": {**_TEXT, "description": "Its bytes as they came."},
    "auth": {"enum": ["certificate", "token", ""], "description": "Empty when neither was accepted."},
    "identity": {**_TEXT, "description": "The certificate's subject, or team/key."},
    "connection": _COUNT,
    "stream": _COUNT,
    "status": {**_COUNT, "description": "The verdict's HTTP status."},
    "reason": {**_TEXT, "description": "APNs' reason of a rejection, or empty."},
    "detail": {**_TEXT, "description": "The same in words."},
    "behaviour": {**_TEXT, "description": "What a switch or a magic device token did, or empty."},
    "answered": {"type": "boolean", "description": "The verdict has been written to the connection."},
    "attempt": {**_COUNT, "description": "1 for the first with its apns-id."},
}


@cache
def document() -> bytes:
    """The description, in UTF-8."""
    return orjson.dumps(description())


def description() -> dict[str, Any]:
    """The description, as JSON values."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tubepost simulator",
            "version": version("tubepost"),
            "summary": "What a simulated APNs has received, and how it misbehaves.",
            "description": "For tests: see what arrived, wait for it, and switch trouble on.",
        },
        "servers": [{"url": "../..", "description": "Where this document comes from."}],
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _operation(route: Route) -> dict[str, Any]:
    text = route.help[0].upper() + route.help[1:]
    operation: dict[str, Any] = {
        "operationId": route.handler,
        "summary": text + ".",
        "responses": {
            "200": {"description": "Done.", "content": {route.content_type: {"schema": route.answer}}}
        },
    }
    if route.handler == "events":
        operation["description"] = (live.__doc__ or "").partition("\n\n")[2].strip()
    for status in route.faults:
        operation["responses"][str(status)] = {
            "description": _FAULTS[status],
            "content": {JSON: {"schema": _ref("Fault")}},
        }
    if route.parameters:
        operation["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.place,
                "required": parameter.required,
                "schema": parameter.schema,
                "description": parameter.help,
            }
            for parameter in route.parameters
        ]
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": route.body}}}
    return operation


def _schemas() -> dict[str, Any]:
    chaos = Chaos.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    schemas = dict(chaos.pop("$defs"))
    patch: dict[str, Any] = {
        name: {"anyOf": [spec, {"type": "null"}]} for name, spec in chaos["properties"].items()
    }
    patch["now"] = {"enum": list(ConnectionAction), "description": "Done once to all open connections."}
    return {
        **schemas,
        "Chaos": chaos,
        "ChaosPatch": {
            "type": "object",
            "additionalProperties": False,
            "description": "Switches to change: `goaway` is merged, every other one replaced, null restores "
            "a default.",
            "properties": patch,
        },
        "Connection": {"type": "object", "description": "An open connection, its limits and its use."},
        "Fault": _object(
            error={**_TEXT, "description": "What is wrong."},
            field={**_TEXT, "maxLength": MAX_TEXT, "description": "Where, or empty."},
        ),
        "Notification": _object(**_NOTIFICATION),
        "Stats": {"type": "object", "description": "Counts since the start, and the present state."},
    }
