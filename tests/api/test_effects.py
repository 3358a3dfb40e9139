"""Every field of the custom resources has an effect: on the compiled document, or on what the operator writes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from tests.api.manifests import compiled, errors, logger, push_domain, route
from tubepost_api.apnlogger import ApnLogger
from tubepost_api.apnroute import ApnRoute
from tubepost_api.pushdomain import PushDomain
from tubepost_api.resource import Resource

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
BASE: Mapping[str, dict[str, Any]] = {
    "PushDomain": push_domain(
        domains=[{"name": "a.example", "delivery": {}}, {"pattern": "b.*", "routes": ["other"]}],
        listener={
            "startTls": {"mode": "Optional", "secretName": "tls"},
            "auth": {"secretName": "auth"},
        },
        passthru={"host": "relay", "tls": "Tls", "authSecretName": "account", "ca": {"secretName": "ca"}},
        loggers=["log"],
        queue={"disk": {}},
    )["spec"],
    "ApnRoute": route(
        tls={"ca": {"secretName": "ca"}},
        proxy={"url": "http://proxy:1", "auth": {"secretName": "proxy", "key": "account"}},
    )["spec"],
    "ApnLogger": logger(sink={"type": "File", "file": {"path": "/var/log/tubepost/a"}})["spec"],
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
        "passthru.host": "other",
        "passthru.port": 7,
        "passthru.tls": "StartTls",
        "passthru.verify": False,
        "passthru.ca.secretName": "other",
        "passthru.ca.key": "other",
        "passthru.authSecretName": "other",
        "passthru.timeout": "7s",
        "loggers": [],
        "logLevel": "Debug",
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
        "format": "Json",
        "formats.delivery": "%t",
        "formats.permfail": "%t",
        "formats.tempfail": "%t",
        "formats.heartbeat": "%t",
    },
}
"""Another value than BASE has, for each field that a dispatcher gets."""
ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    # The operator's own: the tests of its resources look at them.
    "PushDomain": ("replicas", "podTemplate", "service", "queue.disk.claim"),
    # Alternatives, which BASE could not have at the same time; see the test below.
    "ApnRoute": ("endpoint", "token"),
    "ApnLogger": ("sink.type",),
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


def document(specs: Mapping[str, dict[str, Any]]) -> str:
    result = compiled(
        push_domain(**specs["PushDomain"]),
        route("apns", **specs["ApnRoute"]),
        route("other"),
        logger(**specs["ApnLogger"]),
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
