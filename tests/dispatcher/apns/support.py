"""Requests, routes and pools for the tests of this directory."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from tests.dispatcher.apns.peer import BOUND, Peer, authority
from tubepost_api.config import RouteConfig, RouteTls
from tubepost_credentials import CertificateCredential, TokenCredential
from tubepost_credentials.certificate import load_certificate
from tubepost_credentials.throwaway import make_apns_certificate, make_token_key
from tubepost_credentials.token import load_token
from tubepost_dispatcher.apns.pool import Pool, PoolOptions
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome, OutcomeKind

TOPIC = b"com.example.app"


@cache
def token_credential() -> TokenCredential:
    return load_token(make_token_key(), b"ABCDE12345", b"TEAM123456")


@cache
def certificate_credential() -> CertificateCredential:
    pair = make_apns_certificate(authority(), [TOPIC.decode()])
    return load_certificate(pair.certificate_pem, pair.private_key_pem)


class Outcomes:
    """Collects outcomes; a second one for a request is a failure."""

    def __init__(self) -> None:
        self.by_request: dict[ApnsRequest, Outcome] = {}
        self.order: list[Outcome] = []
        self._wake = asyncio.Event()

    def __call__(self, request: ApnsRequest, outcome: Outcome) -> None:
        assert request not in self.by_request, "two outcomes for one request"
        self.by_request[request] = outcome
        self.order.append(outcome)
        self._wake.set()

    async def wait(self, count: int) -> list[Outcome]:
        async with asyncio.timeout(BOUND):
            while len(self.order) < count:
                self._wake.clear()
                await self._wake.wait()
        return self.order

    def kinds(self) -> dict[OutcomeKind, int]:
        result: dict[OutcomeKind, int] = {}
        for outcome in self.order:
            result[outcome.kind] = result.get(outcome.kind, 0) + 1
        return result

    def reasons(self) -> set[str]:
        return {outcome.reason for outcome in self.order}


def request(outcomes: Callable[[ApnsRequest, Outcome], None], number: int = 0, **changes: Any) -> ApnsRequest:
    values: dict[str, Any] = {
        "token": b"%064x" % number,
        "payload": b'{"aps":{"alert":"hello"}}',
        "apns_id": str(uuid.uuid4()).encode(),
        "topic": TOPIC,
        "push_type": b"alert",
        "priority": 10,
        "expiration": 0,
        "collapse_id": b"",
        "response_timeout": 10.0,
        "give_up_at": time.monotonic() + BOUND,
        "on_outcome": outcomes,
        "owner": None,
    }
    return ApnsRequest(**(values | changes))


def route(port: int, **changes: Any) -> RouteConfig:
    values: dict[str, Any] = {
        "name": "test",
        "environment": None,
        "host": "localhost",
        "port": port,
        "tls": RouteTls(),
    }
    return RouteConfig(**(values | changes))


@asynccontextmanager
async def open_pool(
    peer: Peer | int,
    credential: TokenCredential | CertificateCredential | None = None,
    *,
    no_credential: bool = False,
    ca: bytes | None = None,
    options: PoolOptions | None = None,
    metrics: Metrics | None = None,
    proxy_auth: str | None = None,
    route_changes: dict[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[Pool]:
    pool = Pool(
        route(peer if isinstance(peer, int) else peer.port, **(route_changes or {})),
        None if no_credential else (credential or token_credential()),
        ca or authority().certificate_pem,
        proxy_auth,
        options or PoolOptions(connect_timeout=10.0),
        metrics or Metrics(),
        **more,
    )
    try:
        yield pool
    finally:
        await pool.close(0.0)
