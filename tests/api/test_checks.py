from __future__ import annotations

from typing import Any

import pytest

from tests.api.manifests import compiled, errors, logger, push_domain, route, secret, warnings

TOKEN = {"secretName": "token"}
QUEUED: dict[str, Any] = {"acceptance": {"mode": "Queued"}, "queue": {"disk": {}}}


def fields(problems: list[Any]) -> list[str]:
    return [problem.field for problem in problems]


def test_references_are_found_or_the_nearest_name_is_told() -> None:
    result = compiled(push_domain(routes=["apsn"], loggers=["lgo"]), route(), logger())
    assert fields(errors(result)) == ["spec.routes[0]", "spec.loggers[0]"]
    assert errors(result)[0].remedy == "did you mean apns?"
    far = compiled(push_domain(routes=["zzzz"]), route())
    assert errors(far)[0].remedy == "declare it, or name one of: apns"


def test_references_stay_in_the_namespace() -> None:
    result = compiled(push_domain(namespace="a"), route(namespace="b"))
    assert "the one in b cannot be referred to" in errors(result)[0].remedy


def test_references_of_domains() -> None:
    result = compiled(push_domain(domains=[{"name": "a.example", "routes": ["apns", "gone"]}]), route())
    assert fields(errors(result)) == ["spec.domains[0].routes[1]"]


def test_failover_within_one_environment_and_topic() -> None:
    domain = push_domain(routes=["a", "b"])

    def found(a: dict[str, Any], b: dict[str, Any]) -> tuple[int, int]:
        result = compiled(domain, route("a", **a), route("b", **b))
        return len(errors(result)), len(warnings(result))

    assert found({}, {}) == (0, 0)
    assert found({}, {"endpoint": "https://api.push.apple.com:2197"}) == (0, 0)
    assert found({}, {"endpoint": "https://api.sandbox.push.apple.com"}) == (1, 0)
    assert found({}, {"environment": "Sandbox"}) == (1, 0)
    assert found({}, {"endpoint": "https://relay.example"}) == (0, 1)
    assert found({"topic": "a"}, {"topic": "a"}) == (0, 0)
    assert found({"topic": "a"}, {"topic": "b"}) == (1, 0)
    assert found({"topic": "a"}, {}) == (0, 1)
    assert found({}, {"certificate": {"secretName": "another"}}) == (0, 1)
    assert found({"topic": "a"}, {"topic": "a", "token": TOKEN}) == (0, 0)


def test_different_entries_may_lead_to_different_environments() -> None:
    domain = push_domain(domains=[{"name": "a.example"}, {"name": "b.example", "routes": ["test"]}])
    assert errors(compiled(domain, route(), route("test", environment="Sandbox"))) == []


@pytest.mark.parametrize(
    ("spec", "path", "keys", "missing"),
    [
        ({}, "spec.certificate.secretName", ("tls.crt", "tls.key"), "tls.key"),
        (
            {"certificate": {"secretName": "s", "certificateKey": "a", "privateKeyKey": "b"}},
            "spec.certificate.secretName",
            ("a", "b"),
            "b",
        ),
        ({"token": {"secretName": "s"}}, "spec.token.secretName", ("key.p8", "keyId", "teamId"), "teamId"),
        ({"tls": {"ca": {"secretName": "s"}}}, "spec.tls.ca.secretName", ("ca.crt",), "ca.crt"),
        (
            {"proxy": {"url": "http://p:1", "auth": {"secretName": "s", "key": "k"}}},
            "spec.proxy.auth.secretName",
            ("k",),
            "k",
        ),
    ],
)
def test_keys_of_secrets_of_a_route(
    spec: dict[str, Any], path: str, keys: tuple[str, ...], missing: str
) -> None:
    spec = {"certificate": {"secretName": "s"}, **spec}
    if "tls" in spec or "proxy" in spec:
        spec["certificate"] = {"secretName": "elsewhere"}

    def run(*documents: dict[str, Any]) -> Any:
        return compiled(push_domain(), route(topic="a", **spec), *documents)

    assert errors(run(secret("s", keys=keys))) == []
    less = tuple(key for key in keys if key != missing)
    (problem,) = errors(run(secret("s", keys=less)))
    assert (problem.field, repr(missing) in problem.message) == (path, True)
    absent = run()
    assert errors(absent) == []
    assert path in fields(warnings(absent, secrets=True))
    elsewhere = run(secret("s", "other", keys=()))
    assert errors(elsewhere) == []


@pytest.mark.parametrize(
    ("keys", "good"),
    [
        (("username", "password"), True),
        (("users",), True),
        (("username", "password", "users"), True),
        (("username",), False),
        (("username", "users"), False),
        ((), False),
    ],
)
def test_keys_of_the_secret_with_users(keys: tuple[str, ...], *, good: bool) -> None:
    domain = push_domain(
        listener={"auth": {"secretName": "u"}, "startTls": {"mode": "Optional", "secretName": "t"}}
    )
    found = errors(compiled(domain, route(), secret("u", keys=keys)))
    assert (found == []) == good
    assert {problem.field for problem in found} <= {"spec.listener.auth.secretName"}


def test_keys_of_the_other_secrets_of_a_push_domain() -> None:
    domain = push_domain(
        listener={"startTls": {"mode": "Optional", "secretName": "s"}},
        passthru={"host": "relay", "tls": "Tls", "authSecretName": "s"},
    )
    found = errors(compiled(domain, route(), secret("s", keys=("tls.crt", "username"))))
    assert fields(found) == ["spec.listener.startTls.secretName", "spec.passthru.authSecretName"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"delivery": {"idleTimeout": "59s"}}, "spec.delivery.idleTimeout"),
        ({"delivery": {"mode": "Blackhole"}}, "spec.delivery.mode"),
        ({"delivery": {"responseTimeout": "30s"}}, "spec.delivery.responseTimeout"),
        (
            {"domains": [{"name": "a.example", "delivery": {"idleTimeout": "10s"}}]},
            "spec.domains[0].delivery.idleTimeout",
        ),
        ({"domains": [{"name": "a.example", "routes": ["apns"]}]}, "spec.routes"),
        ({"passthru": {"host": "relay", "authSecretName": "s"}}, "spec.passthru.tls"),
        ({"passthru": {"host": "relay", "ca": {"secretName": "s"}}}, "spec.passthru.ca"),
        (
            {"passthru": {"host": "relay", "tls": "Tls", "verify": False, "ca": {"secretName": "s"}}},
            "spec.passthru.ca",
        ),
        ({"listener": {"auth": {"secretName": "s", "requireTls": False}}}, "spec.listener.auth.requireTls"),
        ({"queue": {"disk": {}}}, "spec.queue"),
        ({"delivery": {"maxRetries": 3, "retryInterval": "1m"}}, "spec.delivery.retryInterval"),
        (
            {"domains": [{"name": "a.example", "delivery": {"messageExpiration": "1h"}}]},
            "spec.domains[0].delivery.messageExpiration",
        ),
        ({**QUEUED, "delivery": {"messageExpiration": "20m"}}, "spec.delivery.messageExpiration"),
        (
            {**QUEUED, "domains": [{"name": "a.example", "delivery": {"messageExpiration": "1m"}}]},
            "spec.domains[0].delivery.messageExpiration",
        ),
        (
            {**QUEUED, "queue": {"disk": {"maxSize": "1Gi", "claim": {"size": "1Gi"}}}},
            "spec.queue.disk.claim.size",
        ),
    ],
)
def test_what_is_unwise_for_a_push_domain(spec: dict[str, Any], field: str) -> None:
    result = compiled(push_domain(**spec), route())
    assert result.config is not None
    assert fields(warnings(result)) == [field]


@pytest.mark.parametrize(
    "spec",
    [
        {**QUEUED, "delivery": {"messageExpiration": "21m"}},
        {**QUEUED, "delivery": {"retryInterval": "5s", "messageExpiration": "1m"}},
        # APNs' verdict is not what the reply waits for.
        {**QUEUED, "delivery": {"responseTimeout": "40s"}},
        {"queue": {"disk": {}}, "acceptance": {"overflow": "Queue"}, "delivery": {"responseTimeout": "40s"}},
        {**QUEUED, "queue": {"disk": {"maxSize": "960Mi", "claim": {"size": "1Gi"}}}},
        # Defaults, as an API server fills them in.
        {"delivery": {"retryInterval": "20m", "maxRetries": "auto"}},
    ],
)
def test_what_is_wise_with_a_queue(spec: dict[str, Any]) -> None:
    result = compiled(push_domain(**spec), route())
    assert result.config is not None
    assert warnings(result) == []


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"endpoint": "apn://gateway.push.apple.com?port=2195"}, "spec.endpoint"),
        ({"tls": {"verify": False}}, "spec.tls.verify"),
        ({"token": TOKEN}, "spec.topic"),
    ],
)
def test_what_is_unwise_for_a_route(spec: dict[str, Any], field: str) -> None:
    result = compiled(push_domain(), route(**spec))
    assert result.config is not None
    assert fields(warnings(result)) == [field]


@pytest.mark.parametrize(
    ("delivery", "field"),
    [
        ({"idleTimeout": "30s"}, "idleTimeout"),
        ({"responseTimeout": "40s"}, "responseTimeout"),
        ({"mode": "Blackhole"}, "mode"),
    ],
)
def test_what_domains_inherit_is_told_once(delivery: dict[str, Any], field: str) -> None:
    domains = [{"name": f"{name}.example", "delivery": {"maxDeliveriesPerConnection": 5}} for name in "abc"]
    result = compiled(push_domain(domains=domains, delivery=delivery), route())
    assert fields(warnings(result)) == [f"spec.delivery.{field}"]
    domains[1]["delivery"] = delivery
    result = compiled(push_domain(domains=domains, delivery=delivery), route())
    assert fields(warnings(result)) == [f"spec.delivery.{field}", f"spec.domains[1].delivery.{field}"]


def test_routes_that_several_domains_name_are_judged_once() -> None:
    domains = [{"name": f"{name}.example", "routes": ["one", "other"]} for name in "abcd"]
    result = compiled(
        push_domain(domains=domains, routes=None),
        route("one", environment="Production"),
        route("other", environment="Sandbox"),
    )
    (problem,) = errors(result)
    assert problem.field == "spec.domains[0].routes"
    assert "different environments (Production, Sandbox)" in problem.message
    assert problem.message.endswith(" (also in domains[1].routes, domains[2].routes, domains[3].routes)")


def test_a_route_that_is_not_there_is_told_once_with_its_places() -> None:
    domains = [{"name": f"d{index}.example", "routes": ["apnz"]} for index in range(12)]
    result = compiled(push_domain(domains=domains, routes=None), route())
    (problem,) = errors(result)
    assert problem.field == "spec.domains[0].routes[0]"
    assert "there is no ApnRoute 'apnz'" in problem.message
    assert problem.message.endswith("domains[7].routes[0], domains[8].routes[0], ...)")


def test_the_legacy_endpoint_is_mapped() -> None:
    result = compiled(push_domain(), route(endpoint="apn://gateway.sandbox.push.apple.com?port=2195"))
    assert result.config
    compiled_route = result.config.routes["apns"]
    assert (compiled_route.host, compiled_route.port) == ("api.sandbox.push.apple.com", 443)
    assert compiled_route.environment == "Sandbox"
    assert "LegacyEndpoint" in warnings(result)[0].message


def test_a_ca_without_verify_is_not_used() -> None:
    result = compiled(push_domain(), route(tls={"verify": False, "ca": {"secretName": "ca"}}))
    assert fields(warnings(result)) == ["spec.tls.verify", "spec.tls.ca"]


def test_formats_with_json_are_not_used() -> None:
    result = compiled(
        push_domain(loggers=["log"]), route(), logger(format="Json", formats={"heartbeat": "%t"})
    )
    assert fields(warnings(result)) == ["spec.formats"]


def test_what_nothing_uses_is_told_unless_a_push_domain_does_not_read() -> None:
    spare = [route("spare"), logger()]
    assert [p.name for p in warnings(compiled(push_domain(), route(), *spare))] == ["spare", "log"]
    unreadable = compiled(push_domain(), push_domain("b", replicas=-1), route(), *spare)
    assert warnings(unreadable) == []


def test_loggers_of_one_push_domain_have_files_of_their_own() -> None:
    one = {"sink": {"type": "File", "file": {"path": "/v/a"}}}
    result = compiled(push_domain(loggers=["a", "b"]), route(), logger("a", **one), logger("b", **one))
    assert fields(errors(result)) == ["spec.loggers[1]"]
