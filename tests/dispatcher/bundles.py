"""Configurations with real credentials, for tests of what reads and distributes them."""

from __future__ import annotations

from typing import Any

from tubepost_api.compiled import SecretKeyRef
from tubepost_api.config import (
    CertificateConfig,
    DeliveryConfig,
    DispatcherConfig,
    EntryConfig,
    ListenerConfig,
    RouteConfig,
    TokenConfig,
)
from tubepost_credentials.throwaway import make_apns_certificate, make_ca, make_token_key
from tubepost_dispatcher.config.bundle import ConfigBundle, Prepared, prepare

_CERTIFICATE = make_apns_certificate(make_ca(), ("com.example.app",))
SECRETS = {
    "cert": {"tls.crt": _CERTIFICATE.certificate_pem, "tls.key": _CERTIFICATE.private_key_pem},
    "token": {"key.p8": make_token_key(), "keyId": b"ABCDE12345", "teamId": b"TEAM123456"},
}


def ref(secret: str, key: str) -> SecretKeyRef:
    return SecretKeyRef(secret=secret, key=key)


def bundle(*, secrets: dict[str, dict[str, bytes]] | None = None, **changes: Any) -> ConfigBundle:
    """Two routes, one of each kind; `changes` are fields of the document."""
    certificate = CertificateConfig(certificate=ref("cert", "tls.crt"), private_key=ref("cert", "tls.key"))
    token = TokenConfig(
        private_key=ref("token", "key.p8"), key_id=ref("token", "keyId"), team_id=ref("token", "teamId")
    )
    fields: dict[str, Any] = {
        "name": "alerts",
        "listener": ListenerConfig(hostname="mx.test"),
        "entries": (
            EntryConfig(name="apn.example.com", routes=("apns", "token"), delivery=DeliveryConfig()),
        ),
        "routes": {
            "apns": RouteConfig(
                name="apns", environment=None, host="127.0.0.1", port=1, certificate=certificate
            ),
            "token": RouteConfig(name="token", environment=None, host="127.0.0.1", port=1, token=token),
        },
    }
    return ConfigBundle(DispatcherConfig(**{**fields, **changes}), SECRETS if secrets is None else secrets)


def prepared(*, secrets: dict[str, dict[str, bytes]] | None = None, **changes: Any) -> Prepared:
    """The same, checked; its problems are nobody's business here."""
    return prepare(bundle(secrets=secrets, **changes))[0]
