"""What a pool depends on; apart from it, so that a supervisor can compare configurations without any pool."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable

from tubepost_api.config import RouteConfig
from tubepost_credentials import CertificateCredential, TokenCredential


def pool_key(
    route: RouteConfig,
    credential: CertificateCredential | TokenCredential | None,
    ca_pem: bytes | None,
    proxy_auth: str | None,
) -> Hashable:
    """Return what a pool depends on: equal keys mean that a pool can stay.

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
