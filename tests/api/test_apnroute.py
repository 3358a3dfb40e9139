from __future__ import annotations

from typing import Any

import pytest

from tests.api.manifests import compiled, errors, push_domain, route
from tubepost_api.compiled import SecretKeyRef
from tubepost_api.config import RouteConfig


def config_of(**spec: Any) -> RouteConfig:
    config = compiled(push_domain(), route(**spec)).config
    assert config is not None
    return config.routes["apns"]


def test_an_environment_is_apples_service() -> None:
    config = config_of(environment="Sandbox")
    assert (config.host, config.port, config.environment) == ("api.sandbox.push.apple.com", 443, "Sandbox")


def test_the_keys_of_a_credential() -> None:
    certificate = config_of().certificate
    assert certificate is not None
    assert certificate.certificate == SecretKeyRef(secret="cert", key="tls.crt")
    token = config_of(token={"secretName": "key", "keyIdKey": "kid"}, topic="com.example.app").token
    assert token is not None
    assert (token.private_key.key, token.key_id.key, token.team_id.key) == ("key.p8", "kid", "teamId")


def test_proxy_and_authorities() -> None:
    config = config_of(
        proxy={"url": "http://proxy:3128/", "auth": {"secretName": "proxy", "key": "account"}},
        tls={"ca": {"secretName": "ca"}, "minVersion": "1.3"},
    )
    assert (config.proxy, config.proxy_auth) == (
        "http://proxy:3128",
        SecretKeyRef(secret="proxy", key="account"),
    )
    assert (config.tls.ca, config.tls.min_version) == (SecretKeyRef(secret="ca", key="ca.crt"), "1.3")


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (
            {"endpoint": "https://apns.test", "environment": "Sandbox"},
            "exactly one of environment and endpoint",
        ),
        ({"proxy": {"url": "https://proxy:3128"}}, "proxy"),
        ({"proxy": {"url": "http://user:hunter2@proxy:3128"}}, "proxy"),
        ({"tls": {"ciphers": "NO-SUCH-CIPHER"}}, "cipher"),
        ({"topic": "a topic"}, "topic"),
        ({"defaults": {"priority": 7}}, "priority"),
    ],
)
def test_faults(spec: dict[str, Any], word: str) -> None:
    found = errors(compiled(push_domain(), route(**spec)))
    assert found
    assert word in str(found[0])
    assert "hunter2" not in str(found[0])
