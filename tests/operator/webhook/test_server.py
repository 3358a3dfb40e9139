from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from tests.operator.webhook.support import pod, published_deployment, push_domain, review
from tubepost_operator.kinds import DEPLOYMENT, EVENT, LIMIT_RANGE, NAMESPACE, PUSH_DOMAIN, SECRET, Kind
from tubepost_operator.lease import NotLeader
from tubepost_operator.settings import Settings
from tubepost_operator.webhook import server
from tubepost_operator.webhook.certificates import AUTHORITIES, CERTIFICATE_LIFE, plan_certificates
from tubepost_operator.webhook.server import ServingCertificate, serve_webhook

HOST = "tubepost-webhook.push.svc"
SETTINGS = Settings(webhook_port=0, lease_namespace="push", webhook_secret="webhook-tls")
NOW = datetime.now(UTC)


def certificate_data(data: Mapping[str, bytes] | None = None, now: datetime = NOW) -> dict[str, bytes]:
    bundle = (data or {}).get(AUTHORITIES, b"")
    plan = plan_certificates(data or {}, bundle, hosts=[HOST], now=now)
    assert plan.data is not None
    return dict(plan.data)


class Cluster:
    """What the webhook reads."""

    def __init__(self) -> None:
        self.secret: dict[str, bytes] = {}
        self.push_domain: Any = push_domain()
        self.deployment: Any = published_deployment()
        self.failing = False
        self.stuck: asyncio.Event | None = None
        self.secret_was_read = asyncio.Event()
        self.limit_ranges: list[Any] = []
        self.leads = True
        self.events: list[Any] = []
        self.event_was_sent = asyncio.Event()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Mapping[str, Any] | None:
        if kind == SECRET:
            assert (namespace, name) == ("push", "webhook-tls")
            self.secret_was_read.set()
        if self.failing:
            raise ConnectionError("no API server")
        if kind == SECRET:
            return {"data": {key: base64.b64encode(value).decode() for key, value in self.secret.items()}}
        if self.stuck is not None:
            await self.stuck.wait()
        return {PUSH_DOMAIN: self.push_domain, DEPLOYMENT: self.deployment, NAMESPACE: None}[kind]

    async def list(
        self, kind: Kind, namespace: str | None, selector: str = "", *, fields: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        assert (kind, namespace, selector, fields) == (LIMIT_RANGE, "shop", "", "")
        return self.limit_ranges

    async def create(self, kind: Kind, namespace: str, manifest: Any) -> Any:
        assert (kind, namespace) == (EVENT, "shop")
        self.event_was_sent.set()
        if not self.leads:
            raise NotLeader
        self.events.append(manifest)
        return manifest


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(server, "FIRST_INTERVAL", 0.01)
    monkeypatch.setattr(server, "RELOAD_INTERVAL", 0.01)
    cluster = Cluster()
    cluster.secret = certificate_data()
    return cluster


class Client:
    """Asks as the API server does: it trusts the bundle and nothing else."""

    def __init__(self, port: int, session: aiohttp.ClientSession) -> None:
        self.port = port
        self._session = session

    async def post(self, body: bytes, bundle: bytes, path: str = "/inject?timeout=10s") -> tuple[int, str]:
        context = ssl.create_default_context(cadata=bundle.decode())
        async with self._session.post(
            f"https://127.0.0.1:{self.port}{path}",
            data=body,
            ssl=context,
            server_hostname=HOST,
            headers={"Content-Type": "application/json", "Connection": "close"},
        ) as response:
            return response.status, await response.text()


@contextlib.asynccontextmanager
async def serving(cluster: Cluster, settings: Settings = SETTINGS) -> AsyncIterator[Client]:
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(serve_webhook(settings, cluster, host="127.0.0.1", serving=port.set_result))
    task.add_done_callback(lambda _: port.done() or port.cancel())
    try:
        async with asyncio.timeout(10), aiohttp.ClientSession() as session:
            yield Client(await port, session)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_pod_gets_its_dispatcher(cluster: Cluster) -> None:
    async with serving(cluster) as client:
        status, text = await client.post(review(pod(), uid="u-9"), cluster.secret[AUTHORITIES])
    response = json.loads(text)["response"]
    assert status == 200
    assert (response["uid"], response["allowed"]) == ("u-9", True)
    assert b"tubepost-dispatcher" in base64.b64decode(response["patch"])


@pytest.mark.parametrize(("on_refusal", "allowed"), [("fail", False), ("ignore", True)])
async def test_a_refusal(cluster: Cluster, on_refusal: Any, allowed: bool) -> None:
    cluster.push_domain = None
    settings = dataclasses.replace(SETTINGS, webhook_on_refusal=on_refusal)
    async with serving(cluster, settings) as client:
        status, text = await client.post(review(pod()), cluster.secret[AUTHORITIES])
    response = json.loads(text)["response"]
    assert status == 200
    assert response["allowed"] is allowed
    assert "PushDomain shop/alerts" in text


SMALL = {"metadata": {"name": "small"}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "500m"}}]}}


async def test_the_push_domain_is_told_once_why_pods_are_refused(cluster: Cluster) -> None:
    cluster.limit_ranges = [SMALL]
    async with serving(cluster) as client:
        for _ in range(3):
            _, text = await client.post(review(pod()), cluster.secret[AUTHORITIES])
            response = json.loads(text)["response"]
            assert not response["allowed"]
            assert "LimitRange small" in response["status"]["message"]
        await cluster.event_was_sent.wait()
    (event,) = cluster.events
    assert (event["type"], event["reason"]) == ("Warning", "SidecarRefused")
    assert event["involvedObject"]["name"] == "alerts"
    assert "tubepost.io/sidecar-cpu-limit" in event["message"]


async def test_a_replica_that_does_not_lead_leaves_the_event_to_the_next_attempt(cluster: Cluster) -> None:
    cluster.limit_ranges = [SMALL]
    cluster.leads = False
    async with serving(cluster) as client:
        await client.post(review(pod()), cluster.secret[AUTHORITIES])
        await cluster.event_was_sent.wait()
        cluster.leads = True
        cluster.event_was_sent.clear()
        await client.post(review(pod()), cluster.secret[AUTHORITIES])
        await cluster.event_was_sent.wait()
    assert len(cluster.events) == 1


async def test_the_memory_of_what_was_told_is_bounded(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_TOLD", 2)
    refusals = server.Refusals(cluster, "one")
    for message in ("a", "b", "c", "c", "a"):
        await refusals.tell(push_domain(), message)
    assert [event["message"] for event in cluster.events] == ["a", "b", "c", "a"]


async def test_what_is_no_question(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_BODY", 65_536)
    async with serving(cluster) as client:
        assert (await client.post(b"nonsense", cluster.secret[AUTHORITIES]))[0] == 400
        assert (await client.post(b"{}", cluster.secret[AUTHORITIES], path="/other"))[0] == 404
        too_long = b" " * (server.MAX_BODY + 1)
        assert (await client.post(too_long, cluster.secret[AUTHORITIES]))[0] == 413


async def test_without_the_api_server_the_failure_policy_decides(cluster: Cluster) -> None:
    async with serving(cluster) as client:
        cluster.failing = True
        status, text = await client.post(review(pod()), cluster.secret[AUTHORITIES])
        assert status == 500
        assert "API server" not in text  # what went wrong is ours to know
        cluster.failing = False
        assert (await client.post(review(pod()), cluster.secret[AUTHORITIES]))[0] == 200


async def test_an_api_server_that_does_not_answer(cluster: Cluster) -> None:
    async with serving(cluster) as client:
        cluster.stuck = asyncio.Event()
        path = "/inject?timeout=50ms"
        assert (await client.post(review(pod()), cluster.secret[AUTHORITIES], path))[0] == 500
        cluster.stuck.set()


@pytest.mark.parametrize(("text", "seconds"), [("1s", 1), ("1m0s", 60), ("", 10), ("0s", 10), ("soon", 10)])
def test_how_long_the_api_server_waits(text: str, seconds: float) -> None:
    assert server.patience(text) == seconds


async def test_it_waits_for_its_certificate(cluster: Cluster) -> None:
    data, cluster.secret = cluster.secret, {}
    async with asyncio.TaskGroup() as group:
        answered = asyncio.Event()

        async def ask() -> None:
            async with serving(cluster) as client:
                assert (await client.post(review(pod()), data[AUTHORITIES]))[0] == 200
                answered.set()

        group.create_task(ask())
        await cluster.secret_was_read.wait()
        cluster.failing = True
        cluster.secret_was_read.clear()
        await cluster.secret_was_read.wait()
        assert not answered.is_set()
        cluster.failing = False
        cluster.secret = data


async def test_a_renewed_certificate_is_taken_up(cluster: Cluster) -> None:
    async with serving(cluster) as client:
        old = cluster.secret
        cluster.secret = {**old, "tls.crt": b"damaged"}
        cluster.secret_was_read.clear()
        await cluster.secret_was_read.wait()
        assert (await client.post(review(pod()), old[AUTHORITIES]))[0] == 200
        # Another authority altogether: from now on only its bundle verifies.
        cluster.secret = certificate_data()
        while True:
            with contextlib.suppress(
                aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError
            ):
                status, _ = await client.post(review(pod()), cluster.secret[AUTHORITIES])
                break
        assert status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await client.post(review(pod()), old[AUTHORITIES])


def test_a_certificate_is_loaded_once() -> None:
    certificate = ServingCertificate()
    assert not certificate.load({})
    assert not certificate.load({"tls.crt": b"x"})
    assert not certificate.loaded
    data = certificate_data()
    assert certificate.load(data)
    assert certificate.loaded
    assert not certificate.load(data)
    renewed = certificate_data(data, NOW + CERTIFICATE_LIFE * 2 / 3 + timedelta(days=1))
    assert certificate.load(renewed)
    with pytest.raises(ssl.SSLError):
        certificate.load({**data, "tls.key": renewed["tls.key"]})
    assert certificate.loaded
