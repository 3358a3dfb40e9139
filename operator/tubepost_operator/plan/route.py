"""The plan of an ApnRoute."""

from __future__ import annotations

from tubepost_api.apnroute import ApnRoute
from tubepost_api.compile import route_config
from tubepost_api.conditions import ConditionType, Reason
from tubepost_api.endpoint import parse_endpoint
from tubepost_operator.actions import Plan
from tubepost_operator.conditions import (
    PlannedCondition,
    good,
    stamp,
)
from tubepost_operator.credentials import CredentialFacts, route_facts
from tubepost_operator.observed import Document
from tubepost_operator.plan.candidate import invalid_route
from tubepost_operator.plan.delivering import route_delivering
from tubepost_operator.plan.status_only import of_credentials, plan_status, unreadable
from tubepost_operator.snapshot import ReferencedSnapshot
from tubepost_runtime.addresses import with_port


def plan_route(snapshot: ReferencedSnapshot) -> Plan:
    """Decide the status and the events of an ApnRoute."""
    route, findings = invalid_route(snapshot.document)
    facts = None
    if route is None:
        conditions = unreadable(findings)
    else:
        facts = route_facts(route_config(route), snapshot.secrets, snapshot.now)
        conditions = [_accepted(route), *of_credentials(facts.findings)]
    turns = (facts.not_before, facts.not_after) if facts is not None else ()
    return plan_status(
        snapshot,
        conditions,
        _route_status(route, facts),
        turns=[turn for turn in turns if turn is not None],
        after=[route_delivering(snapshot.name, snapshot.users, snapshot.lives)],
    )


def _accepted(route: ApnRoute) -> PlannedCondition:
    endpoint = route.spec.endpoint
    if endpoint is not None and parse_endpoint(endpoint).legacy:
        used = parse_endpoint(endpoint)
        return good(
            ConditionType.ACCEPTED,
            Reason.LEGACY_ENDPOINT,
            f"spec.endpoint {endpoint} belongs to the binary protocol, which ended on 2021-03-31; "
            f"{used.host} is used instead. Remedy: replace it by environment: {used.environment}.",
        )
    return good(ConditionType.ACCEPTED, Reason.VALID)


def _route_status(route: ApnRoute | None, facts: CredentialFacts | None) -> Document:
    if route is None or facts is None:
        return {}
    config = route_config(route)
    return {
        "credential": facts.kind,
        "environment": config.environment,
        "address": with_port(config.host, config.port),
        "topics": list(facts.topics),
        "notAfter": stamp(facts.not_after) if facts.not_after else None,
    }
