from __future__ import annotations

from tubepost_api.compiled import SecretKeyRef
from tubepost_api.config_relay import RelayConfig
from tubepost_api.relay import RelaySpec, relay_config


def test_a_relay_is_compiled() -> None:
    spec = RelaySpec.model_validate(
        {
            "host": "relay",
            "port": 465,
            "tls": "Tls",
            "verify": False,
            "ca": {"secretName": "ca"},
            "authSecretName": "account",
            "timeout": "1m",
        }
    )
    assert relay_config(spec) == RelayConfig(
        host="relay",
        port=465,
        tls="Tls",
        verify=False,
        ca=SecretKeyRef(secret="ca", key="ca.crt"),
        auth="account",
        timeout=60.0,
    )
    assert relay_config(RelaySpec.model_validate({"host": "relay"})) == RelayConfig(host="relay")


def test_a_relay_says_what_its_secrets_are_for() -> None:
    config = RelayConfig(host="relay", auth="account", ca=SecretKeyRef(secret="ca", key="ca.crt"))
    found = [*config.references("alerts", "BounceRelayAccount", "BounceRelayAuthorities")]
    assert [(item.use, item.name, item.secret, item.keys) for item in found] == [
        ("BounceRelayAccount", "alerts", "account", ("username", "password")),
        ("BounceRelayAuthorities", "alerts", "ca", ("ca.crt",)),
    ]
    assert [*RelayConfig(host="relay").references("alerts", "RelayAccount", "RelayAuthorities")] == []
