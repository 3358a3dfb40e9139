"""What APNs answers to broadcasts and to the management of channels. Pure but for the channels.

Sources: Apple, "Sending broadcast push notification requests to APNs", "Sending channel management requests
to APNs", "Handling error responses from Apple Push Notification service".
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid

import orjson

from tubepost_simulator.channels import ChannelStore
from tubepost_simulator.exchange import Operation, Reply, Request
from tubepost_simulator.identity import ClientCertificate
from tubepost_simulator.reasons import Reason

MAX_PAYLOAD = 5_120
"""Bytes of a broadcast's payload."""

_BROADCASTS = "/4/broadcasts/"
_MANAGEMENT = "/1/apps/"
_PATH = re.compile(
    r"/4/broadcasts/apps/([A-Za-z0-9.-]{1,255})|/1/apps/([A-Za-z0-9.-]{1,255})/((?:all-)?channels)"
)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_EXPIRATION = re.compile(r"[0-9]{1,18}")
_PRIORITIES = {"10": 10, "5": 5, "1": 1}
_OPERATIONS: dict[tuple[str, str], Operation] = {
    ("channels", "POST"): "create",
    ("channels", "GET"): "read",
    ("channels", "DELETE"): "delete",
    ("all-channels", "GET"): "list",
}


def is_about_channels(path: str) -> bool:
    """Whether a path is judged here."""
    return path.startswith((_BROADCASTS, _MANAGEMENT))


def check_request(reply: Reply, request: Request) -> Reply | None:
    """Judge path, method and id; the refusal, or None."""
    fields = request.fields
    reply.id_field = "apns-request-id"
    given = fields.get(reply.id_field, "")
    good = bool(_UUID.fullmatch(given))
    reply.apns_id = given if good else str(uuid.uuid4())
    found = _PATH.fullmatch(request.path)
    if found is None:
        return reply.refuse(Reason.BAD_PATH, "the path is none of those for channels")
    reply.topic = found[1] or found[2]
    if found[3] is not None:
        reply.operation = _OPERATIONS.get((found[3], request.method))
    if request.method != "POST" if found[3] is None else reply.operation is None:
        return reply.refuse(Reason.METHOD_NOT_ALLOWED, f"{request.method} is not for this path")
    if request.repeated:
        return reply.refuse(Reason.DUPLICATE_HEADERS, f"{request.repeated} occurs more than once")
    if reply.id_field in fields and not good:
        return reply.refuse(Reason.BAD_MESSAGE_ID, "apns-request-id is not a UUID of 8-4-4-4-12 digits")
    return None


def check(
    reply: Reply, request: Request, certificate: ClientCertificate | None, channels: ChannelStore
) -> Reply:
    """Judge the rest of a request whose sender is known."""
    if not _covers(reply, certificate):
        return reply.refuse(Reason.TOPIC_DISALLOWED, "the credential does not cover the app")
    if reply.operation == "list":
        return reply
    if reply.operation == "create":
        return _check_new(reply, request, channels)
    channel_id = request.fields.get("apns-channel-id", "")
    if not channel_id:
        return reply.refuse(Reason.MISSING_CHANNEL_ID, "apns-channel-id is needed")
    try:
        base64.b64decode(channel_id, validate=True)
    except (binascii.Error, ValueError):
        return reply.refuse(Reason.BAD_CHANNEL_ID, "apns-channel-id is not base64")
    reply.channel_id = channel_id
    if reply.operation is None:
        refused = _check_broadcast(reply, request)
        if refused is not None:
            return refused
    if channels.find(reply.topic, channel_id) is None:
        return reply.refuse(Reason.CHANNEL_NOT_REGISTERED, "the app has no such channel")
    return reply


def _covers(reply: Reply, certificate: ClientCertificate | None) -> bool:
    if certificate is not None:
        return reply.topic in certificate.topics
    token = reply.state.token
    topics = token.key.topics if token is not None and token.key is not None else None
    return topics is None or reply.topic in topics


def _check_broadcast(reply: Reply, request: Request) -> Reply | None:
    fields = request.fields
    push_type = fields.get("apns-push-type")
    if push_type is None:
        return reply.refuse(Reason.MISSING_PUSH_TYPE, "apns-push-type is needed")
    if push_type != "liveactivity":
        return reply.refuse(Reason.INVALID_PUSH_TYPE, "a broadcast has push type liveactivity")
    reply.push_type = push_type
    expiration = fields.get("apns-expiration", "")
    if not _EXPIRATION.fullmatch(expiration):
        return reply.refuse(Reason.BAD_EXPIRATION_DATE, "apns-expiration in unix seconds is needed")
    reply.expiration = int(expiration)
    priority = fields.get("apns-priority")
    if priority is not None:
        reply.priority = _PRIORITIES.get(priority)
        if reply.priority is None:
            return reply.refuse(Reason.BAD_PRIORITY, "apns-priority is not 10, 5 or 1")
    if request.body_size > MAX_PAYLOAD:
        return reply.refuse(Reason.PAYLOAD_TOO_LARGE, f"{request.body_size} bytes, limit {MAX_PAYLOAD}")
    if _object(request.body) is None:
        return reply.refuse(Reason.PAYLOAD_EMPTY, "the payload is not a JSON dictionary")
    return None


def _check_new(reply: Reply, request: Request, channels: ChannelStore) -> Reply:
    document = _object(request.body)
    if document is None:
        return reply.refuse(Reason.PAYLOAD_EMPTY, "the body is not a JSON dictionary")
    if "push-type" not in document:
        return reply.refuse(Reason.MISSING_PUSH_TYPE, "push-type is needed")
    if document["push-type"] != "LiveActivity":
        return reply.refuse(Reason.INVALID_PUSH_TYPE, "a channel has push-type LiveActivity")
    policy = document.get("message-storage-policy")
    if type(policy) is not int or policy not in {0, 1}:
        return reply.refuse(Reason.PAYLOAD_EMPTY, "message-storage-policy is not 0 or 1")
    if channels.full(reply.topic):
        return reply.refuse(Reason.CANNOT_CREATE_CHANNEL_CONFIG, "the app has as many channels as it may")
    reply.policy = policy
    return reply


def _object(body: bytes) -> dict[str, object] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None
