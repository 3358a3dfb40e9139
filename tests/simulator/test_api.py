from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import httpx
import pytest

from tests.simulator.support import TOPIC, RawClient, api_client, settings, until
from tubepost_simulator import Simulator
from tubepost_simulator import api as api_module


@pytest.fixture
async def api(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with api_client(simulator) as client:
        yield client


async def push(simulator: Simulator, *tokens: str) -> None:
    async with await RawClient.open(simulator) as client:
        for token in tokens:
            await client.answers(client.request(token))


async def found(api: httpx.AsyncClient, **filters: Any) -> list[dict[str, Any]]:
    response = await api.get("/api/v1/notifications", params=filters)
    assert response.status_code == 200
    items: list[dict[str, Any]] = response.json()["notifications"]
    return items


async def test_notifications_show_everything(simulator: Simulator, api: httpx.AsyncClient) -> None:
    async with await RawClient.open(simulator) as client:
        number = client.request(
            "ab", body=b'{"aps":{}}', apns_priority="5", apns_expiration="7", apns_collapse_id="c"
        )
        await client.answers(number)
        apns_id = client.fields[number]["apns-id"]
    (item,) = await found(api)
    received = item.pop("receivedAt")
    assert received > 1_000_000_000
    assert item == {
        "number": 1,
        "apnsId": apns_id,
        "token": "ab",
        "channelId": "",
        "topic": TOPIC,
        "pushType": "alert",
        "priority": 5,
        "expiration": 7,
        "collapseId": "c",
        "payload": {"aps": {}},
        "payloadBase64": base64.b64encode(b'{"aps":{}}').decode(),
        "auth": "token",
        "identity": "TEAM123456/ABCDE12345",
        "connection": 1,
        "stream": number,
        "status": 200,
        "reason": "",
        "detail": "",
        "behaviour": "",
        "answered": True,
        "attempt": 1,
    }


async def test_filters(simulator: Simulator, api: httpx.AsyncClient) -> None:
    await push(simulator, "aa", "bb", "xyz", "aa")
    records = simulator.notifications

    async def numbers(**filters: Any) -> list[int]:
        return [item["number"] for item in await found(api, **filters)]

    assert await numbers() == [1, 2, 3, 4]
    assert await numbers(token="AA") == [1, 4]
    assert await numbers(topic=TOPIC, limit=2) == [3, 4]
    assert await numbers(topic="other") == []
    assert await numbers(apns_id=records[1].apns_id) == [2]
    assert await numbers(status=400) == [3]
    assert await numbers(reason="BadDeviceToken") == [3]
    assert await numbers(after=2) == [3, 4]
    assert await numbers(since=records[2].received_at) == [3, 4]
    assert await numbers(token="aa", limit=1) == [4]
    assert await numbers(limit=0) == []


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("notifications?colour=red", "colour"),
        ("notifications?limit=x", "limit"),
        ("notifications?limit=100001", "limit"),
        ("notifications?status=-1", "status"),
        ("notifications?since=nan", "since"),
        ("notifications?since=-1", "since"),
        ("wait", "count"),
        ("wait?count=1&timeout=x", "timeout"),
        ("wait?count=%D9%A1", "count"),
    ],
)
async def test_bad_parameters_are_named(api: httpx.AsyncClient, path: str, field: str) -> None:
    response = await api.get("/api/v1/" + path)
    assert response.status_code == 400
    assert response.json()["field"] == field
    assert response.json()["error"]


async def test_clear_and_wait(simulator: Simulator, api: httpx.AsyncClient) -> None:
    await push(simulator, "aa", "bb")
    assert (await api.get("/api/v1/wait?count=2")).json() == {"count": 2, "reached": True}
    assert (await api.delete("/api/v1/notifications")).json() == {"cleared": 2}
    assert await found(api) == []
    assert (await api.get("/api/v1/wait?count=1&timeout=0.01")).json() == {"count": 0, "reached": False}
    waiting = asyncio.ensure_future(api.get("/api/v1/wait?count=1&timeout=20"))
    await until(lambda: bool(simulator._context.journal._waiters))
    await push(simulator, "aa")
    assert (await waiting).json() == {"count": 1, "reached": True}


async def test_stats_and_connections(simulator: Simulator, api: httpx.AsyncClient) -> None:
    async with await RawClient.open(simulator) as client:
        await client.answers(client.request("aa"))
        await client.answers(client.request("xyz"))
        await client.ping()
        stats = (await api.get("/api/v1/stats")).json()
        assert stats["verdicts"] == {"200": 1, "400 BadDeviceToken": 1}
        wanted = {"requests": 2, "accepted": 1, "connectionsOpen": 1, "connectionsTotal": 1, "streamsOpen": 0}
        assert {name: stats[name] for name in wanted} == wanted
        assert (stats["streamsPeak"], stats["retained"], stats["goaways"]) == (1, 2, 0)
        (connection,) = (await api.get("/api/v1/connections")).json()["connections"]
        assert connection["peer"].startswith("127.0.0.1:")
        assert (connection["state"], connection["auth"], connection["requests"]) == ("open", "token", 2)
        assert (connection["identity"], connection["streamLimit"]) == ("TEAM123456/ABCDE12345", 1)


async def test_chaos_is_read_and_patched(simulator: Simulator, api: httpx.AsyncClient) -> None:
    before = (await api.get("/api/v1/chaos")).json()
    assert before == simulator.chaos()
    after = (await api.patch("/api/v1/chaos", json={"latencyMs": 5, "goaway": {"reason": "X"}})).json()
    assert after == {**before, "latencyMs": 5, "goaway": {**before["goaway"], "reason": "X"}}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", ""),
        (b"[]", ""),
        (b"[" * 60_000, ""),
        (b'{"stall": "x"}', "stall"),
        (b'{"x": 1, "latencyMs": 5}', "x"),
    ],
)
async def test_bad_patches_change_nothing(
    simulator: Simulator, api: httpx.AsyncClient, body: bytes, field: str
) -> None:
    before = simulator.chaos()
    response = await api.patch("/api/v1/chaos", content=body)
    assert response.status_code == 400
    assert response.json()["field"] == field
    assert simulator.chaos() == before


async def test_other_faults_are_json_too(api: httpx.AsyncClient) -> None:
    for response, status in (
        (await api.get("/api/v1/nothing"), 404),
        (await api.post("/api/v1/stats"), 405),
        (await api.patch("/api/v1/chaos", content=b" " * 70_000), 413),
    ):
        assert response.status_code == status
        assert response.json()["error"]


async def test_health_and_authority(simulator: Simulator, api: httpx.AsyncClient) -> None:
    assert (await api.get("/api/v1/health")).json() == {
        "status": "ok",
        "environment": "Sandbox",
        "port": simulator.port,
        "apiPort": simulator.api_port,
        "version": version("tubepost"),
    }
    assert (await api.get("/api/v1/ca")).content == simulator.ca_pem


async def test_channels(simulator: Simulator, api: httpx.AsyncClient) -> None:
    channel = simulator.add_channel(TOPIC, policy=1)
    assert (await api.get("/api/v1/channels")).json() == {
        "channels": [{"id": channel, "bundle": TOPIC, "messageStoragePolicy": 1}]
    }


async def test_one_notification_and_its_message(simulator: Simulator, api: httpx.AsyncClient) -> None:
    await push(simulator, "ab")
    assert (await api.get("/api/v1/notifications/1")).json()["token"] == "ab"
    message = await api.get("/api/v1/notifications/1/message", params={"recipient": "x@push.example.com"})
    assert message.headers["content-type"] == "text/plain; charset=utf-8"
    assert "\r\nTo: x@push.example.com\r\n" in message.text
    assert "\r\nX-Device-Token: ab\r\n" in message.text
    refused = await api.get("/api/v1/notifications/1/message", params={"recipient": "x\r\nBcc: y@z"})
    assert (refused.status_code, refused.json()["field"]) == (400, "recipient")
    for number, status in (("2", 404), ("0", 404), ("x", 400)):
        assert (await api.get(f"/api/v1/notifications/{number}")).status_code == status


async def test_the_page_is_served_and_asked_for_again_cheaply(api: httpx.AsyncClient) -> None:
    index = await api.get("/")
    assert (index.status_code, index.headers["content-type"]) == (200, "text/html; charset=utf-8")
    script = await api.get("/page/main.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    again = await api.get("/page/main.js", headers={"If-None-Match": script.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in ("/page/nothing.js", "/page/..%2fapi.py", "/page/%2fetc%2fpasswd", "/page/", "/index.html"):
        assert (await api.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/api/v1/stats", "/api/v1/nothing"])
async def test_every_answer_is_guarded(api: httpx.AsyncClient, path: str) -> None:
    headers = (await api.get(path)).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] in {"no-store", "no-cache"}


async def test_foreign_names_and_pages_are_refused(simulator: Simulator, api: httpx.AsyncClient) -> None:
    rebound = await api.get("/api/v1/notifications", headers={"Host": "evil.example.com"})
    assert (rebound.status_code, rebound.json()["field"]) == (403, "Host")
    before = simulator.chaos()
    for method, path in (("PATCH", "/api/v1/chaos"), ("DELETE", "/api/v1/notifications")):
        response = await api.request(
            method, path, content=b'{"latencyMs": 5}', headers={"Origin": "http://evil.example.com"}
        )
        assert (response.status_code, response.json()["field"]) == (403, "Origin")
    assert simulator.chaos() == before


async def test_a_name_can_be_allowed() -> None:
    async with (
        Simulator(settings(allowed_hosts=("push.example.com",))) as simulator,
        api_client(simulator) as api,
    ):
        for host, status in (("push.example.com", 200), ("other.example.com", 403)):
            assert (await api.get("/api/v1/health", headers={"Host": host})).status_code == status


async def next_event(lines: AsyncIterator[str]) -> tuple[str, Any]:
    name = ""
    async with asyncio.timeout(60):
        async for line in lines:
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                return name, json.loads(line[6:])
    raise AssertionError("the stream has ended")


async def test_events_as_they_happen(simulator: Simulator, api: httpx.AsyncClient) -> None:
    await push(simulator, "aa")
    async with api.stream("GET", "/api/v1/events") as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        lines = stream.aiter_lines()
        assert [(await next_event(lines))[0] for _ in range(3)] == ["hello", "switches", "notification"]
        await push(simulator, "bb")
        name, shown = await next_event(lines)
        assert (name, shown["token"]) == ("notification", "bb")
        await api.patch("/api/v1/chaos", json={"latencyMs": 5})
        name, switches = await next_event(lines)
        assert (name, switches["latencyMs"]) == ("switches", 5)
        await api.delete("/api/v1/notifications")
        assert await next_event(lines) == ("cleared", {})
    await until(lambda: not simulator._context.journal._watchers)


async def test_readers_of_events_are_bounded(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "MAX_FEEDS", 1)
    async with api_client(simulator) as api, api.stream("GET", "/api/v1/events") as stream:
        assert stream.status_code == 200
        refused = await api.get("/api/v1/events")
        assert (refused.status_code, refused.json()["field"]) == (503, "")


async def test_the_simulator_stops_although_somebody_reads() -> None:
    async with (
        Simulator(settings()) as simulator,
        api_client(simulator) as api,
        api.stream("GET", "/api/v1/events") as stream,
    ):
        lines = stream.aiter_lines()
        await next_event(lines)
        await simulator.stop()
        async with asyncio.timeout(60):
            assert [line async for line in lines if line.startswith("event: hello")] == []


async def test_a_late_answer_is_an_event(simulator: Simulator, api: httpx.AsyncClient) -> None:
    async with api.stream("GET", "/api/v1/events") as stream:
        lines = stream.aiter_lines()
        assert [(await next_event(lines))[0] for _ in range(2)] == ["hello", "switches"]
        simulator.apply_chaos({"latencyMs": 500})
        async with await RawClient.open(simulator) as client:
            await client.answers(client.request("aa"))
        states = [(await next_event(lines))[1]["answered"]]
        while not states[-1]:
            states.append((await next_event(lines))[1]["answered"])
        assert states in ([False, True], [True])


async def test_one_device_is_answered_with_a_reason(simulator: Simulator, api: httpx.AsyncClient) -> None:
    await api.patch("/api/v1/chaos", json={"devices": {"aa": "Unregistered"}})
    await push(simulator, "aa", "bb", "AA")
    assert [record.reason for record in simulator.notifications] == ["Unregistered", "", "Unregistered"]
