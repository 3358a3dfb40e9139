"""The description of the API (OpenAPI 3.1), made from the members that are read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, Final, get_args

import orjson

from tubepost_dispatcher.http.requests import BATCH, DEFAULT_LOCAL_PART, DSN, HEADERS, NUMBERS
from tubepost_dispatcher.reply import Taken

_TEXT: Final = {"type": "string"}
_HELP: Final[Mapping[str, str]] = {
    "deviceToken": "The device token, hex. Either this or apnsChannelId; without both, the context variable "
    "DLV_Dest_ID or a recipient whose local part is a device token.",
    "apnsChannelId": "Broadcast channel (Live Activities), base64.",
    "apnsTopic": "apns-topic; without it the route's.",
    "apnsPushType": "apns-push-type; without it the route's, or by the payload.",
    "apnsPriority": "apns-priority: 10, 5 or 1.",
    "apnsExpiration": "apns-expiration: unix seconds, 0 for one try; below 1,000,000,000 seconds from now.",
    "apnsCollapseId": "apns-collapse-id, at most 64 bytes.",
    "apnsId": "apns-id, a UUID; without it Tubepost makes one.",
    "returnPath": "Where bounces go; without it to the sender.",
    "payload": "The payload: a JSON object, sent in compact form; or a text that holds one, sent as it is.",
    "domain": f"A domain that the PushDomain serves. The recipient is {DEFAULT_LOCAL_PART}@ this domain.",
    "recipient": "Recipient address, instead of domain.",
    "sender": "Envelope sender; empty or absent: the null sender, who gets no bounces.",
    "context": "Context variables, at most 64.",
}
_DSN_HELP: Final[Mapping[str, str]] = {
    "notify": "NEVER, or some of SUCCESS,FAILURE,DELAY.",
    "orcpt": "The original recipient, such as rfc822;user@example.com.",
    "ret": "FULL or HDRS.",
    "envid": "Identifier of the sender's own, xtext.",
}
_PROBLEM: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "Problem details (RFC 9457), from the catalogue of reasons.",
    "required": ["type", "title", "status", "detail", "reason"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri",
            "description": "The page that explains the reason.",
        },
        "title": {"type": "string", "description": "What the reason means."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong here."},
        "reason": {"type": "string", "description": "A word of the catalogue: APNs' own, or ours."},
        "remedy": {"type": "string"},
        "retryAfter": {
            "type": "integer",
            "description": "Seconds, where a repetition may fare better.",
        },
        "pointer": {"type": "string", "description": "Where in the notification, or the request (RFC 6901)."},
        "id": {"type": "string", "description": "Message id, as in logs and `tubepost queue trace`."},
        "apnsId": {"type": "string"},
    },
}
_RESULT: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["status", "outcome", "id", "apnsId"],
    "properties": {
        "status": {"type": "integer", "enum": [200, 202]},
        "outcome": {"type": "string", "enum": [word for word in get_args(Taken) if word]},
        "detail": {
            "type": "string",
            "description": "Of what was reported or mailed: why it was not delivered.",
        },
        "id": {"type": "string", "description": "Message id, as in logs and `tubepost queue trace`."},
        "apnsId": {"type": "string", "format": "uuid"},
    },
}
_FAILURES: Final[Mapping[int, str]] = {
    400: "The request cannot be read.",
    401: "No bearer token, or one that is not known.",
    403: "The client's address is not allowed.",
    408: "The request did not come in time.",
    409: "A request with this Idempotency-Key is being answered.",
    410: "The device token is dead.",
    413: "Payload, body or batch are too large.",
    415: "Not JSON, or compressed.",
    422: "The notification cannot be delivered.",
    429: "Too many: the throttle, APNs for this device, or bad bearer tokens.",
    431: "The head of the request is too large.",
    500: "A fault of Tubepost.",
    503: "Not now: try again after Retry-After.",
}


def description() -> dict[str, Any]:
    """The document, as JSON values."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tubepost",
            "version": version("tubepost"),
            "summary": "Push notifications to APNs by HTTP requests.",
        },
        "security": [{"bearer": []}],
        "paths": {"/v1/notifications": {"post": _post()}, "/v1/openapi.json": {"get": _get()}},
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Notification": _notification(),
                "Batch": {
                    "type": "object",
                    "required": [BATCH],
                    "additionalProperties": False,
                    "properties": {BATCH: {"type": "array", "minItems": 1, "items": _ref("Notification")}},
                },
                "Result": dict(_RESULT),
                "Results": {
                    "type": "object",
                    "description": "In the order of the request; each stands for itself.",
                    "required": [BATCH],
                    "properties": {
                        BATCH: {"type": "array", "items": {"oneOf": [_ref("Result"), _ref("Problem")]}}
                    },
                },
                "Problem": dict(_PROBLEM),
            },
        },
    }


@cache
def document() -> bytes:
    """The document in UTF-8."""
    return orjson.dumps(description())


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _notification() -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name in HEADERS:
        kind: dict[str, Any] = {"type": ["integer", "string"]} if name in NUMBERS else dict(_TEXT)
        properties[name] = {**kind, "description": _HELP[name]}
    properties["payload"] = {"type": ["object", "string"], "description": _HELP["payload"]}
    for name in ("domain", "recipient", "sender"):
        properties[name] = {**_TEXT, "description": _HELP[name]}
    properties["context"] = {
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": dict(_TEXT),
        "description": _HELP["context"],
    }
    properties["dsn"] = {
        "type": "object",
        "additionalProperties": False,
        "description": "What the sender wants to hear (RFC 3461).",
        "properties": {name: {**_TEXT, "description": _DSN_HELP[name]} for name in DSN},
    }
    return {
        "type": "object",
        "required": ["payload"],
        "additionalProperties": False,
        "oneOf": [{"required": ["domain"]}, {"required": ["recipient"]}],
        "properties": properties,
    }


def _post() -> dict[str, Any]:
    taken = {"oneOf": [_ref("Result"), _ref("Results")]}
    responses: dict[str, Any] = {
        "200": {"description": "Delivered to APNs.", "content": {"application/json": {"schema": taken}}},
        "202": {"description": "In the queue, on disk.", "content": {"application/json": {"schema": taken}}},
        "207": {
            "description": "A batch whose notifications fared differently.",
            "content": {"application/json": {"schema": _ref("Results")}},
        },
    }
    for status, text in _FAILURES.items():
        responses[str(status)] = {
            "description": f"{text} Or each notification of a batch has this status.",
            "content": {
                "application/problem+json": {"schema": _ref("Problem")},
                "application/json": {"schema": _ref("Results")},
            },
        }
    return {
        "operationId": "send",
        "summary": "Send one notification, or a batch.",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "maxLength": 255},
                "description": "A repetition with the same key and body gets the first one's answer.",
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"oneOf": [_ref("Notification"), _ref("Batch")]}}},
        },
        "responses": responses,
    }


def _get() -> dict[str, Any]:
    return {
        "operationId": "describe",
        "summary": "This document.",
        "security": [],
        "responses": {
            "200": {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": {}}}}
        },
    }
