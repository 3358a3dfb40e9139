from __future__ import annotations

from typing import Any

import pytest

from tests.api.manifests import compiled, errors, push_domain, route
from tubepost_api.listener import ADMIN_PORT, HTTP_PORT, ListenerSpec, to_config


def test_defaults_reach_the_dispatcher() -> None:
    config = to_config(ListenerSpec(), hostname="alerts.shop.svc")
    assert (config.port, config.hostname, config.auth) == (2525, "alerts.shop.svc", None)
    assert config.limits.max_message_size == 10_240_000
    assert config.limits.command_timeout == 300.0


def test_units_are_resolved_and_a_name_of_ones_own_wins() -> None:
    listener = {
        "hostname": "mx.example.com",
        "limits": {"maxMessageSize": "1Mi", "commandTimeout": "1m30s", "maxSessionAge": "0s"},
        "startTls": {"mode": "Required", "secretName": "smtp-tls"},
    }
    whole = compiled(push_domain(listener=listener), route()).config
    assert whole is not None
    config = whole.listener
    assert config.hostname == "mx.example.com"
    assert (config.limits.max_message_size, config.limits.command_timeout) == (1_048_576, 90.0)
    assert config.limits.max_session_age == 0.0
    assert config.starttls.certificate is not None
    assert (config.starttls.certificate.secret, config.starttls.certificate.key) == ("smtp-tls", "tls.crt")


@pytest.mark.parametrize(
    ("listener", "word"),
    [
        ({"port": 25}, "1024"),
        ({"port": HTTP_PORT}, "metrics"),
        ({"port": ADMIN_PORT}, "status"),
        ({"auth": {"secretName": "users"}, "startTls": {"mode": "Disabled"}}, "STARTTLS"),
        ({"allowedNetworks": ["10.0.0.0/33"]}, "10.0.0.0/33"),
    ],
)
def test_rules(listener: dict[str, Any], word: str) -> None:
    found = errors(compiled(push_domain(listener=listener), route()))
    assert len(found) == 1
    assert word in str(found[0])
