from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.operator import objects
from tests.operator.objects import secret
from tubepost_api.apnroute import ApnRoute
from tubepost_api.compile import compile_manifests, route_config
from tubepost_api.conditions import Reason
from tubepost_api.config import RouteConfig
from tubepost_api.problems import Manifest
from tubepost_credentials import Fault
from tubepost_operator.credentials import REASONS, Finding, own_findings, route_facts
from tubepost_operator.observed import Secret
from tubepost_operator.plan.candidate import read_spec

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def config(**spec: Any) -> RouteConfig:
    resource, problems = read_spec(objects.route(**spec))
    assert isinstance(resource, ApnRoute), problems
    return route_config(resource)


def reasons(route: RouteConfig, *secrets: Secret) -> list[Reason]:
    return [finding.reason for finding in route_facts(route, {s.name: s for s in secrets}, NOW).findings]


def test_a_certificate_tells_topics_and_end() -> None:
    facts = route_facts(config(), {"cert": secret(topics=["com.example.a", "com.example.b"])}, NOW)
    assert facts.findings == ()
    assert facts.kind == "Certificate"
    assert facts.topics == ("com.example.a", "com.example.b")
    assert facts.not_after == datetime(2027, 1, 1, tzinfo=UTC)


def test_the_topic_of_the_route_comes_first() -> None:
    facts = route_facts(
        config(topic="com.example.b"), {"cert": secret(topics=["com.example.a", "com.example.b"])}, NOW
    )
    assert facts.topics == ("com.example.b", "com.example.a")


@pytest.mark.parametrize(
    ("make", "reason", "serves"),
    [
        ({"start": "2025-01-01", "days": 10}, Reason.EXPIRED, True),
        ({"start": "2026-12-01"}, Reason.NOT_YET_VALID, True),
        ({"environments": ["Sandbox"]}, Reason.WRONG_ENVIRONMENT, True),
        ({"kind": "mismatch"}, Reason.KEY_MISMATCH, False),
        ({"without": ["tls.key"]}, Reason.KEY_MISSING, False),
        ({"kind": "text", "text": {"tls.crt": "x", "tls.key": "y"}}, Reason.MALFORMED, False),
    ],
)
def test_every_fault_has_its_reason(make: dict[str, Any], reason: Reason, serves: bool) -> None:
    (finding,) = route_facts(config(), {"cert": secret(**make)}, NOW).findings
    assert finding.reason is reason
    assert finding.serves is serves
    assert "'cert'" in finding.message
    assert finding.message.startswith("ApnRoute apns: ")
    assert finding.remedy
    assert finding.secret == "cert"


def test_a_missing_secret_is_named() -> None:
    (finding,) = route_facts(config(), {}, NOW).findings
    assert finding.reason is Reason.SECRET_NOT_FOUND
    assert "'cert'" in finding.message
    assert "spec.certificate" in finding.message


def test_no_message_holds_a_byte_of_a_secret() -> None:
    text = "c2VjcmV0LWNvbnRlbnQ-dmVyeS1zZWNyZXQ"
    held = Secret("cert", "1", {"tls.crt": text.encode(), "tls.key": text.encode()})
    (finding,) = route_facts(config(), {"cert": held}, NOW).findings
    assert text not in finding.text
    assert text not in repr(held)


def test_a_certificate_that_names_no_environment_is_fine_everywhere() -> None:
    assert reasons(config(), secret(environments=[])) == []


def test_an_own_endpoint_has_no_environment() -> None:
    assert reasons(config(endpoint="https://sim:8443"), secret(environments=["Sandbox"])) == []


def test_tokens() -> None:
    route = config(token={"secretName": "key"}, topic="com.example.app")
    assert reasons(route, secret("key", kind="token")) == []
    assert reasons(route, secret("key", kind="token", without=["teamId"])) == [Reason.KEY_MISSING]
    assert reasons(route, secret("key", kind="token", text={"key.p8": "x"})) == [Reason.MALFORMED]


def test_authorities_and_proxy() -> None:
    route = config(
        tls={"ca": {"secretName": "ca"}},
        proxy={"url": "http://proxy:3128", "auth": {"secretName": "proxy", "key": "auth"}},
    )
    assert (
        reasons(route, secret(), secret("ca", kind="ca"), secret("proxy", kind="text", text={"auth": "u:p"}))
        == []
    )
    assert reasons(route, secret(), secret("ca", kind="text", text={"ca.crt": "x"})) == [
        Reason.MALFORMED,
        Reason.SECRET_NOT_FOUND,
    ]


def listener(spec: dict[str, Any], *secrets: Secret) -> list[Reason]:
    documents = [objects.push_domain(**spec), objects.route()]
    compiled = compile_manifests([Manifest("x", 0, item) for item in documents])
    assert compiled.config is not None, compiled.problems
    findings, _ = own_findings(compiled.config, {s.name: s for s in secrets}, NOW)
    return [finding.reason for finding in findings]


def test_starttls() -> None:
    spec = {"listener": {"startTls": {"mode": "Optional", "secretName": "tls"}}}
    assert listener(spec, secret("tls")) == []
    assert listener(spec, secret("tls", start="2025-01-01", days=1)) == [Reason.EXPIRED]
    assert listener(spec, secret("tls", kind="mismatch")) == [Reason.KEY_MISMATCH]


def test_users_and_relay() -> None:
    spec = {
        "listener": {"auth": {"secretName": "users", "requireTls": False}},
        "passthru": {"host": "relay", "authSecretName": "relay"},
    }
    relay = secret("relay", kind="text", text={"username": "a", "password": "b"})
    assert listener(spec, relay, secret("users", kind="text", text={"users": "# all\na:b\n\nc:d:e"})) == []
    assert listener(spec, relay, secret("users", kind="text", text={"username": "a", "password": "b"})) == []
    assert listener(spec, relay, secret("users", kind="text", text={"users": "a:b\nc"})) == [Reason.MALFORMED]
    assert listener(spec, relay, secret("users", kind="text", text={"user": "a"})) == [Reason.KEY_MISSING]
    assert listener(spec, relay) == [Reason.SECRET_NOT_FOUND]
    assert listener(spec, secret("users", kind="text", text={"users": "a:b"})) == [Reason.SECRET_NOT_FOUND]


def test_every_fault_of_a_secret_is_a_reason() -> None:
    assert set(REASONS) == set(Fault)
    assert {fault for fault, reason in REASONS.items() if _finding(reason).of_reference} == {
        fault for fault in Fault if fault.of_reference
    }


def _finding(reason: Reason) -> Finding:
    return Finding(reason, "", "")
