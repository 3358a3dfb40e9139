from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tubepost_runtime import endpoints as module
from tubepost_runtime.endpoints import ProcessEndpoints, spare_descriptors
from tubepost_runtime.metrics import MetricSet, counter, histogram

# What a Prometheus server sends.
PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Metrics(MetricSet):
    attempts = counter("tubepost_attempts", "Attempts.", "route", "outcome", "reason")
    apns_latency = histogram("tubepost_apns_latency_seconds", "Latency.", "route")
    blackholed = counter("tubepost_blackholed", "Discarded.")


def one_value(value: float) -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("x", "A number.", registry=registry).set(value)
    return registry


def no_metrics() -> CollectorRegistry:
    return CollectorRegistry()


def well() -> tuple[bool, str]:
    return True, ""


class Facts:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.alive = (True, "")
        self.ready = (True, "")


@pytest.fixture
def facts() -> Facts:
    return Facts()


@pytest.fixture
async def public(facts: Facts) -> AsyncIterator[ProcessEndpoints]:
    endpoints = ProcessEndpoints(
        "127.0.0.1",
        0,
        lambda: facts.metrics.registry,
        lambda: facts.alive,
        lambda: facts.ready,
    )
    await endpoints.start()
    yield endpoints
    await endpoints.stop()


@pytest.fixture
async def client(public: ProcessEndpoints) -> AsyncIterator[httpx.AsyncClient]:
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
    assert response.headers["content-type"] == OPENMETRICS + "; escaping=allow-utf-8"
    assert response.text.endswith("# EOF\n")
    names = {family.name for family in parse_openmetrics(response.text)}
    assert "tubepost_blackholed" in names


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
        ("application/openmetrics-text; version=one", False),
        ("text/plain; version=x", False),
    ],
)
async def test_negotiation(client: httpx.AsyncClient, accept: str, wanted: bool) -> None:
    response = await client.get("/metrics", headers={"Accept": accept})
    assert response.headers["content-type"].startswith(OPENMETRICS if wanted else TEXT)
    assert response.text.endswith("# EOF\n") is wanted


async def test_health(client: httpx.AsyncClient, facts: Facts) -> None:
    response = await client.get("/livez")
    assert (response.status_code, response.text) == (200, "ok\n")
    response = await client.get("/readyz")
    assert (response.status_code, response.text) == (200, "ok\n")
    facts.alive = (False, "")
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
    def fail() -> CollectorRegistry:
        raise RuntimeError("the secret cause")

    endpoints = ProcessEndpoints("127.0.0.1", 0, fail, well, well)
    await endpoints.start()
    async with client_of(endpoints.port) as client:
        for _ in range(2):
            response = await client.get("/metrics")
            assert (response.status_code, response.text) == (500, "internal error\n")
        assert (await client.get("/livez")).status_code == 200
    await endpoints.stop()
    assert "the secret cause" in caplog.text


async def test_metrics_that_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_TIMEOUT", 0.01)

    async def never() -> CollectorRegistry:
        await asyncio.Event().wait()
        return no_metrics()

    endpoints = ProcessEndpoints("127.0.0.1", 0, never, well, well)
    await endpoints.start()
    async with client_of(endpoints.port) as client:
        assert (await client.get("/metrics")).status_code == 503
        assert (await client.get("/livez")).status_code == 200
    await endpoints.stop()


async def test_metrics_are_made_once_for_all_who_ask_meanwhile() -> None:
    made = 0
    asked = asyncio.Event()
    go = asyncio.Event()

    async def collect() -> CollectorRegistry:
        nonlocal made
        made += 1
        asked.set()
        await go.wait()
        return one_value(made)

    endpoints = ProcessEndpoints("127.0.0.1", 0, collect, well, well)
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
        values = {_value((await request).text) for request in requests}
        assert 1.0 in values
        assert made < 5
        assert _value((await client.get("/metrics")).text) == made
    await endpoints.stop()


def _value(text: str) -> float:
    (family,) = text_string_to_metric_families(text)
    return family.samples[0].value


async def test_connections_that_say_nothing_do_not_keep_a_probe_out(
    public: ProcessEndpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 5)
    idle = [await asyncio.open_connection("127.0.0.1", public.port) for _ in range(20)]
    async with client_of(public.port) as client:
        assert (await client.get("/livez")).status_code == 200
    async with asyncio.timeout(10):
        for reader, _ in idle[:15]:
            assert await reader.read() == b"", "the oldest made room"
    for _, writer in idle:
        writer.close()


async def test_half_requests_do_not_keep_a_probe_out(
    public: ProcessEndpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 5)
    slow = [await asyncio.open_connection("127.0.0.1", public.port) for _ in range(20)]
    for _, writer in slow:
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Slow: ")
    async with client_of(public.port) as client:
        assert (await client.get("/livez")).status_code == 200
    async with asyncio.timeout(60):
        for reader, _ in slow[:15]:
            assert await reader.read() == b""
    for _, writer in slow:
        writer.close()


async def answers(port: int, data: bytes) -> list[bytes]:
    """Status lines of everything that is answered to these bytes, until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(60):
        found = await reader.read()
    writer.close()
    return re.findall(rb"HTTP/1\.[01] (\d+ [A-Za-z ]+)\r\n", found)


@pytest.mark.parametrize(
    "bad",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    ],
    ids=["TLS", "a huge field", "a huge target", "two lengths", "a length below zero"],
)
async def test_what_is_no_request_is_refused_unlogged_and_ends_the_connection(
    public: ProcessEndpoints, caplog: pytest.LogCaptureFixture, bad: bytes
) -> None:
    caplog.set_level("INFO")
    good = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    assert await answers(public.port, bad + good) == [b"400 Bad Request"]
    assert not caplog.records, "a log that any client can fill"
    async with client_of(public.port) as client:
        assert (await client.get("/livez")).status_code == 200


async def test_requests_that_come_at_once_are_answered_in_their_order(public: ProcessEndpoints) -> None:
    ask = "{} {} HTTP/1.1\r\nHost: a\r\n{}\r\n"
    several = [("HEAD", "/livez", ""), ("GET", "/none", ""), ("GET", "/livez", "Connection: close\r\n")]
    data = "".join(ask.format(*one) for one in several).encode()
    assert await answers(public.port, data) == [
        b"200 OK",
        b"404 Not Found",
        b"200 OK",
    ]


async def test_where_descriptors_are_scarce_connections_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "spare_descriptors", lambda: 18)
    endpoints = ProcessEndpoints("127.0.0.1", 0, no_metrics, well, well)
    await endpoints.start()
    idle = [await asyncio.open_connection("127.0.0.1", endpoints.port) for _ in range(20)]
    async with client_of(endpoints.port) as client:
        assert (await client.get("/livez")).status_code == 200
    async with asyncio.timeout(10):
        for reader, _ in idle[:14]:
            assert await reader.read() == b""
    for _, writer in idle:
        writer.close()
    await endpoints.stop()


def test_spare_descriptors_are_what_the_limit_leaves() -> None:
    before = spare_descriptors()
    with socket.socket(), socket.socket():
        assert spare_descriptors() == before - 2


async def test_no_access_log(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "aiohttp")
    await client.get("/livez")
    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]


async def test_a_socket_that_is_bound_already() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    endpoints = ProcessEndpoints("", 0, no_metrics, well, well, sock=sock)
    assert endpoints.port == 0
    await endpoints.start()
    assert endpoints.port == port
    async with client_of(port) as client:
        assert (await client.get("/livez")).status_code == 200
    await endpoints.stop()
    await endpoints.stop()
    assert endpoints.port == port


async def test_a_port_that_is_taken(public: ProcessEndpoints) -> None:
    other = ProcessEndpoints("127.0.0.1", public.port, no_metrics, well, well)
    with pytest.raises(OSError):
        await other.start()
    await other.stop()


async def test_stop_ends_open_connections(facts: Facts) -> None:
    endpoints = ProcessEndpoints("127.0.0.1", 0, lambda: facts.metrics.registry, well, well)
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
