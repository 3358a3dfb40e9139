from __future__ import annotations

import json
from typing import Any

import pytest

from tests.simulator.support import KEY_ID, P8, TEAM_ID, TOPIC, bearer, settings
from tubepost_simulator.broadcast import MAX_PAYLOAD
from tubepost_simulator.exchange import ConnectionAuth, Reply, Request
from tubepost_simulator.identity import ClientCertificate
from tubepost_simulator.reasons import ABOUT_CHANNELS, Reason
from tubepost_simulator.settings import TokenKey
from tubepost_simulator.validation import Policy

NEW = b'{"push-type":"LiveActivity","message-storage-policy":1}'
NOW = 1_800_000_000.0
CERTIFICATE = ClientCertificate((TOPIC,), frozenset({"Sandbox"}), "CN=app")
OF_ANOTHER = ClientCertificate(("com.other",), frozenset({"Sandbox"}), "CN=other")


@pytest.fixture
def policy() -> Policy:
    return Policy(settings(max_channels=2))


def ask(
    policy: Policy,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    certificate: ClientCertificate | None = None,
    size: int | None = None,
    **fields: str | None,
) -> Reply:
    headers: dict[str, str | None] = {"authorization": bearer(NOW)}
    headers.update({name.replace("_", "-"): value for name, value in fields.items()})
    named = [(name, value) for name, value in headers.items() if value is not None]
    return policy.validate(Request(method, path, named, body, size), certificate, ConnectionAuth(), NOW)


def push(policy: Policy, channel_id: str | None, body: bytes = b'{"aps":{}}', **changes: Any) -> Reply:
    fields = {"apns_push_type": "liveactivity", "apns_expiration": "0", "apns_priority": "10", **changes}
    return ask(policy, "POST", f"/4/broadcasts/apps/{TOPIC}", body, apns_channel_id=channel_id, **fields)


def test_a_broadcast_is_taken_with_either_credential(policy: Policy) -> None:
    channel = policy.channels.add(TOPIC)
    for certificate in (None, CERTIFICATE):
        reply = push(policy, channel, certificate=certificate)
        assert (reply.status, reply.detail) == (200, "")
        assert (reply.channel_id, reply.token, reply.topic) == (channel, "", TOPIC)
        assert (reply.push_type, reply.priority, reply.expiration) == ("liveactivity", 10, 0)
        assert reply.id_field == "apns-request-id"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"apns_channel_id": None}, Reason.MISSING_CHANNEL_ID),
        ({"apns_channel_id": "not base64!"}, Reason.BAD_CHANNEL_ID),
        ({"apns_channel_id": "YWI="}, Reason.CHANNEL_NOT_REGISTERED),
        ({"apns_push_type": None}, Reason.MISSING_PUSH_TYPE),
        ({"apns_push_type": "alert"}, Reason.INVALID_PUSH_TYPE),
        ({"apns_expiration": None}, Reason.BAD_EXPIRATION_DATE),
        ({"apns_expiration": "soon"}, Reason.BAD_EXPIRATION_DATE),
        ({"apns_priority": "7"}, Reason.BAD_PRIORITY),
        ({"apns_request_id": "1"}, Reason.BAD_MESSAGE_ID),
        ({"authorization": None}, Reason.MISSING_PROVIDER_TOKEN),
        ({"body": b""}, Reason.PAYLOAD_EMPTY),
        ({"body": b"[]"}, Reason.PAYLOAD_EMPTY),
        ({"size": MAX_PAYLOAD + 1}, Reason.PAYLOAD_TOO_LARGE),
        ({"method": "GET"}, Reason.METHOD_NOT_ALLOWED),
        ({"path": f"/4/broadcasts/apps/{TOPIC}/more"}, Reason.BAD_PATH),
        ({"path": "/4/broadcasts/apps/com.example.other"}, Reason.CHANNEL_NOT_REGISTERED),
    ],
)
def test_what_is_wrong_with_a_broadcast(policy: Policy, changes: dict[str, Any], reason: Reason) -> None:
    whole = {
        "method": "POST",
        "path": f"/4/broadcasts/apps/{TOPIC}",
        "body": b'{"aps":{}}',
        "apns_channel_id": policy.channels.add(TOPIC),
        "apns_push_type": "liveactivity",
        "apns_expiration": "0",
        **changes,
    }
    reply = ask(policy, whole.pop("method"), whole.pop("path"), whole.pop("body"), **whole)
    assert reply.reason is reason, reply.detail


def test_a_credential_for_another_app() -> None:
    limited = Policy(settings(token_keys={KEY_ID: TokenKey(TEAM_ID, P8, topics=("com.other",))}))
    channel = limited.channels.add(TOPIC)
    assert push(limited, channel).reason is Reason.TOPIC_DISALLOWED
    assert push(limited, channel, certificate=OF_ANOTHER).reason is Reason.TOPIC_DISALLOWED


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "channels", "create"),
        ("GET", "channels", "read"),
        ("DELETE", "channels", "delete"),
        ("GET", "all-channels", "list"),
    ],
)
def test_what_can_be_done_with_channels(policy: Policy, method: str, path: str, operation: str) -> None:
    channel = policy.channels.add(TOPIC)
    body = NEW if operation == "create" else b""
    reply = ask(policy, method, f"/1/apps/{TOPIC}/{path}", body, apns_channel_id=channel)
    assert (reply.reason, reply.operation) == (None, operation)
    policy.channels.carry_out(reply)
    assert reply.status == {"create": 201, "delete": 204}.get(operation, 200)
    if operation == "list":
        assert json.loads(reply.body) == {"channels": [channel]}


@pytest.mark.parametrize(
    ("method", "path", "body", "reason"),
    [
        ("PUT", "channels", NEW, Reason.METHOD_NOT_ALLOWED),
        ("POST", "all-channels", NEW, Reason.METHOD_NOT_ALLOWED),
        ("GET", "channel", b"", Reason.BAD_PATH),
        ("POST", "channels", b"", Reason.PAYLOAD_EMPTY),
        ("POST", "channels", b"{}", Reason.MISSING_PUSH_TYPE),
        ("POST", "channels", b'{"push-type":"Alert"}', Reason.INVALID_PUSH_TYPE),
        ("POST", "channels", b'{"push-type":"LiveActivity"}', Reason.PAYLOAD_EMPTY),
        (
            "POST",
            "channels",
            b'{"push-type":"LiveActivity","message-storage-policy":true}',
            Reason.PAYLOAD_EMPTY,
        ),
        ("GET", "channels", b"", Reason.MISSING_CHANNEL_ID),
        ("DELETE", "channels", b"", Reason.MISSING_CHANNEL_ID),
    ],
)
def test_what_is_wrong_with_a_request_about_channels(
    policy: Policy, method: str, path: str, body: bytes, reason: Reason
) -> None:
    assert ask(policy, method, f"/1/apps/{TOPIC}/{path}", body).reason is reason


def test_an_app_has_so_many_channels_and_no_others(policy: Policy) -> None:
    channels = [policy.channels.add(TOPIC) for _ in range(2)]
    path = f"/1/apps/{TOPIC}/channels"
    assert ask(policy, "POST", path, NEW).reason is Reason.CANNOT_CREATE_CHANNEL_CONFIG
    for method in ("GET", "DELETE"):
        assert ask(policy, method, path, apns_channel_id="YWI=").reason is Reason.CHANNEL_NOT_REGISTERED
        other = "/1/apps/com.example.other/channels"
        assert ask(policy, method, other, apns_channel_id=channels[0]).reason is Reason.CHANNEL_NOT_REGISTERED


def test_reasons_about_channels_have_status_400() -> None:
    assert {reason.status for reason in ABOUT_CHANNELS} == {400}
