"""Keeps the webhook's certificate valid, and the API server's trust in it. Done by the leader alone.

The Secret is the chart's: it is filled here, never created, so that the operator needs no right to create
Secrets. The same holds for the webhook configuration, of which only `caBundle` is written.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from tubepost_operator.api import ApiError
from tubepost_operator.kinds import SECRET, Kind
from tubepost_operator.observed import Document
from tubepost_operator.settings import Settings
from tubepost_operator.webhook.certificates import plan_certificates, same_certificates, secret_data
from tubepost_operator.webhook.sources import WEBHOOK_CONFIGURATION, Reader

_LOG = logging.getLogger("tubepost.webhook")

CHECK_INTERVAL: Final = 30.0
"""Seconds between checks; also how long an emptied `caBundle` stays empty at most."""
SETTLE_INTERVAL: Final = 5.0
"""Seconds until the next check when something was written or failed: time for every API server to notice a
new authority before anything is signed by it."""


class Writer(Reader, Protocol):
    """The part of the cluster's edge that reads objects and applies fields of them."""

    async def apply(self, kind: Kind, manifest: Document, *, force: bool = True) -> Document:
        """Server-side apply with our field manager."""


async def keep_certificates(settings: Settings, cluster: Writer) -> None:
    """Renew the certificate in time, until cancelled.

    Raises:
        NotLeader: the Lease was lost.
    """
    while True:
        try:
            settled = await reconcile_certificates(settings, cluster, datetime.now(UTC))
        except ApiError as error:
            _LOG.warning("the webhook's certificate: %s", error)
            settled = False
        await asyncio.sleep(CHECK_INTERVAL if settled else SETTLE_INTERVAL)


async def reconcile_certificates(settings: Settings, cluster: Writer, now: datetime) -> bool:
    """Bring Secret and webhook configuration one step nearer to what they should be; whether all is well.

    Raises:
        ApiError: an object could not be read or written.
        NotLeader: the Lease was lost.
    """
    namespace, name = settings.lease_namespace, settings.webhook_secret
    secret = await cluster.get(SECRET, namespace, name)
    configuration = await cluster.get(WEBHOOK_CONFIGURATION, None, settings.webhook_configuration)
    if secret is None or configuration is None:
        absent = (
            f"Secret {namespace}/{name}"
            if secret is None
            else f"{WEBHOOK_CONFIGURATION.name} {settings.webhook_configuration}"
        )
        _LOG.error("%s does not exist, so pods get no sidecar. Remedy: install the chart again", absent)
        return False
    webhooks = own_webhooks(configuration, settings)
    if not webhooks:
        _LOG.error(
            "%s %s names no webhook at Service %s/%s. Remedy: install the chart again",
            WEBHOOK_CONFIGURATION.name,
            settings.webhook_configuration,
            namespace,
            settings.webhook_service,
        )
        return False
    published = published_bundle(webhooks)
    plan = plan_certificates(secret_data(secret), published, hosts=service_hosts(settings), now=now)
    if plan.data is not None:
        await cluster.apply(SECRET, secret_manifest(secret, plan.data))
        _LOG.info("the webhook's certificate was renewed: %s; valid until %s", plan.reason, plan.not_after)
    if not same_certificates(published, plan.bundle):
        await cluster.apply(
            WEBHOOK_CONFIGURATION, configuration_manifest(configuration, webhooks, plan.bundle)
        )
        _LOG.info("caBundle of %s %s updated", WEBHOOK_CONFIGURATION.name, settings.webhook_configuration)
        return False
    return plan.settled and plan.data is None


def service_hosts(settings: Settings) -> tuple[str, ...]:
    """Names of the Service; the API server uses the first."""
    short = f"{settings.webhook_service}.{settings.lease_namespace}"
    return (f"{short}.svc", f"{short}.svc.{settings.cluster_domain}", short)


def own_webhooks(configuration: Mapping[str, Any], settings: Settings) -> list[Mapping[str, Any]]:
    """The webhooks of the configuration that lead to our Service."""
    wanted = (settings.lease_namespace, settings.webhook_service)
    return [webhook for webhook in configuration.get("webhooks") or () if _service(webhook) == wanted]


def published_bundle(webhooks: list[Mapping[str, Any]]) -> bytes:
    """What the API server trusts for all of them (PEM); empty when that is not the same, or unreadable."""
    bundles = {str(webhook["clientConfig"].get("caBundle") or "") for webhook in webhooks}
    if len(bundles) != 1:
        return b""
    return secret_data({"data": {"bundle": bundles.pop()}}).get("bundle", b"")


def secret_manifest(secret: Mapping[str, Any], data: Mapping[str, bytes]) -> Document:
    """The fields of the Secret that are ours. Refused when somebody else has written it meanwhile."""
    metadata = secret["metadata"]
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.name,
        "metadata": {key: metadata[key] for key in ("name", "namespace", "resourceVersion")},
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def configuration_manifest(
    configuration: Mapping[str, Any], webhooks: list[Mapping[str, Any]], bundle: bytes
) -> Document:
    """The fields of the webhook configuration that are ours."""
    text = base64.b64encode(bundle).decode()
    metadata = configuration["metadata"]
    return {
        "apiVersion": WEBHOOK_CONFIGURATION.api_version,
        "kind": WEBHOOK_CONFIGURATION.name,
        "metadata": {key: metadata[key] for key in ("name", "resourceVersion")},
        "webhooks": [{"name": webhook["name"], "clientConfig": {"caBundle": text}} for webhook in webhooks],
    }


def _service(webhook: Mapping[str, Any]) -> tuple[str, str]:
    service = (webhook.get("clientConfig") or {}).get("service") or {}
    return str(service.get("namespace", "")), str(service.get("name", ""))
