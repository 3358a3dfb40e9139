from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.operator.objects import logger, push_domain, route, secret
from tubepost_api.conditions import Reason
from tubepost_operator.observed import ConfigMap, Document, Secret
from tubepost_operator.plan.candidate import Candidate, compile_candidate, invalid_logger, invalid_route

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def compiled(
    document: Document | None = None,
    routes: tuple[Document, ...] = (route(),),
    loggers: tuple[Document, ...] = (),
    secrets: tuple[Secret, ...] = (),
    config_maps: tuple[ConfigMap, ...] = (),
) -> Candidate:
    return compile_candidate(
        document or push_domain(),
        {item["metadata"]["name"]: item for item in routes},
        {item["metadata"]["name"]: item for item in loggers},
        {item.name: item for item in config_maps},
        {item.name: item for item in secrets},
        NOW,
    )


def reasons(findings: tuple[Any, ...]) -> list[Reason]:
    return [finding.reason for finding in findings]


def test_valid_objects_compile() -> None:
    candidate = compiled(secrets=(secret(),))
    assert candidate.config is not None
    assert not candidate.blocking(frozenset())
    assert [moment > NOW for moment in candidate.validity_changes] == [False, True]
    assert candidate.routes["apns"].topics == ("com.example.app",)


def test_a_spec_that_cannot_be_read_has_no_configuration() -> None:
    candidate = compiled(push_domain(replicas="many"))
    assert (candidate.spec, candidate.config) == (None, None)
    assert reasons(candidate.of_spec) == [Reason.INVALID_SPEC]
    assert candidate.blocking(frozenset())


def test_what_is_named_and_does_not_exist_is_a_finding_with_what_may_be_meant() -> None:
    candidate = compiled(
        push_domain(routes=["apnss"], loggers=["lag"]), loggers=(logger(),), secrets=(secret(),)
    )
    assert reasons(candidate.of_references) == [Reason.ROUTE_NOT_FOUND, Reason.LOGGER_NOT_FOUND]
    assert "'apns'" in candidate.of_references[0].text
    assert candidate.blocking(frozenset())


def test_faults_of_routes_and_loggers_are_those_of_references() -> None:
    candidate = compiled(push_domain(loggers=["log"]), (route(topic=7),), (logger(format=7),), (secret(),))
    assert set(reasons(candidate.of_references)) >= {Reason.ROUTE_INVALID, Reason.LOGGER_INVALID}


def test_an_expired_certificate_blocks_where_it_is_not_in_use_already() -> None:
    candidate = compiled(secrets=(secret(days=10),))
    assert reasons(candidate.of_credentials) == [Reason.EXPIRED]
    assert candidate.blocking(frozenset())
    assert not candidate.blocking(frozenset({"cert"}))


def test_objects_by_themselves() -> None:
    assert invalid_route(route())[1] == ()
    assert invalid_route(route(topic=7))[0] is None
    assert invalid_logger(logger())[1] == ()
    assert invalid_logger(logger(format=7))[0] is None
    assert reasons(invalid_logger(logger(format=7))[1]) == [Reason.INVALID_SPEC]


HOOKS = {"configMapName": "hooks"}


@pytest.mark.parametrize(
    ("config_maps", "reason", "words"),
    [
        ((), Reason.CONFIG_MAP_NOT_FOUND, "there is no ConfigMap 'hooks' in namespace default"),
        ((ConfigMap("hooks", "1", {"other": ""}),), Reason.KEY_MISSING, "has no key 'policy.py'"),
        ((ConfigMap("hooks", "1", {"policy.py": "def"}),), Reason.POLICY_INVALID, "is not Python (line 1)"),
        ((ConfigMap("hooks", "1", {"policy.py": "#" * 300_000}),), Reason.POLICY_INVALID, "has 300000 bytes"),
    ],
)
def test_what_is_wrong_with_hooks_is_a_reference_and_holds_back(
    config_maps: tuple[ConfigMap, ...], reason: Reason, words: str
) -> None:
    candidate = compiled(push_domain(policy=HOOKS), secrets=(secret(),), config_maps=config_maps)
    assert reasons(candidate.of_references) == [reason]
    assert words in candidate.of_references[0].text
    assert candidate.of_spec == ()
    assert candidate.blocking(frozenset({"cert"}))


def test_hooks_are_a_part_of_the_configuration() -> None:
    source = "def apn_status_classifier(status): ...\n"
    found = ConfigMap("hooks", "1", {"policy.py": source})
    candidate = compiled(push_domain(policy=HOOKS), secrets=(secret(),), config_maps=(found,))
    assert candidate.config is not None
    assert candidate.config.policy is not None
    assert candidate.config.policy.source == source
    assert not candidate.blocking(frozenset())


WEBHOOK = {
    "sink": {
        "type": "Webhook",
        "webhook": {"url": "https://events.example", "signature": {"secretName": "events", "key": "hmac"}},
    }
}


@pytest.mark.parametrize(
    ("value", "of_references", "of_credentials"),
    [
        (None, [Reason.SECRET_NOT_FOUND], []),
        ({}, [Reason.KEY_MISSING], []),
        ({"hmac": b"short"}, [], [Reason.MALFORMED]),
        ({"hmac": b"0123456789abcdef"}, [], []),
    ],
)
def test_secrets_of_loggers_are_those_of_the_push_domain(
    value: dict[str, bytes] | None, of_references: list[Reason], of_credentials: list[Reason]
) -> None:
    secrets = (secret(), *(() if value is None else (Secret("events", "1", value),)))
    candidate = compiled(push_domain(loggers=["log"]), loggers=(logger(**WEBHOOK),), secrets=secrets)
    assert reasons(candidate.of_references) == of_references
    assert reasons(candidate.of_credentials) == of_credentials
    assert candidate.config is not None
    assert candidate.config.secret_names() == {"cert", "events"}
