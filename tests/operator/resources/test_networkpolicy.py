from __future__ import annotations

from typing import Any

from tests.operator.resources.sources import configured, source
from tubepost_api.config import QueueConfig, RestConfig, TracingConfig
from tubepost_api.config_jetstream import JetStreamConfig
from tubepost_api.config_logger import LoggerConfig, WebhookConfig
from tubepost_api.config_relay import BouncesConfig, RelayConfig
from tubepost_operator.resources.common import Source
from tubepost_operator.resources.networkpolicy import network_policy


def ingress(given: Source) -> list[dict[str, Any]]:
    return list(network_policy(given)["spec"]["ingress"])


def ports(given: Source) -> list[int]:
    _, out = network_policy(given)["spec"]["egress"]
    return [port["port"] for port in out["ports"]]


def test_the_listener_is_open_unless_networks_are_named() -> None:
    assert "from" not in ingress(source())[0]
    listener = source().config.listener.model_copy(
        update={"allowed_networks": ("10.0.0.0/8", "192.0.2.7", "2001:db8::1")}
    )
    smtp, http = ingress(configured(listener=listener))
    assert [peer["ipBlock"]["cidr"] for peer in smtp["from"]] == [
        "10.0.0.0/8",
        "192.0.2.7/32",
        "2001:db8::1/128",
    ]
    assert "from" not in http


def test_requests_come_from_everywhere_since_they_have_tokens() -> None:
    listener = source().config.listener.model_copy(update={"allowed_networks": ("10.0.0.0/8",)})
    smtp, others = ingress(configured(listener=listener, rest=RestConfig(tokens="clients")))
    assert [port["port"] for port in smtp["ports"]] == ["smtp"]
    assert [port["port"] for port in others["ports"]] == ["http", "rest"]
    assert "from" not in others


def test_out_go_what_follows_the_outcome_too() -> None:
    loggers = [
        LoggerConfig(name=str(number), webhook=WebhookConfig(url=url))
        for number, url in enumerate(("http://a.example/x", "http://[2001:db8::1]:8080", "https://b.example"))
    ]
    bounces = BouncesConfig(relay=RelayConfig(host="mx", port=587))
    tracing = TracingConfig(endpoint="http://collector:4318")
    found = ports(configured(loggers=(*loggers, LoggerConfig(name="log")), bounces=bounces, tracing=tracing))
    assert found == [80, 443, 587, 2197, 4318, 8080]


def test_out_goes_the_queue_to_its_servers() -> None:
    servers = ("tls://a.example:4222", "tls://[2001:db8::1]:4333")
    stream = JetStreamConfig(servers=servers, stream="S", subject_prefix="s")
    found = ports(configured(queue=QueueConfig(persistent=True, jet_stream=stream)))
    assert found == [443, 2197, 4222, 4333]


def test_out_go_dns_and_the_ports_of_apns_proxy_and_relay() -> None:
    dns, _ = network_policy(source())["spec"]["egress"]
    assert {(port["protocol"], port["port"]) for port in dns["ports"]} == {("UDP", 53), ("TCP", 53)}
    assert ports(source()) == [443, 2197]
    routes = {
        name: route.model_copy(update={"port": 8443, "proxy": "http://proxy:3128"})
        for name, route in source().config.routes.items()
    }
    assert ports(configured(routes=routes, passthru=RelayConfig(host="mx", port=2525))) == [
        443,
        2197,
        2525,
        3128,
        8443,
    ]
