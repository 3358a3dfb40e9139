"""What a pool is made from: the part that may change while it lives, and the part that may not."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass

from tubepost_api.config import RouteConfig
from tubepost_credentials import CertificateCredential, TokenCredential


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """What may change while a pool lives. Times in seconds; 0 means no limit."""

    connect_timeout: float = 30.0
    idle_timeout: float = 3_600.0
    max_connections: int = 32
    max_deliveries_per_connection: int = 0


def pool_key(
    route: RouteConfig,
    credential: CertificateCredential | TokenCredential | None,
    ca_pem: bytes | None,
    proxy_auth: str | None,
) -> Hashable:
    """Return what a pool depends on: equal keys mean that a pool can serve on.

    The route's name, topic and defaults are not in it: they are resolved before a request comes here.
    Secrets are in it as digests.
    """
    return (
        route.host,
        route.port,
        route.tls,
        route.proxy,
        type(credential).__name__,
        credential.fingerprint if credential else "",
        hashlib.sha256(ca_pem).digest() if ca_pem else b"",
        hashlib.sha256(proxy_auth.encode()).digest() if proxy_auth else b"",
    )
