from __future__ import annotations

import pytest

from tests.api.manifests import compiled, document, errors, logger, push_domain, route, secret, warnings
from tubepost_api.compile import compile_manifests, push_domain_names
from tubepost_api.compiled import SecretKeyRef
from tubepost_api.config import (
    AcceptanceConfig,
    AuthConfig,
    CertificateConfig,
    DeliveryConfig,
    DeliveryMode,
    DispatcherConfig,
    EntryConfig,
    ListenerConfig,
    ListenerLimits,
    McmtReception,
    RouteConfig,
    RouteDefaults,
    RouteTls,
    StartTlsConfig,
    StartTlsMode,
    Throttle,
    TokenConfig,
)
from tubepost_api.config_logger import FileSink, LoggerConfig, LoggerFormats
from tubepost_api.config_relay import RelayConfig
from tubepost_api.problems import Manifest


def ref(name: str, key: str) -> SecretKeyRef:
    return SecretKeyRef(secret=name, key=key)


APNS = RouteConfig(
    name="apns",
    environment="Production",
    host="api.push.apple.com",
    port=443,
    certificate=CertificateConfig(certificate=ref("cert", "tls.crt"), private_key=ref("cert", "tls.key")),
)


def test_the_smallest_manifests_give_the_defaults_of_the_config() -> None:
    result = compiled(push_domain(loggers=["log"]), route(), logger(), secret())
    assert result.problems == ()
    assert result.config == DispatcherConfig(
        name="alerts",
        listener=ListenerConfig(hostname="alerts.default.svc"),
        entries=(EntryConfig(name="push.example.com", routes=("apns",), delivery=DeliveryConfig()),),
        routes={"apns": APNS},
        loggers=(LoggerConfig(name="log"),),
    )


def test_every_option_of_a_push_domain_arrives() -> None:
    domain = push_domain(
        listener={
            "port": 2626,
            "hostname": "mail.example.com",
            "mcmtReception": "Reject",
            "startTls": {"mode": "Required", "secretName": "tls", "minVersion": "1.3"},
            "auth": {"secretName": "users", "required": False, "requireTls": False},
            "allowedNetworks": ["10.0.0.0/8", "::1"],
            "limits": {
                "maxMessageSize": "64Ki",
                "maxHeaderSize": "1k",
                "maxLineLength": 998,
                "maxConnections": 1,
                "maxConnectionsPerClient": 2,
                "maxRecipients": 3,
                "maxErrors": 4,
                "commandTimeout": "1m",
                "tlsHandshakeTimeout": "2m",
                "maxSessionAge": "0s",
                "maxMessagesPerSession": 5,
            },
        },
        acceptance={"mode": "Direct", "deadline": "10s"},
        delivery={
            "mode": "Suspend",
            "responseTimeout": "1s",
            "connectTimeout": "2s",
            "idleTimeout": "2m",
            "maxOutboundConnections": 6,
            "maxDeliveriesPerConnection": 7,
            "throttle": "8/60",
            "expiry": "0s",
        },
        passthru={
            "host": "relay",
            "port": 465,
            "tls": "Tls",
            "verify": False,
            "authSecretName": "relay-auth",
            "timeout": "3s",
        },
        logLevel="Debug",
        replicas=3,
        workers=4,
    )
    domain["metadata"]["generation"] = 9
    config = compiled(domain, route()).config
    assert config == DispatcherConfig(
        name="alerts",
        generation=9,
        listener=ListenerConfig(
            port=2626,
            hostname="mail.example.com",
            mcmt_reception=McmtReception.REJECT,
            starttls=StartTlsConfig(
                mode=StartTlsMode.REQUIRED,
                certificate=ref("tls", "tls.crt"),
                private_key=ref("tls", "tls.key"),
                min_version="1.3",
            ),
            auth=AuthConfig(secret="users", required=False, require_tls=False),
            allowed_networks=("10.0.0.0/8", "::1"),
            limits=ListenerLimits(
                max_message_size=65_536,
                max_header_size=1000,
                max_line_length=998,
                max_connections=1,
                max_connections_per_client=2,
                max_recipients=3,
                max_errors=4,
                command_timeout=60,
                tls_handshake_timeout=120,
                max_session_age=0,
                max_messages_per_session=5,
            ),
        ),
        acceptance=AcceptanceConfig(deadline=10),
        entries=(
            EntryConfig(
                name="push.example.com",
                routes=("apns",),
                delivery=DeliveryConfig(
                    mode=DeliveryMode.SUSPEND,
                    response_timeout=1,
                    connect_timeout=2,
                    idle_timeout=120,
                    max_outbound_connections=6,
                    max_deliveries_per_connection=7,
                    throttle=Throttle(messages=8, seconds=60),
                    expiry=0,
                ),
            ),
        ),
        routes={"apns": APNS},
        passthru=RelayConfig(host="relay", port=465, tls="Tls", verify=False, auth="relay-auth", timeout=3),
        log_level="Debug",
        workers=4,
    )


def test_every_option_of_a_route_arrives() -> None:
    spec = {
        "endpoint": "https://[::1]:8443",
        "token": {"secretName": "t", "privateKeyKey": "a", "keyIdKey": "b", "teamIdKey": "c"},
        "topic": "com.example.app",
        "defaults": {"pushType": "background", "priority": 5, "collapseId": "x"},
        "tls": {"verify": False, "ca": {"secretName": "ca"}, "ciphers": "DEFAULT", "minVersion": "1.3"},
        "proxy": {"url": "http://proxy:3128/", "auth": {"secretName": "p", "key": "q"}},
    }
    config = compiled(push_domain(), route(**spec)).config
    assert config
    assert config.routes == {
        "apns": RouteConfig(
            name="apns",
            environment=None,
            host="::1",
            port=8443,
            token=TokenConfig(private_key=ref("t", "a"), key_id=ref("t", "b"), team_id=ref("t", "c")),
            topic="com.example.app",
            defaults=RouteDefaults(push_type="background", priority=5, collapse_id="x"),
            tls=RouteTls(verify=False, ca=ref("ca", "ca.crt"), ciphers="DEFAULT", min_version="1.3"),
            proxy="http://proxy:3128",
            proxy_auth=ref("p", "q"),
        )
    }


def test_every_option_of_a_logger_arrives() -> None:
    formats = {"delivery": "%ti", "permfail": "%e", "tempfail": "%S", "heartbeat": "%{%Y}t"}
    spec = {
        "sink": {"type": "File", "file": {"path": "/v/a", "mode": "0600", "maxSize": 0, "maxFiles": 1}},
        "heartbeat": "0s",
        "logDelivery": False,
        "logPermfail": False,
        "logTempfail": False,
        "formats": formats,
    }
    config = compiled(push_domain(loggers=["log"]), route(), logger(**spec)).config
    assert config
    assert config.loggers == (
        LoggerConfig(
            name="log",
            file=FileSink(path="/v/a", mode=0o600, max_size=0, max_files=1),
            formats=LoggerFormats(**formats),
            heartbeat=0,
            log_delivery=False,
            log_permfail=False,
            log_tempfail=False,
        ),
    )


def test_overrides_merge_field_by_field_over_the_push_domain() -> None:
    config = compiled(
        push_domain(
            domains=[
                {"pattern": "b.*"},
                {"pattern": "a.*", "delivery": {"mode": "Deliver", "throttle": "0"}},
                {"name": "c.example", "routes": ["other"], "delivery": {"expiry": "1h", "throttle": "2"}},
            ],
            delivery={"mode": "Suspend", "throttle": "1", "maxOutboundConnections": 3},
        ),
        route(),
        route("other"),
    ).config
    assert config
    base = DeliveryConfig(
        mode=DeliveryMode.SUSPEND, throttle=Throttle(messages=1), max_outbound_connections=3
    )
    assert config.entries == (
        EntryConfig(
            name="c.example",
            routes=("other",),
            delivery=base.model_copy(update={"expiry": 3600.0, "throttle": Throttle(messages=2)}),
        ),
        EntryConfig(pattern="b.*", routes=("apns",), delivery=base),
        EntryConfig(
            pattern="a.*",
            routes=("apns",),
            delivery=base.model_copy(update={"mode": DeliveryMode.DELIVER, "throttle": None}),
        ),
    )


def test_only_routes_in_use_are_compiled() -> None:
    result = compiled(push_domain(), route(), route("spare"))
    assert result.config
    assert list(result.config.routes) == ["apns"]


def test_nulls_are_as_absent() -> None:
    domain = push_domain(listener=None, delivery={"mode": None})
    domain["metadata"]["namespace"] = None
    domain["status"] = None
    assert errors(compiled(domain, route())) == []


def test_what_the_cluster_adds_does_not_disturb() -> None:
    domain = push_domain()
    domain["metadata"] |= {"uid": "1", "managedFields": [{}], "labels": {"a": "b"}, "creationTimestamp": "x"}
    domain["status"] = {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Ready",
                "message": "",
                "lastTransitionTime": "2026-11-23T12:00:00Z",
                "observedGeneration": 1,
            }
        ],
    }
    assert errors(compiled(domain, route())) == []


def test_objects_of_others_are_left_alone() -> None:
    others = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "Service"},
        {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"},
    ]
    assert compiled(*others, push_domain(), route(), secret()).problems == ()


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ({}, "kind"),
        ({"kind": "PushDomain"}, "apiVersion"),
        ({"kind": ["a"], "apiVersion": "v1"}, "kind"),
        ({"kind": "PushDomain", "apiVersion": "tubepost.io/v1"}, "apiVersion"),
        ({"kind": "PushDomain", "apiVersion": "tubepost.dev/v1alpha1"}, "apiVersion"),
        ({"kind": "Pushdomain", "apiVersion": "tubepost.io/v1alpha1"}, "kind"),
        ({"kind": "PushDomain", "apiVersion": "tubepost.io/v1alpha1"}, "metadata.name"),
        ({"kind": "PushDomain", "apiVersion": "tubepost.io/v1alpha1", "metadata": []}, "metadata.name"),
        (
            {"kind": "PushDomain", "apiVersion": "tubepost.io/v1alpha1", "metadata": {"name": 1}},
            "metadata.name",
        ),
        ({"kind": "PushDomain", "apiVersion": "tubepost.io/v1alpha1", "metadata": {"name": "a"}}, "spec"),
        ({**push_domain("b"), "sepc": {}}, "sepc"),
        ({**push_domain("b"), "spec": []}, "spec"),
        ({**push_domain("b"), "spec": {"domains": [b"x"]}}, ""),
    ],
)
def test_documents_that_are_no_objects(broken: dict[str, object], field: str) -> None:
    result = compile_manifests([Manifest("a.yaml", 4, broken)])
    assert result.config is None
    assert errors(result)[0].field == field
    assert errors(result)[0].origin == "a.yaml"


def test_one_push_domain_is_chosen_by_name() -> None:
    manifests = [
        push_domain("a"),
        push_domain("b"),
        push_domain("b", "other"),
        route(),
        route(namespace="other"),
    ]
    for wanted in ("a", "default/b", "other/b"):
        config = compiled(*manifests, push_domain=wanted).config
        assert config
        assert wanted in {config.name, f"{config.namespace}/{config.name}"}
    undecided = compiled(*manifests, push_domain="b")
    assert undecided.config is None
    assert "--push-domain default/b" in errors(undecided)[0].remedy
    unknown = compiled(*manifests, push_domain="aa")
    assert unknown.config is None
    assert "there is no PushDomain aa" in errors(unknown)[0].message


def test_names_to_choose_from() -> None:
    documents = [push_domain("a"), push_domain("b"), push_domain("b", "other"), route()]
    manifests = [Manifest("a", i, item) for i, item in enumerate(documents)]
    assert push_domain_names(manifests) == ["a", "default/b", "other/b"]


def test_an_object_that_does_not_read_is_not_missing_as_well() -> None:
    result = compiled(push_domain(loggers=["log"]), route(topic=""), logger(heartbeat="x"))
    assert [problem.field for problem in errors(result)] == ["spec.topic", "spec.heartbeat"]
    only = compiled(document("PushDomain", "alerts", {}))
    assert [problem.field for problem in errors(only)] == ["spec.domains"]
    assert only.config is None


def test_an_error_in_what_is_not_chosen_counts_as_well() -> None:
    result = compiled(push_domain("a"), push_domain("b", replicas=-1), route(), push_domain="a")
    assert result.config is None
    assert [problem.name for problem in errors(result)] == ["b"]


def test_config_is_there_exactly_without_errors() -> None:
    for documents in ([], [route()], [push_domain()], [push_domain(), route()]):
        result = compiled(*documents)
        assert (result.config is None) == bool(errors(result))


def test_the_same_manifests_give_the_same_document() -> None:
    a = compiled(push_domain(), route(), secret()).config
    b = compiled(secret(), route(), push_domain()).config
    assert a
    assert b
    assert a.digest() == b.digest()
    assert DispatcherConfig.model_validate_json(a.to_json()) == a


def test_no_secret_reaches_the_document_or_a_problem() -> None:
    hidden = secret()
    hidden["stringData"]["tls.key"] = "hush-hush"
    result = compiled(
        push_domain(), route(proxy={"url": "http://u:hush-hush@proxy:1"}), hidden, secret("other", keys=())
    )
    assert "hush-hush" not in str(result)
    assert warnings(result) == []
