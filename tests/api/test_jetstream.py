"""A queue on JetStream: what its fields compile to, what they refer to, and what is unwise."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.manifests import compiled, errors, push_domain, route
from tubepost_api.compile import CompileResult
from tubepost_api.compiled import SecretKeyRef
from tubepost_api.config import QueueConfig
from tubepost_api.config_jetstream import JetStreamConfig, JetStreamPlacement, JetStreamTlsConfig
from tubepost_api.problems import ProblemCode

SERVERS = ["tls://a.example", "tls://b.example:4333", "tls://[2001:db8::1]"]
PATH = "spec.queue.jetStream"


def result(delivery: dict[str, Any] | None = None, most: int = 0, **spec: Any) -> CompileResult:
    queue = {"maxMessages": most, "jetStream": {"servers": SERVERS} | spec}
    return compiled(push_domain(acceptance={"mode": "Queued"}, queue=queue, delivery=delivery or {}), route())


def queue(**spec: Any) -> QueueConfig:
    found = result(**spec)
    assert found.config is not None, errors(found)
    assert found.config.queue is not None
    return found.config.queue


def stream(**spec: Any) -> JetStreamConfig:
    found = queue(**spec).jet_stream
    assert found is not None
    return found


def test_a_stream_has_the_names_of_its_push_domain() -> None:
    config = queue(most=7)
    assert (config.persistent, config.max_messages, config.reserve) == (True, 7, 0)
    assert stream() == JetStreamConfig(
        servers=("tls://a.example:4222", "tls://b.example:4333", "tls://[2001:db8::1]:4222"),
        stream="TUBEPOST_DEFAULT_ALERTS",
        subject_prefix="tubepost.default.alerts",
    )
    assert stream().encrypted
    assert not stream(servers=["nats://a"]).encrypted


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("stream", "PUSH", {"stream": "PUSH"}),
        ("subjectPrefix", "a.b", {"subject_prefix": "a.b"}),
        ("replicas", 5, {"replicas": 5}),
        ("maxAge", "720h", {"max_age": 2_592_000.0}),
        ("maxBytes", "1Gi", {"max_bytes": 1 << 30}),
        ("maxBytes", 7, {"max_bytes": 7}),
        ("placement", {"cluster": "a"}, {"placement": JetStreamPlacement(cluster="a")}),
        ("placement", {"tags": ["a", "b"]}, {"placement": JetStreamPlacement(tags=("a", "b"))}),
        ("credentials", {"secretName": "s"}, {"credentials": SecretKeyRef(secret="s", key="nats.creds")}),
        (
            "credentials",
            {"secretName": "s", "key": "k"},
            {"credentials": SecretKeyRef(secret="s", key="k")},
        ),
        ("nkey", {"secretName": "s"}, {"nkey": SecretKeyRef(secret="s", key="seed")}),
        ("nkey", {"secretName": "s", "key": "k"}, {"nkey": SecretKeyRef(secret="s", key="k")}),
        ("authSecretName", "s", {"account": "s"}),
        ("tls", {}, {"tls": JetStreamTlsConfig()}),
        (
            "tls",
            {"ca": {"secretName": "s", "key": "k"}},
            {"tls": JetStreamTlsConfig(ca=SecretKeyRef(secret="s", key="k"))},
        ),
        (
            "tls",
            {"certificate": {"secretName": "s", "certificateKey": "c", "privateKeyKey": "k"}},
            {
                "tls": JetStreamTlsConfig(
                    certificate=SecretKeyRef(secret="s", key="c"),
                    private_key=SecretKeyRef(secret="s", key="k"),
                )
            },
        ),
    ],
)
def test_every_field_is_compiled(field: str, value: object, expected: dict[str, Any]) -> None:
    assert stream(**{field: value}) == stream().model_copy(update=expected)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("credentials", {"secretName": "s"}, [("JetStreamCredentials", "s", ("nats.creds",))]),
        ("nkey", {"secretName": "s"}, [("JetStreamNkey", "s", ("seed",))]),
        ("authSecretName", "s", [("JetStreamAccount", "s", ("username", "password"))]),
        (
            "tls",
            {"ca": {"secretName": "s"}, "certificate": {"secretName": "p"}},
            [
                ("JetStreamAuthorities", "s", ("ca.crt",)),
                ("JetStreamCertificate", "p", ("tls.crt", "tls.key")),
            ],
        ),
        ("tls", {}, []),
    ],
)
def test_secrets_are_named(
    field: str, value: object, expected: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    found = result(**{field: value})
    assert found.config is not None
    references = [*stream(**{field: value}).references("alerts")]
    assert [(one.use, one.secret, one.keys) for one in references] == expected
    absent = {problem.field for problem in found.problems if problem.code is ProblemCode.SECRET_NOT_FOUND}
    assert {one.path for one in references} <= absent


def test_a_document_without_a_stream_says_nothing_of_it() -> None:
    found = compiled(push_domain(acceptance={"mode": "Queued"}, queue={"disk": {}}), route())
    assert found.config is not None
    assert "jetStream" not in found.config.to_json()


def warnings(**spec: Any) -> dict[str, str]:
    problems = result(**spec).problems
    return {
        problem.field: problem.message
        for problem in problems
        if problem.field.startswith(PATH) and problem.code is not ProblemCode.SECRET_NOT_FOUND
    }


def test_what_is_wise_is_not_warned_of() -> None:
    assert warnings() == warnings(replicas=5, maxAge="1000h", authSecretName="s") == {}


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"replicas": 1}, "replicas", "on one server alone"),
        ({"replicas": 4}, "replicas", "no more servers than 3 do"),
        ({"servers": ["nats://a"]}, "servers", "messages travel in cleartext"),
        ({"servers": ["nats://a"], "authSecretName": "s"}, "servers", "messages and the password"),
        ({"maxAge": "168h"}, "maxAge", "is not longer than messageExpiration"),
        ({"maxAge": "100h", "delivery": {"messageExpiration": "100h"}}, "maxAge", "no sender is told"),
    ],
)
def test_what_is_unwise_is_told(spec: dict[str, Any], field: str, message: str) -> None:
    found = warnings(**spec)
    assert list(found) == [f"{PATH}.{field}"]
    assert message in found[f"{PATH}.{field}"]
