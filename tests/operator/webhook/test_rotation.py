from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from tubepost_operator.api import ApiError
from tubepost_operator.kinds import SECRET, Kind
from tubepost_operator.observed import Document
from tubepost_operator.settings import Settings
from tubepost_operator.webhook import rotation
from tubepost_operator.webhook.certificates import AUTHORITIES, AUTHORITY_LIFE, CERTIFICATE_LIFE, secret_data
from tubepost_operator.webhook.rotation import keep_certificates, reconcile_certificates, service_hosts
from tubepost_operator.webhook.sources import WEBHOOK_CONFIGURATION

SETTINGS = Settings(
    lease_namespace="push",
    webhook_service="webhook",
    webhook_secret="webhook-tls",
    webhook_configuration="tubepost",
)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Cluster:
    """A Secret and a webhook configuration with resource versions, written by server-side apply."""

    def __init__(self) -> None:
        self.version = 1
        self.writes: list[str] = []
        self.failing: ApiError | None = None
        self.looked = asyncio.Event()
        service = {"namespace": "push", "name": "webhook", "path": "/inject"}
        self.objects: dict[Kind, Any] = {
            SECRET: {
                "metadata": {"name": "webhook-tls", "namespace": "push", "resourceVersion": "1"},
                "type": "Opaque",
            },
            WEBHOOK_CONFIGURATION: {
                "metadata": {"name": "tubepost", "resourceVersion": "1"},
                "webhooks": [
                    {"name": "inject.tubepost.io", "clientConfig": {"service": service}},
                    {"name": "other.example", "clientConfig": {"url": "https://other.example"}},
                ],
            },
        }

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Mapping[str, Any] | None:
        self.looked.set()
        if self.failing is not None:
            raise self.failing
        found = self.objects[kind]
        if found is not None:
            assert found["metadata"]["name"] == name
            assert found["metadata"].get("namespace") == namespace
        return copy.deepcopy(found)  # type: ignore[no-any-return]  # a plain document

    async def apply(self, kind: Kind, manifest: Document, *, force: bool = True) -> Document:
        present = self.objects[kind]
        assert (manifest["apiVersion"], manifest["kind"]) == (kind.api_version, kind.name)
        if manifest["metadata"]["resourceVersion"] != present["metadata"]["resourceVersion"]:
            raise ApiError(409, "the object has been modified")
        self.version += 1
        present["metadata"]["resourceVersion"] = str(self.version)
        self.writes.append(kind.name)
        if kind == SECRET:
            present["data"] = manifest["data"]
        for change in manifest.get("webhooks", ()):
            (webhook,) = [item for item in present["webhooks"] if item["name"] == change["name"]]
            webhook["clientConfig"] |= change["clientConfig"]
        return dict(present)

    @property
    def bundle(self) -> bytes:
        config = self.objects[WEBHOOK_CONFIGURATION]["webhooks"][0]["clientConfig"]
        return base64.b64decode(config.get("caBundle", ""))

    @property
    def data(self) -> dict[str, bytes]:
        return secret_data(self.objects[SECRET])


async def settle(cluster: Cluster, now: datetime = NOW) -> None:
    for _ in range(6):
        if await reconcile_certificates(SETTINGS, cluster, now):
            return
    raise AssertionError("it never settles")


async def test_from_nothing() -> None:
    cluster = Cluster()
    assert not await reconcile_certificates(SETTINGS, cluster, NOW)
    assert cluster.writes == ["Secret", "MutatingWebhookConfiguration"]
    assert cluster.bundle == cluster.data[AUTHORITIES]
    # Nothing of anybody else's is touched.
    assert cluster.objects[WEBHOOK_CONFIGURATION]["webhooks"][1] == {
        "name": "other.example",
        "clientConfig": {"url": "https://other.example"},
    }
    assert cluster.objects[SECRET]["type"] == "Opaque"


async def test_what_is_well_is_not_written() -> None:
    cluster = Cluster()
    await settle(cluster)
    cluster.writes.clear()
    for days in (0, 10, 50):
        assert await reconcile_certificates(SETTINGS, cluster, NOW + timedelta(days=days))
    assert cluster.writes == []


async def test_an_emptied_bundle_comes_back() -> None:
    cluster = Cluster()
    await settle(cluster)
    bundle = cluster.bundle
    for damage in ("", "!!"):
        cluster.objects[WEBHOOK_CONFIGURATION]["webhooks"][0]["clientConfig"]["caBundle"] = damage
        cluster.writes.clear()
        await settle(cluster)
        assert cluster.bundle == bundle
        assert cluster.writes == ["MutatingWebhookConfiguration"]


async def test_a_second_webhook_of_ours_is_told_as_well() -> None:
    cluster = Cluster()
    await settle(cluster)
    webhooks = cluster.objects[WEBHOOK_CONFIGURATION]["webhooks"]
    service = {"namespace": "push", "name": "webhook"}
    webhooks.append({"name": "second.tubepost.io", "clientConfig": {"service": service}})
    await settle(cluster)
    assert webhooks[2]["clientConfig"]["caBundle"] == webhooks[0]["clientConfig"]["caBundle"]


async def test_renewals_over_the_years() -> None:
    cluster = Cluster()
    now = NOW
    seen = set()
    while now < NOW + AUTHORITY_LIFE * 2:
        now += CERTIFICATE_LIFE / 4
        await settle(cluster, now)
        certificate = x509.load_pem_x509_certificate(cluster.data["tls.crt"])
        issuers = [
            authority
            for authority in x509.load_pem_x509_certificates(cluster.bundle)
            if authority.subject == certificate.issuer
        ]
        (issuer,) = issuers
        certificate.verify_directly_issued_by(issuer)
        assert now < certificate.not_valid_after_utc
        seen.add(issuer.serial_number)
    assert len(seen) >= 3


@pytest.mark.parametrize("kind", [SECRET, WEBHOOK_CONFIGURATION])
async def test_an_object_that_is_not_there(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster()
    cluster.objects[kind] = None
    assert not await reconcile_certificates(SETTINGS, cluster, NOW)
    assert cluster.writes == []
    assert f"{kind.name} " in caplog.text
    assert "Remedy: " in caplog.text


async def test_a_configuration_that_leads_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster()
    del cluster.objects[WEBHOOK_CONFIGURATION]["webhooks"][0]
    assert not await reconcile_certificates(SETTINGS, cluster, NOW)
    assert "names no webhook at Service push/webhook" in caplog.text
    cluster.objects[WEBHOOK_CONFIGURATION]["webhooks"] = None
    assert not await reconcile_certificates(SETTINGS, cluster, NOW)


async def test_somebody_else_was_quicker() -> None:
    cluster = Cluster()
    get = cluster.get

    async def late(kind: Kind, namespace: str | None, name: str) -> Mapping[str, Any] | None:
        found = await get(kind, namespace, name)
        cluster.objects[kind]["metadata"]["resourceVersion"] = "another"
        return found

    cluster.get = late  # type: ignore[method-assign]  # a faster rival
    with pytest.raises(ApiError):
        await reconcile_certificates(SETTINGS, cluster, NOW)
    assert cluster.writes == []


async def test_the_loop_outlives_failures(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rotation, "SETTLE_INTERVAL", 0.01)
    monkeypatch.setattr(rotation, "CHECK_INTERVAL", 0.01)
    cluster = Cluster()
    cluster.failing = ApiError(503, "not now")
    task = asyncio.ensure_future(keep_certificates(SETTINGS, cluster))
    async with asyncio.timeout(10):
        for _ in range(3):
            cluster.looked.clear()
            await cluster.looked.wait()
        assert "not now" in caplog.text
        assert cluster.writes == []
        cluster.failing = None
        while not cluster.bundle:
            cluster.looked.clear()
            await cluster.looked.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_the_names_of_the_service() -> None:
    assert service_hosts(SETTINGS) == (
        "webhook.push.svc",
        "webhook.push.svc.cluster.local",
        "webhook.push",
    )
