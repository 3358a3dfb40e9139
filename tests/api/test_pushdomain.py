from __future__ import annotations

from typing import Any

import pytest

from tests.api.manifests import compiled, errors, push_domain, route
from tubepost_api.compiled import SecretKeyRef


@pytest.mark.parametrize(
    ("spec", "field", "word"),
    [
        ({"domains": [{"name": "a.example", "pattern": "b"}]}, "domains", "exactly one of name and pattern"),
        ({"domains": [{"name": "a.example"}, {"name": "a.example"}]}, "domains[1].name", "name"),
        ({"domains": [{"pattern": "a"}, {"pattern": "a"}]}, "domains[1].pattern", "pattern"),
        ({"routes": None}, "routes", "has no routes"),
        (
            {"domains": [{"name": "a.example", "delivery": {"idleTimeout": "1s"}}]},
            "domains[0].delivery",
            "responseTimeout",
        ),
        ({"listener": {"mcmtReception": "Passthru"}}, "passthru", "needs a relay"),
        ({"domains": []}, "domains", ""),
        ({"replicas": -1}, "replicas", ""),
    ],
)
def test_rules_name_the_field(spec: dict[str, Any], field: str, word: str) -> None:
    document = push_domain(**spec)
    document["spec"] = {name: value for name, value in document["spec"].items() if value is not None}
    found = errors(compiled(document, route()))
    assert found
    assert field in found[0].field
    assert word in str(found[0])


def test_a_domains_own_values_win_field_by_field() -> None:
    domains = [
        {"name": "a.example", "delivery": {"expiry": "1h"}},
        {"name": "b.example", "routes": ["other"]},
    ]
    document = push_domain(domains=domains, delivery={"expiry": "2h", "connectTimeout": "3s"})
    config = compiled(document, route(), route("other")).config
    assert config is not None
    one, two = config.entries
    assert (one.delivery.expiry, one.delivery.connect_timeout, one.routes) == (3600.0, 3.0, ("apns",))
    assert (two.delivery.expiry, two.routes) == (7200.0, ("other",))


def test_a_relay_may_have_authorities_of_its_own() -> None:
    passthru = {"host": "mx.example.com", "tls": "Tls", "ca": {"secretName": "relay-ca"}}
    config = compiled(push_domain(passthru=passthru), route()).config
    assert config is not None
    assert config.passthru is not None
    assert config.passthru.ca == SecretKeyRef(secret="relay-ca", key="ca.crt")
    without = compiled(push_domain(passthru={"host": "mx.example.com", "tls": "Tls"}), route()).config
    assert without is not None
    # A dispatcher that does not know the field yet reads what does not use it.
    assert '"ca":{' not in without.to_json().partition('"passthru"')[2]


def test_the_relay_as_the_dispatcher_reads_it() -> None:
    passthru = {"host": "mx.example.com", "tls": "StartTls", "authSecretName": "relay", "timeout": "1m"}
    config = compiled(push_domain(passthru=passthru), route()).config
    assert config is not None
    assert config.passthru is not None
    assert (config.passthru.host, config.passthru.auth, config.passthru.timeout) == (
        "mx.example.com",
        "relay",
        60.0,
    )
