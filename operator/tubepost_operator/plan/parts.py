"""The plans of ApnRoute and ApnLogger: they have no children, only a status."""

from __future__ import annotations

from tubepost_api.apnroute import ApnRoute
from tubepost_api.compile import route_config
from tubepost_api.conditions import ConditionType, Reason
from tubepost_api.endpoint import parse_endpoint
from tubepost_operator.conditions import (
    USABLE,
    Verdict,
    bad,
    events,
    first_fault,
    good,
    merged,
    of_findings,
    stamp,
    unknown,
)
from tubepost_operator.credentials import RouteFacts, route_facts
from tubepost_operator.model import Document, Plan
from tubepost_operator.plan.newest import invalid_route, logger_findings
from tubepost_operator.plan.snapshot import PartSnapshot

_MOST_USERS = 256


def plan_route(snapshot: PartSnapshot) -> Plan:
    """Decide what to say of an ApnRoute."""
    route, findings = invalid_route(snapshot.document)
    facts = None
    if route is None:
        text = "The spec cannot be read."
        verdicts = [
            of_findings(ConditionType.ACCEPTED, findings, Reason.VALID),
            unknown(ConditionType.REFERENCES_RESOLVED, Reason.INVALID_SPEC, text),
            unknown(ConditionType.CREDENTIALS_VALID, Reason.INVALID_SPEC, text),
        ]
    else:
        facts = route_facts(route_config(route), snapshot.secrets, snapshot.now)
        references = [finding for finding in facts.findings if finding.of_reference]
        credentials = [finding for finding in facts.findings if not finding.of_reference]
        verdicts = [
            _accepted(route),
            of_findings(ConditionType.REFERENCES_RESOLVED, references, Reason.RESOLVED),
            of_findings(ConditionType.CREDENTIALS_VALID, credentials, Reason.VALID, USABLE),
        ]
        if references and not credentials:
            verdicts[2] = unknown(
                ConditionType.CREDENTIALS_VALID,
                references[0].reason,
                "A reference does not lead to a credential; see ReferencesResolved.",
            )
    return _plan(snapshot, verdicts, _route_status(route, facts), facts)


def plan_logger(snapshot: PartSnapshot) -> Plan:
    """Decide what to say of an ApnLogger."""
    findings = logger_findings(snapshot.document)
    return _plan(snapshot, [of_findings(ConditionType.ACCEPTED, findings, Reason.VALID)], {}, None)


def _plan(snapshot: PartSnapshot, before: list[Verdict], facts: Document, route: RouteFacts | None) -> Plan:
    fault = first_fault(before)
    if fault is not None:
        ready = bad(ConditionType.READY, fault.reason, fault.message)
    elif not snapshot.users:
        ready = good(ConditionType.READY, Reason.NOT_USED)
    else:
        ready = good(ConditionType.READY, Reason.READY)
    verdicts = [*before, ready]
    old = snapshot.document.get("status") or {}
    generation = int(snapshot.document["metadata"].get("generation", 1))
    status: Document = {
        "observedGeneration": generation,
        "conditions": merged(old.get("conditions") or (), verdicts, generation, snapshot.now),
        **facts,
        "users": sorted(snapshot.users)[:_MOST_USERS],
    }
    status = {key: value for key, value in status.items() if value is not None and value != []}
    turns = [turn for turn in (route.not_before, route.not_after) if turn] if route else []
    ahead = [(turn - snapshot.now).total_seconds() + 1.0 for turn in turns]
    return Plan(
        status=status if status != old else None,
        events=events(old.get("conditions") or (), verdicts),
        again=min((seconds for seconds in ahead if seconds >= 1.0), default=None),
    )


def _accepted(route: ApnRoute) -> Verdict:
    endpoint = route.spec.endpoint
    if endpoint is not None and parse_endpoint(endpoint).legacy:
        used = parse_endpoint(endpoint)
        return good(
            ConditionType.ACCEPTED,
            Reason.LEGACY_ENDPOINT,
            f"spec.endpoint {endpoint} belongs to the binary protocol that ended on 2021-03-31; {used.host} "
            f"is used. Remedy: write environment: {used.environment} in its place.",
        )
    return good(ConditionType.ACCEPTED, Reason.VALID)


def _route_status(route: ApnRoute | None, facts: RouteFacts | None) -> Document:
    if route is None or facts is None:
        return {}
    config = route_config(route)
    host = f"[{config.host}]" if ":" in config.host else config.host
    return {
        "credential": facts.kind,
        "environment": config.environment,
        "address": f"{host}:{config.port}",
        "topics": list(facts.topics),
        "notAfter": stamp(facts.not_after) if facts.not_after else None,
    }
