from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tubepost_dispatcher import http
from tubepost_dispatcher.http import AdminEndpoint, PublicEndpoints, wants_openmetrics
from tubepost_dispatcher.metrics import Metrics

# What a Prometheus server sends.
PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


class Facts:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.alive = True
        self.ready = (True, "")


@pytest.fixture
def facts() -> Facts:
    return Facts()


@pytest.fixture
async def public(facts: Facts) -> AsyncIterator[PublicEndpoints]:
    endpoints = PublicEndpoints(
        "127.0.0.1",
        0,
        facts.metrics.text,
        lambda: facts.alive,
        lambda: facts.ready,
        openmetrics_text=facts.metrics.openmetrics_text,
    )
    await endpoints.start()
    yield endpoints
    await endpoints.stop()


@pytest.fixture
async def client(public: PublicEndpoints) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(public.port) as client:
        yield client


def client_of(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)


async def test_metrics_can_be_parsed(client: httpx.AsyncClient, facts: Facts) -> None:
    facts.metrics.attempts.labels("prod", "permanent", 'Odd"Reason\\\n').inc(3)
    facts.metrics.apns_latency.labels("prod").observe(0.2)
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    sample = families["tubepost_attempts"].samples[0]
    assert sample.name == "tubepost_attempts_total"
    assert sample.labels == {"route": "prod", "outcome": "permanent", "reason": 'Odd"Reason\\\n'}
    assert sample.value == 3
    assert families["tubepost_apns_latency_seconds"].type == "histogram"


async def test_openmetrics_for_those_who_ask(client: httpx.AsyncClient, facts: Facts) -> None:
    facts.metrics.blackholed.inc()
    response = await client.get("/metrics", headers={"Accept": PROMETHEUS_ACCEPT})
    assert response.headers["content-type"] == openmetrics.exposition.CONTENT_TYPE_LATEST
    assert response.text.endswith("# EOF\n")
    names = {family.name for family in parse_openmetrics(response.text)}
    assert "tubepost_blackholed" in names


async def test_the_text_format_where_there_is_no_other() -> None:
    endpoints = PublicEndpoints("127.0.0.1", 0, lambda: b"x 1\n", lambda: True, lambda: (True, ""))
    await endpoints.start()
    async with client_of(endpoints.port) as client:
        response = await client.get("/metrics", headers={"Accept": PROMETHEUS_ACCEPT})
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert response.content == b"x 1\n"
    await endpoints.stop()


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (PROMETHEUS_ACCEPT, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0", True),
        ("application/openmetrics-text; version=0.0.1", False),
        ("text/plain", False),
        ("*/*", False),
        ("", False),
        (";;,,=;version=", False),
    ],
)
def test_negotiation(accept: str, wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted


async def test_health(client: httpx.AsyncClient, facts: Facts) -> None:
    response = await client.get("/livez")
    assert (response.status_code, response.text) == (200, "ok\n")
    response = await client.get("/readyz")
    assert (response.status_code, response.text) == (200, "ok\n")
    facts.alive = False
    facts.ready = (False, "no worker is ready")
    response = await client.get("/livez")
    assert (response.status_code, response.text) == (503, "not alive\n")
    response = await client.get("/readyz")
    assert (response.status_code, response.text) == (503, "no worker is ready\n")
    assert response.headers["cache-control"] == "no-store"


async def test_head_and_others(client: httpx.AsyncClient) -> None:
    response = await client.head("/livez")
    assert (response.status_code, response.content) == (200, b"")
    response = await client.post("/livez", content=b"x" * 100_000)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"
    response = await client.get("/")
    assert response.status_code == 404
    assert "/metrics" in response.text
    assert (await client.get("/metrics/../livez/x")).status_code == 404


async def test_a_failure_is_logged_and_not_shown(facts: Facts, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> bytes:
        raise RuntimeError("the secret cause")

    endpoints = PublicEndpoints("127.0.0.1", 0, fail, lambda: True, lambda: (True, ""))
    await endpoints.start()
    async with client_of(endpoints.port) as client:
        for _ in range(2):
            response = await client.get("/metrics")
            assert (response.status_code, response.text) == (500, "internal error\n")
        assert (await client.get("/livez")).status_code == 200
    await endpoints.stop()
    assert "the secret cause" in caplog.text


async def test_metrics_that_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_TIMEOUT", 0.01)

    async def never() -> bytes:
        await asyncio.Event().wait()
        return b""

    endpoints = PublicEndpoints("127.0.0.1", 0, never, lambda: True, lambda: (True, ""))
    await endpoints.start()
    async with client_of(endpoints.port) as client:
        assert (await client.get("/metrics")).status_code == 503
        assert (await client.get("/livez")).status_code == 200
    await endpoints.stop()


async def test_metrics_are_made_once_for_all_who_ask_meanwhile() -> None:
    made = 0
    asked = asyncio.Event()
    go = asyncio.Event()

    async def render() -> bytes:
        nonlocal made
        made += 1
        asked.set()
        await go.wait()
        return b"x %d\n" % made

    endpoints = PublicEndpoints("127.0.0.1", 0, render, lambda: True, lambda: (True, ""))
    await endpoints.start()
    async with client_of(endpoints.port) as client:
        requests = [asyncio.ensure_future(client.get("/metrics")) for _ in range(5)]
        await asked.wait()
        # A request that is answered after them shows that the server has read the others.
        assert endpoints._web is not None
        async with asyncio.timeout(10):
            while endpoints._web.requests_count < 5:
                await client.get("/livez")
        go.set()
        bodies = {(await request).content for request in requests}
        assert b"x 1\n" in bodies
        assert made < 5
        assert (await client.get("/metrics")).content == b"x %d\n" % made
    await endpoints.stop()


async def test_connections_that_say_nothing_do_not_keep_a_probe_out(
    public: PublicEndpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 5)
    idle = [await asyncio.open_connection("127.0.0.1", public.port) for _ in range(20)]
    async with client_of(public.port) as client:
        assert (await client.get("/livez")).status_code == 200
    async with asyncio.timeout(10):
        for reader, _ in idle[:15]:
            assert await reader.read() == b"", "the oldest made room"
    for _, writer in idle:
        writer.close()


async def test_no_access_log(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "aiohttp")
    await client.get("/livez")
    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]


async def test_a_socket_that_is_bound_already() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    endpoints = PublicEndpoints("", 0, lambda: b"", lambda: True, lambda: (True, ""), sock=sock)
    assert endpoints.port == 0
    await endpoints.start()
    assert endpoints.port == port
    async with client_of(port) as client:
        assert (await client.get("/livez")).status_code == 200
    await endpoints.stop()
    await endpoints.stop()
    assert endpoints.port == port


async def test_a_port_that_is_taken(public: PublicEndpoints) -> None:
    other = PublicEndpoints("127.0.0.1", public.port, lambda: b"", lambda: True, lambda: (True, ""))
    with pytest.raises(OSError):
        await other.start()
    await other.stop()


async def test_stop_ends_open_connections(facts: Facts) -> None:
    endpoints = PublicEndpoints("127.0.0.1", 0, facts.metrics.text, lambda: True, lambda: (True, ""))
    await endpoints.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", endpoints.port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        assert b"200" in await reader.readline()
        await endpoints.stop()
        await reader.read()
    writer.close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", endpoints.port)


async def test_status_is_json() -> None:
    admin = AdminEndpoint(status=lambda: {"workers": [{"pid": 7}], 1: {2.5}})  # type: ignore[dict-item]
    await admin.start()
    async with client_of(admin.port) as client:
        response = await client.get("/status")
        assert response.headers["content-type"] == "application/json"
        assert json.loads(response.text) == {"workers": [{"pid": 7}], "1": "{2.5}"}
        assert (await client.get("/metrics")).status_code == 404
    await admin.stop()


async def test_status_may_take_its_time() -> None:
    async def status() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"ready": True}

    admin = AdminEndpoint("127.0.0.1", 0, status)
    await admin.start()
    async with client_of(admin.port) as client:
        assert (await client.get("/status")).json() == {"ready": True}
    await admin.stop()


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost", 200),
        ("LocalHost:8080", 200),
        ("127.0.0.1:9", 200),
        ("127.8.8.8", 200),
        ("[::1]:9", 200),
        ("rebound.example.com", 403),
        ("localhost.example.com", 403),
        ("127.0.0.1.example.com:80", 403),
        ("10.0.0.1", 403),
    ],
)
async def test_the_admin_endpoint_answers_loopback_names_only(host: str, code: int) -> None:
    admin = AdminEndpoint()
    await admin.start()
    async with client_of(admin.port) as client:
        assert (await client.get("/status", headers={"Host": host})).status_code == code
    await admin.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])
def test_the_admin_endpoint_serves_on_loopback_only(host: str) -> None:
    with pytest.raises(ValueError, match="loopback only"):
        AdminEndpoint(host)


def test_the_admin_endpoint_takes_no_other_socket() -> None:
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        with pytest.raises(ValueError, match="loopback only"):
            AdminEndpoint(sock=sock)
