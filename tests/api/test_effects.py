"""Every field of the custom resources has an effect: on the compiled document, or on what the operator writes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from tests.api.manifests import compiled, config_map, errors, logger, push_domain, route
from tubepost_api.apnlogger import ApnLogger
from tubepost_api.apnroute import ApnRoute
from tubepost_api.pushdomain import PushDomain
from tubepost_api.resource import Resource
from tubepost_api.webhook import WebhookSpec

DELIVERY: Mapping[str, object] = {
    "mode": "Suspend",
    "responseTimeout": "7s",
    "connectTimeout": "7s",
    "idleTimeout": "7m",
    "maxOutboundConnections": 7,
    "maxDeliveriesPerConnection": 7,
    "throttle": "7/2",
    "expiry": "7h",
    "retryInterval": "7s",
    "maxRetryInterval": "77h",
    "maxRetries": 7,
    "messageExpiration": "7h",
}
BOUNCES: Mapping[str, object] = {
    "enabled": False,
    "delayNotices": True,
    "delayAfter": "7s",
    "direct": "Mail",
    "from": "other@example.com",
}
RELAY: Mapping[str, object] = {
    "host": "other",
    "port": 7,
    "tls": "StartTls",
    "verify": False,
    "ca.secretName": "other",
    "ca.key": "other",
    "authSecretName": "other",
    "timeout": "7s",
}
BASE: Mapping[str, dict[str, Any]] = {
    "PushDomain": push_domain(
        domains=[
            {"name": "a.example", "delivery": {}, "bounces": {}},
            {"pattern": "b.*", "routes": ["other"]},
        ],
        listener={
            "startTls": {"mode": "Optional", "secretName": "tls"},
            "auth": {"secretName": "auth"},
        },
        passthru={"host": "relay", "tls": "Tls", "authSecretName": "account", "ca": {"secretName": "ca"}},
        bounces={
            "relay": {"host": "relay", "tls": "Tls", "authSecretName": "account", "ca": {"secretName": "ca"}}
        },
        policy={"configMapName": "hooks"},
        rest={"tls": {"secretName": "tls"}, "tokens": {"secretName": "tokens"}},
        loggers=["log", "hook"],
        tracing={"endpoint": "http://collector:4318"},
        queue={"disk": {}},
    )["spec"],
    "ApnRoute": route(
        tls={"ca": {"secretName": "ca"}},
        proxy={"url": "http://proxy:1", "auth": {"secretName": "proxy", "key": "account"}},
    )["spec"],
    "ApnLogger": logger(sink={"type": "File", "file": {"path": "/var/log/tubepost/a"}})["spec"],
}
HOOK: dict[str, Any] = {
    "sink": {
        "type": "Webhook",
        "webhook": {
            "url": "https://events.example",
            "authorization": {"secretName": "authorization", "key": "value"},
            "signature": {"secretName": "signature", "key": "hmac"},
            "ca": {"secretName": "ca"},
        },
    }
}
OTHER: Mapping[str, Mapping[str, object]] = {
    "PushDomain": {
        "domains[0].name": "c.example",
        "domains[1].pattern": "c.*",
        "domains[1].routes": ["apns"],
        **{f"domains[0].delivery.{field}": value for field, value in DELIVERY.items()},
        **{f"delivery.{field}": value for field, value in DELIVERY.items()},
        "routes": ["other"],
        "listener.port": 2626,
        "listener.hostname": "mx.example",
        "listener.mcmtReception": "Reject",
        "listener.startTls.mode": "Required",
        "listener.startTls.secretName": "other",
        "listener.startTls.minVersion": "1.3",
        "listener.auth.secretName": "other",
        "listener.auth.required": False,
        "listener.auth.requireTls": False,
        "listener.allowedNetworks": ["192.0.2.0/24"],
        "listener.proxyProtocol.trustedNetworks": ["192.0.2.0/24"],
        "listener.limits.maxMessageSize": 70_000,
        "listener.limits.maxHeaderSize": 70_000,
        "listener.limits.maxLineLength": 70_000,
        "listener.limits.maxConnections": 7,
        "listener.limits.maxConnectionsPerClient": 7,
        "listener.limits.maxRecipients": 7,
        "listener.limits.maxErrors": 7,
        "listener.limits.commandTimeout": "7s",
        "listener.limits.tlsHandshakeTimeout": "7s",
        "listener.limits.maxSessionAge": "7s",
        "listener.limits.maxMessagesPerSession": 7,
        "acceptance.deadline": "7s",
        "acceptance.mode": "Queued",
        "acceptance.overflow": "Queue",
        "queue.maxMessages": 7,
        "queue.disk.maxSize": "7Gi",
        "queue.disk.reserve": 7,
        "queue.disk.claim": {},
        **{f"domains[0].bounces.{field}": value for field, value in BOUNCES.items()},
        **{f"bounces.{field}": value for field, value in BOUNCES.items()},
        **{f"bounces.relay.{field}": value for field, value in RELAY.items()},
        **{f"passthru.{field}": value for field, value in RELAY.items()},
        "policy.configMapName": "other",
        "policy.timeout": "7s",
        "policy.memory": "7Mi",
        "policy.processes": 7,
        "context.addresses": "Ignore",
        "rest.port": 8787,
        "rest.tls.secretName": "other",
        "rest.tls.minVersion": "1.3",
        "rest.tokens.secretName": "other",
        "rest.maxBatch": 7,
        "rest.maxBodySize": 7,
        "loggers": [],
        "logLevel": "Debug",
        "messageLog": "Enabled",
        "tracing.endpoint": "http://other:4318",
        "tracing.samplePercent": 7,
        "workers": 7,
    },
    "ApnRoute": {
        "environment": "Sandbox",
        "certificate.secretName": "other",
        "certificate.certificateKey": "other",
        "certificate.privateKeyKey": "other",
        "topic": "com.example.other",
        "defaults.pushType": "background",
        "defaults.priority": 5,
        "defaults.collapseId": "other",
        "tls.verify": False,
        "tls.ca.secretName": "other",
        "tls.ca.key": "other",
        "tls.ciphers": "ECDHE+AESGCM",
        "tls.minVersion": "1.3",
        "proxy.url": "http://other:1",
        "proxy.auth.secretName": "other",
        "proxy.auth.key": "other",
    },
    "ApnLogger": {
        "sink.file.path": "/var/log/tubepost/b",
        "sink.file.mode": "0600",
        "sink.file.maxSize": 70_000,
        "sink.file.maxFiles": 7,
        "heartbeat": "7s",
        "logDelivery": False,
        "logPermfail": False,
        "logTempfail": False,
        "filter.outcomes": ["Delivered"],
        "filter.reasons": ["BadDeviceToken"],
        "filter.deadTokens": True,
        "compatibility": "Momentum",
        "format": "Json",
        "formats.delivery": "%t",
        "formats.permfail": "%t",
        "formats.tempfail": "%t",
        "formats.heartbeat": "%t",
    },
}
"""Another value than BASE has, for each field that a dispatcher gets."""
ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    # The operator's own: the tests of its resources look at them. A stream: tests/api/test_jetstream.py.
    "PushDomain": ("replicas", "podTemplate", "service", "queue.disk.claim", "queue.jetStream"),
    # Alternatives, which BASE could not have at the same time; see the test below.
    "ApnRoute": ("endpoint", "token"),
    "ApnLogger": ("sink.type", "sink.webhook"),
}
"""Fields, with all below them, that need another test."""
KINDS: tuple[type[Resource], ...] = (PushDomain, ApnRoute, ApnLogger)


def leaves(annotation: Any, path: str = "") -> Iterator[str]:
    """The paths of all fields below a model that hold no models."""
    below = [item for item in (annotation, *get_args(annotation)) if isinstance(item, type)]
    model = next((item for item in below if issubclass(item, BaseModel)), None)
    of_list = [
        item for item in get_args(annotation) if isinstance(item, type) and issubclass(item, BaseModel)
    ]
    if model is None and not any(get_args(item) for item in get_args(annotation)):
        yield path
    elif model is not None:
        many = "[]" if getattr(annotation, "__origin__", None) is tuple and of_list else ""
        for name, field in model.model_fields.items():
            yield from leaves(field.annotation, f"{path}{many}.{field.alias or name}".lstrip("."))
    else:
        yield path


def paths(kind: type[Resource]) -> set[str]:
    return set(leaves(kind.model_fields["spec"].annotation))


def changed(kind: str, path: str, value: object) -> dict[str, dict[str, Any]]:
    specs = copy.deepcopy(dict(BASE))
    place: Any = specs[kind]
    *steps, last = path.replace("[", ".[").split(".")
    for step in steps:
        place = place[int(step[1:-1])] if step.startswith("[") else place.setdefault(step, {})
    place[last] = value
    return specs


def document(specs: Mapping[str, dict[str, Any]], hook: dict[str, Any] = HOOK) -> str:
    result = compiled(
        push_domain(**specs["PushDomain"]),
        route("apns", **specs["ApnRoute"]),
        route("other"),
        logger(**specs["ApnLogger"]),
        logger("hook", **hook),
        config_map("hooks"),
        config_map("other"),
    )
    assert result.config is not None, errors(result)
    return result.config.to_json()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_is_looked_at(kind: type[Resource]) -> None:
    tried = {path.replace("[0]", "[]").replace("[1]", "[]") for path in OTHER[kind.__name__]}
    elsewhere = ELSEWHERE[kind.__name__]
    rest = {
        path
        for path in paths(kind) - tried
        if not any(path == item or path.startswith((f"{item}.", f"{item}[")) for item in elsewhere)
    }
    assert rest == set()


@pytest.mark.parametrize(
    ("kind", "path"), [(kind, path) for kind, fields in OTHER.items() for path in fields]
)
def test_every_field_changes_what_a_dispatcher_gets(kind: str, path: str) -> None:
    assert document(changed(kind, path, OTHER[kind][path])) != document(BASE)


WEBHOOK: Mapping[str, object] = {
    "url": "http://other.example/events",
    "authorization.secretName": "other",
    "authorization.key": "other",
    "signature.secretName": "other",
    "signature.key": "other",
    "ca.secretName": "other",
    "ca.key": "other",
    "verify": False,
    "timeout": "7s",
    "batchSize": 7,
    "batchInterval": "7s",
    "maxRetryInterval": "7s",
    "maxEvents": 7,
    "maxSize": 7,
}


@pytest.mark.parametrize("path", WEBHOOK)
def test_every_field_of_a_webhook_changes_what_a_dispatcher_gets(path: str) -> None:
    hook = copy.deepcopy(HOOK)
    place: Any = hook["sink"]["webhook"]
    *steps, last = path.split(".")
    for step in steps:
        place = place[step]
    place[last] = WEBHOOK[path]
    assert document(BASE, hook) != document(BASE)


def test_every_field_of_a_webhook_is_looked_at() -> None:
    assert set(leaves(WebhookSpec)) == set(WEBHOOK)


def test_alternatives_change_it_too() -> None:
    seen = {document(BASE)}
    token = {"secretName": "t", "privateKeyKey": "p", "keyIdKey": "k", "teamIdKey": "i"}
    for change in ({}, *({key: "other"} for key in token)):
        specs = copy.deepcopy(dict(BASE))
        del specs["ApnRoute"]["certificate"]
        specs["ApnRoute"]["token"] = {**token, **change}
        seen.add(document(specs))
    specs = copy.deepcopy(dict(BASE))
    del specs["ApnRoute"]["environment"]
    specs["ApnRoute"]["endpoint"] = "https://relay:2197"
    seen.add(document(specs))
    seen.add(document({**BASE, "ApnLogger": {"sink": {"type": "Stdout"}}}))
    assert len(seen) == 8
