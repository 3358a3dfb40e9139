from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.operator.objects import logger, push_domain, route, secret
from tubepost_api.conditions import Reason
from tubepost_operator.observed import Document, Secret
from tubepost_operator.plan.candidate import Candidate, compile_candidate, invalid_route, logger_findings

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def compiled(
    document: Document | None = None,
    routes: tuple[Document, ...] = (route(),),
    loggers: tuple[Document, ...] = (),
    secrets: tuple[Secret, ...] = (),
) -> Candidate:
    return compile_candidate(
        document or push_domain(),
        {item["metadata"]["name"]: item for item in routes},
        {item["metadata"]["name"]: item for item in loggers},
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
    assert logger_findings(logger()) == ()
    assert reasons(logger_findings(logger(format=7))) == [Reason.INVALID_SPEC]
