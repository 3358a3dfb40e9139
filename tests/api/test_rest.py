from __future__ import annotations

from tests.api.manifests import compiled, push_domain, route
from tubepost_api.compiled import SecretKeyRef
from tubepost_api.config import RestConfig, RestTlsConfig
from tubepost_api.rest import RestSpec, rest_config

TOKENS = {"secretName": "clients"}


def test_it_is_off_where_it_is_absent() -> None:
    config = compiled(push_domain(), route()).config
    assert config is not None
    assert config.rest is None


def test_the_defaults_are_those_of_the_document() -> None:
    assert rest_config(RestSpec.model_validate({"tokens": TOKENS})) == RestConfig(tokens="clients")


def test_every_option_arrives() -> None:
    config = compiled(
        push_domain(
            rest={
                "port": 8443,
                "tls": {"secretName": "tls", "minVersion": "1.3"},
                "tokens": TOKENS,
                "maxBatch": 10,
                "maxBodySize": "1Mi",
            }
        ),
        route(),
    ).config
    assert config is not None
    assert config.rest == RestConfig(
        port=8443,
        tls=RestTlsConfig(
            certificate=SecretKeyRef(secret="tls", key="tls.crt"),
            private_key=SecretKeyRef(secret="tls", key="tls.key"),
            min_version="1.3",
        ),
        tokens="clients",
        max_batch=10,
        max_body_size=1024 * 1024,
    )
    assert [(item.use, item.secret, item.keys) for item in config.references()] == [
        ("RestTls", "tls", ("tls.crt", "tls.key")),
        ("RestTokens", "clients", ()),
    ]
