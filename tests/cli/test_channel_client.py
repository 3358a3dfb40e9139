from __future__ import annotations

import json
import ssl
from typing import Any

import httpx
import pytest

from tests.simulator.support import CREDENTIAL, TOPIC
from tubepost_api.config import RouteConfig
from tubepost_cli.channel_client import Account, ChannelClient, Refused, Unavailable, account_of
from tubepost_credentials.secrets import Material

ACCOUNT = Account("https://manage.example:2196", TOPIC, CREDENTIAL, ssl.create_default_context())


def client(
    monkeypatch: pytest.MonkeyPatch, answer: httpx.Response
) -> tuple[ChannelClient, list[httpx.Request]]:
    made = ChannelClient(ACCOUNT)
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer

    base = ACCOUNT.url + f"/1/apps/{TOPIC}/"
    monkeypatch.setattr(made, "_client", httpx.Client(transport=httpx.MockTransport(handle), base_url=base))
    return made, asked


def route(**values: Any) -> RouteConfig:
    return RouteConfig(**{"name": "r", "environment": None, "host": "localhost", "port": 2197, **values})


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({"environment": "Production"}, "https://api-manage-broadcast.push.apple.com:2196"),
        ({"environment": "Sandbox"}, "https://api-manage-broadcast.sandbox.push.apple.com:2195"),
        ({}, "https://localhost:2197"),
        ({"host": "::1"}, "https://[::1]:2197"),
    ],
)
def test_the_service_follows_from_the_route(values: dict[str, Any], url: str) -> None:
    found = account_of(route(**values), Material(token=CREDENTIAL), url=None, topic=TOPIC)
    assert (found.url, found.bundle) == (url, TOPIC)
    other = account_of(
        route(**values), Material(token=CREDENTIAL), url="https://other.example", topic=None or TOPIC
    )
    assert other.url == "https://other.example"


def test_what_a_request_says(monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked = client(monkeypatch, httpx.Response(201, headers={"apns-channel-id": "YWI="}))
    assert made.create(keeps_latest=True) == "YWI="
    (request,) = asked
    assert (request.method, request.url.path) == ("POST", f"/1/apps/{TOPIC}/channels")
    assert json.loads(request.content) == {"message-storage-policy": 1, "push-type": "LiveActivity"}
    assert request.headers["authorization"].startswith("bearer ")
    made.delete("YWI=")
    assert asked[1].headers["apns-channel-id"] == "YWI="


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (
            httpx.Response(400, json={"reason": "CannotCreateChannelConfig"}),
            Refused,
            "400 CannotCreateChannelConfig: The app has as many channels as Apple allows",
        ),
        (httpx.Response(400, json={"reason": "Brand\nNew"}), Refused, "400 Brand?New"),
        (httpx.Response(403, content=b"<html>"), Refused, "403 Status403"),
        (httpx.Response(429, json={"reason": "TooManyRequests"}), Unavailable, "429 TooManyRequests"),
        (httpx.Response(200, content=b"hello"), Unavailable, "did not answer as Apple's service"),
        (httpx.Response(200, json=["x"]), Unavailable, "did not answer as Apple's service"),
    ],
)
def test_what_is_made_of_answers(
    monkeypatch: pytest.MonkeyPatch, answer: httpx.Response, kind: type[Exception], said: str
) -> None:
    made, _ = client(monkeypatch, answer)
    with pytest.raises(kind) as caught:
        made.list()
    assert said in str(caught.value)


def test_a_channel_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = client(monkeypatch, httpx.Response(201))
    with pytest.raises(Unavailable, match="did not name it"):
        made.create(keeps_latest=False)
