from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from tests.api.manifests import compiled, logger, push_domain, route
from tubepost_api.apnlogger import ApnLogger
from tubepost_api.apnroute import ApnRoute
from tubepost_api.compiled import SecretKeyRef
from tubepost_api.config import DispatcherConfig
from tubepost_api.fields import SecretName
from tubepost_api.pushdomain import PushDomain
from tubepost_api.references import SECRET_FIELDS, SecretReference, SecretUse

EVERYTHING: dict[str, Any] = {
    "listener": {
        "startTls": {"mode": "Optional", "secretName": "starttls"},
        "auth": {"secretName": "users"},
    },
    "passthru": {
        "host": "relay",
        "tls": "Tls",
        "authSecretName": "account",
        "ca": {"secretName": "relay-authorities", "key": "bundle.crt"},
    },
    "bounces": {
        "relay": {
            "host": "relay",
            "tls": "Tls",
            "authSecretName": "bounce-account",
            "ca": {"secretName": "bounce-authorities"},
        }
    },
    "rest": {"tls": {"secretName": "rest-tls"}, "tokens": {"secretName": "rest-tokens"}},
    "acceptance": {"mode": "Queued"},
    "queue": {
        "jetStream": {
            "servers": ["tls://nats"],
            "credentials": {"secretName": "nats-file"},
            "tls": {"ca": {"secretName": "nats-authorities"}, "certificate": {"secretName": "nats-pair"}},
        }
    },
    "loggers": ["log"],
    "routes": ["apns", "token"],
}
CERTIFICATE_ROUTE: dict[str, Any] = {
    "certificate": {"secretName": "certificate"},
    "tls": {"ca": {"secretName": "authorities"}},
    "proxy": {"url": "http://proxy:1", "auth": {"secretName": "proxy", "key": "account"}},
    "topic": "a",
}


WEBHOOK: dict[str, Any] = {
    "url": "https://events.example",
    "authorization": {"secretName": "authorization", "key": "value"},
    "signature": {"secretName": "signature", "key": "hmac"},
    "ca": {"secretName": "webhook-authorities"},
}


def config() -> DispatcherConfig:
    result = compiled(
        push_domain(**EVERYTHING),
        route(**CERTIFICATE_ROUTE),
        route("token", token={"secretName": "token"}, topic="a"),
        logger(sink={"type": "Webhook", "webhook": WEBHOOK}),
    )
    assert result.config is not None, result.problems
    return result.config


def secret_names(annotation: Any, path: str = "") -> Iterator[str]:
    """Paths of all fields of type SecretName below a model; what is in the pod template is the kubelet's."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            where = f"{path}.{field.alias or name}" if path else field.alias or name
            if name == "pod_template":
                continue
            if any(item in field.metadata for item in SecretName.__metadata__):
                yield where
            yield from secret_names(field.annotation, where)
    elif annotation == SecretName:
        yield path
    else:
        for argument in get_args(annotation):
            yield from secret_names(argument, path)


@pytest.mark.parametrize("model", [PushDomain, ApnRoute, ApnLogger])
def test_every_field_that_names_a_secret_is_in_the_table(model: type[BaseModel]) -> None:
    known = [field.path for field in SECRET_FIELDS.values() if field.kind == model.__name__]
    assert sorted(secret_names(model)) == sorted(known)


def test_every_use_has_its_field() -> None:
    assert set(SECRET_FIELDS) == set(get_args(SecretUse))


def named(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, SecretKeyRef):
        yield value.secret, value.key
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from named(getattr(value, name))
    elif isinstance(value, dict | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from named(item)


def test_everything_that_a_configuration_names_is_referred_to() -> None:
    document = config()
    references = [*document.references()]
    for item in (*document.routes.values(), *document.loggers):
        references += item.references()
    ways = {"JetStreamNkey", "JetStreamAccount"}  # in place of a file: test_jetstream.py
    assert {reference.use for reference in references} == set(get_args(SecretUse)) - ways
    assert set(named(document)) <= {(r.secret, key) for r in references for key in r.keys}
    assert document.secret_names() == {r.secret for r in references}
    assert document.secret_names() == {
        "starttls",
        "users",
        "account",
        "relay-authorities",
        "certificate",
        "token",
        "authorities",
        "proxy",
        "bounce-account",
        "bounce-authorities",
        "rest-tls",
        "rest-tokens",
        "authorization",
        "signature",
        "webhook-authorities",
        "nats-file",
        "nats-authorities",
        "nats-pair",
    }


def test_a_reference_tells_its_field() -> None:
    (reference,) = (r for r in config().routes["apns"].references() if r.use == "Authorities")
    assert (reference.kind, reference.name) == ("ApnRoute", "apns")
    assert (reference.path, reference.field) == ("spec.tls.ca.secretName", "spec.tls.ca")
    assert reference.keys == ("ca.crt",)
    (reference,) = (r for r in config().references() if r.use == "RelayAuthorities")
    assert (reference.kind, reference.name) == ("PushDomain", config().name)
    assert (reference.path, reference.field) == ("spec.passthru.ca.secretName", "spec.passthru.ca")
    assert (reference.secret, reference.keys) == ("relay-authorities", ("bundle.crt",))


def test_a_reference_says_what_the_secret_has_to_have() -> None:
    assert SecretReference("ProxyAccount", "a", "s", ("account",)).wanted == "the key account"
    assert (
        SecretReference("Users", "a", "s", ("username", "password")).wanted == "the keys username, password"
    )
    assert SecretReference("RestTokens", "a", "s", ()).wanted == "a key for each client"


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        ({"username", "password"}, ()),
        ({"users"}, ()),
        ({"username", "users"}, ("password",)),
        ({"username"}, ("password",)),
        (set(), ("username", "password")),
    ],
)
def test_users_are_an_account_or_lines_or_both(present: set[str], missing: tuple[str, ...]) -> None:
    assert SecretReference("Users", "a", "s", ("username", "password")).missing(present) == missing
