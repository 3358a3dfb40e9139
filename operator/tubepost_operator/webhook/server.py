"""The webhook's HTTPS server: answers on every replica, leader or not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from aiohttp import web

from tubepost_api.durations import parse_duration
from tubepost_credentials.tls import load_key_pair
from tubepost_operator.actions import Event
from tubepost_operator.api import ApiError
from tubepost_operator.apply import event_document
from tubepost_operator.conditions import EventReason
from tubepost_operator.kinds import EVENT, SECRET, Kind
from tubepost_operator.lease import NotLeader
from tubepost_operator.observed import Document
from tubepost_operator.settings import Settings
from tubepost_operator.webhook.certificates import CERTIFICATE, PRIVATE_KEY, secret_data
from tubepost_operator.webhook.inject import Injection, Refusal
from tubepost_operator.webhook.review import MalformedReview, OnRefusal, answer, decide, read_review
from tubepost_operator.webhook.sources import InjectionSources, Reader
from tubepost_runtime.tasks import TaskSet

_LOG = logging.getLogger("tubepost.webhook")

PATH: Final = "/inject"
"""Where the API server asks."""
MAX_BODY: Final = 4 * 1024 * 1024
"""Bytes of a question; an object of the API server has at most 1.5 MiB, and a question may hold two."""
PATIENCE: Final = 10.0
"""Seconds that the API server waits where it does not say how long."""
ANSWERED_BY: Final = 0.8
"""Part of that time after which we answer with an error: before the API server gives up, which would not
learn why."""
RELOAD_INTERVAL: Final = 20.0
"""Seconds between reads of the Secret with the certificate."""
FIRST_INTERVAL: Final = 1.0
"""The same while there is no certificate yet."""
TELL_AGAIN: Final = 600.0
"""Seconds after which a PushDomain is told once more why a pod gets no dispatcher: controllers of pods try
again and again."""
MOST_TOLD: Final = 1_000
"""Things told that are remembered."""
MOST_WORDS: Final = 1_000
"""Characters of an event; the API server takes 1,024."""


class ServingCertificate:
    """A TLS context whose certificate can be exchanged while connections are open.

    Open connections go on with the certificate that they began with.
    """

    def __init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._loaded: tuple[bytes, bytes] | None = None

    @property
    def loaded(self) -> bool:
        """Whether there is a certificate to serve with."""
        return self._loaded is not None

    def load(self, data: Mapping[str, bytes]) -> bool:
        """Take certificate and key from a Secret's contents; False when they are in use already, or absent.

        Raises:
            ssl.SSLError: they cannot be read, or do not belong together.
        """
        pair = (data.get(CERTIFICATE, b""), data.get(PRIVATE_KEY, b""))
        if pair == self._loaded or not all(pair):
            return False
        load_key_pair(self.context, *pair)
        self._loaded = pair
        return True


class Events(Reader, Protocol):
    """The part of the cluster's edge that reads objects and creates one."""

    async def create(self, kind: Kind, namespace: str, manifest: Document) -> Document:
        """Create an object."""


class Refusals:
    """Tells the owners of PushDomains, by events, why pods get no dispatcher; each thing once in a while.

    The owner of the pod learns it from the ReplicaSet. Only the leader may write: with several replicas the
    event comes with one of the next attempts.

    Args:
        cluster: takes the events.
        instance: name of this replica.
    """

    def __init__(self, cluster: Events, instance: str) -> None:
        self._cluster = cluster
        self._instance = instance
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def tell(self, push_domain: Mapping[str, Any], message: str) -> None:
        """Post an event about a PushDomain, unless it was told this lately. Never raises ApiError."""
        key = (push_domain["metadata"]["uid"], message)
        now = time.monotonic()
        if now - self._told.get(key, -TELL_AGAIN) < TELL_AGAIN:
            return
        self._told[key] = now
        while len(self._told) > MOST_TOLD:
            self._told.popitem(last=False)
        event = Event("Warning", str(EventReason.SIDECAR_REFUSED), message[:MOST_WORDS])
        document = event_document(dict(push_domain), event, self._instance, datetime.now(UTC))
        try:
            await self._cluster.create(EVENT, push_domain["metadata"]["namespace"], document)
        except (ApiError, NotLeader) as error:
            self._told.pop(key, None)
            _LOG.debug("event not posted: %s", error)


class Webhook:
    """Answers questions about pods.

    Args:
        objects: what the operator has published.
        on_refusal: what becomes of a pod that can get no dispatcher.
        refusals: tells of those.
    """

    def __init__(self, objects: InjectionSources, on_refusal: OnRefusal, refusals: Refusals) -> None:
        self._objects = objects
        self._on_refusal = on_refusal
        self._refusals = refusals
        self._tasks = TaskSet()

    def application(self) -> web.Application:
        """The HTTP application."""
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_post(PATH, self._inject)
        return application

    async def _inject(self, http: web.Request) -> web.Response:
        try:
            request = read_review(await http.read())
        except MalformedReview as error:
            return web.Response(status=400, text=str(error))
        where = f"{request.namespace}/{request.name}"
        try:
            async with asyncio.timeout(ANSWERED_BY * patience(http.query.get("timeout", ""))):
                published = await self._objects.get(request.namespace, request.push_domain)
            outcome = decide(request, published)
        except Exception as error:  # noqa: BLE001 - whatever it is, failurePolicy decides: it needs an answer
            _LOG.warning("pod %s: not answered: %s: %s", where, type(error).__name__, error)
            return web.Response(status=500, text="the operator could not look the PushDomain up")
        self._log(where, request.push_domain, outcome)
        if isinstance(outcome, Refusal) and published.push_domain is not None:
            self._tasks.spawn(self._refusals.tell(published.push_domain, outcome.message))
        return web.json_response(answer(request.uid, outcome, self._on_refusal))

    def _log(self, where: str, push_domain: str, outcome: Injection | Refusal) -> None:
        if isinstance(outcome, Refusal):
            what = "not admitted" if self._on_refusal is OnRefusal.FAIL else "admitted without a dispatcher"
            _LOG.warning("pod %s: %s: %s", where, what, outcome.message)
            return
        for warning in outcome.warnings:
            _LOG.warning("pod %s: %s", where, warning)
        if outcome.patch:
            what = "is put before other init containers" if outcome.patch[0]["op"] == "move" else "is put in"
            _LOG.info("pod %s: the dispatcher of PushDomain %s %s", where, push_domain, what)


def patience(timeout: str) -> float:
    """Seconds that the API server waits, which it says in the query: `timeoutSeconds` as a Go duration."""
    try:
        return parse_duration(timeout) or PATIENCE
    except ValueError:
        return PATIENCE


async def serve_webhook(
    settings: Settings,
    cluster: Events,
    *,
    host: str | None = None,
    serving: Callable[[int], None] = lambda _port: None,
) -> None:
    """Serve until cancelled. Waits for the certificate first, and follows it when it is replaced.

    Args:
        settings: port, Secret, and what becomes of pods that can get no dispatcher.
        cluster: reads objects, takes events.
        host: address to bind, None for all.
        serving: called with the port once questions are answered.

    Raises:
        OSError: the port cannot be bound.
    """
    certificate = ServingCertificate()
    objects = InjectionSources(cluster, time.monotonic)
    refusals = Refusals(cluster, settings.identity)
    webhook = Webhook(objects, OnRefusal(settings.webhook_on_refusal), refusals)
    while True:
        if await _reload(certificate, settings, cluster):
            break
        await asyncio.sleep(FIRST_INTERVAL)
    async with _listening(webhook.application(), host, settings.webhook_port, certificate.context) as port:
        _LOG.info("the webhook answers on port %d", port)
        serving(port)
        while True:
            await asyncio.sleep(RELOAD_INTERVAL)
            await _reload(certificate, settings, cluster)


async def _reload(certificate: ServingCertificate, settings: Settings, cluster: Reader) -> bool:
    """Look at the Secret; whether there is a certificate to serve with, new or not."""
    try:
        secret = await cluster.get(SECRET, settings.lease_namespace, settings.webhook_secret)
        if certificate.load(secret_data(secret)):
            _LOG.info("the webhook has a new certificate")
    except Exception as error:  # noqa: BLE001 - the present certificate is kept
        _LOG.warning("the webhook's certificate could not be read: %s: %s", type(error).__name__, error)
    return certificate.loaded


@contextlib.asynccontextmanager
async def _listening(
    application: web.Application, host: str | None, port: int, context: ssl.SSLContext
) -> AsyncIterator[int]:
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=75.0, shutdown_timeout=5.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=context)
        await site.start()
        addresses: list[Any] = list(runner.addresses)
        yield int(addresses[0][1])
    finally:
        await runner.cleanup()
