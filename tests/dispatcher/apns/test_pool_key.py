from __future__ import annotations

from typing import Any

import pytest

from tests.dispatcher.apns.support import certificate_credential, route, token_credential
from tubepost_api.config import RouteDefaults, RouteTls
from tubepost_dispatcher.apns.pool_key import pool_key


def key(
    credential: Any = None, ca_pem: bytes | None = None, proxy_auth: str | None = None, **changes: Any
) -> Any:
    return pool_key(route(2197, **changes), credential, ca_pem, proxy_auth)


def test_what_a_pool_does_not_depend_on() -> None:
    assert key() == key(name="other", topic="com.example.other", defaults=RouteDefaults(priority=5))


@pytest.mark.parametrize(
    "changed",
    [
        {"host": "other"},
        {"tls": RouteTls(verify=False)},
        {"proxy": "http://proxy:3128"},
        {"credential": token_credential()},
        {"credential": certificate_credential()},
        {"ca_pem": b"an authority"},
        {"proxy_auth": "user:password"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_a_pool_depends_on(changed: dict[str, Any]) -> None:
    assert key(**changed) != key()
    assert key(**changed) == key(**changed)


def test_secrets_are_in_it_as_digests_only() -> None:
    text = repr(key(token_credential(), b"an authority", "user:password"))
    assert "password" not in text
    assert "an authority" not in text
    assert "PRIVATE KEY" not in text


def test_the_key_of_a_pool_changes_with_what_a_pool_depends_on() -> None:
    base = pool_key(route(1), token_credential(), None, None)
    assert base == pool_key(route(1, name="other", topic="x"), token_credential(), None, None)
    others = [
        pool_key(route(2), token_credential(), None, None),
        pool_key(route(1, host="other"), token_credential(), None, None),
        pool_key(route(1), certificate_credential(), None, None),
        pool_key(route(1), None, None, None),
        pool_key(route(1), token_credential(), b"ca", None),
        pool_key(route(1), token_credential(), None, "u:p"),
        pool_key(route(1, proxy="http://p:1"), token_credential(), None, None),
        pool_key(route(1, tls=RouteTls(verify=False)), token_credential(), None, None),
    ]
    assert len({base, *others}) == len(others) + 1
