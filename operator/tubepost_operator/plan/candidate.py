"""The candidate: what a PushDomain's objects compile to now, and all that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tubepost_api.apnlogger import ApnLogger
from tubepost_api.apnroute import ApnRoute
from tubepost_api.compile import compile_manifests, logger_config, route_config
from tubepost_api.conditions import Reason
from tubepost_api.config import DispatcherConfig
from tubepost_api.problems import Manifest, Problem, ProblemCode
from tubepost_api.pushdomain import PushDomain, PushDomainSpec
from tubepost_api.read import read_manifests, suggestion
from tubepost_operator.credentials import (
    CredentialFacts,
    Finding,
    Secrets,
    logger_findings,
    own_findings,
    route_facts,
)
from tubepost_operator.observed import ConfigMap, Document
from tubepost_operator.references import logger_fields, references, route_fields

_OF_HOOKS: Final[Mapping[ProblemCode, Reason]] = {
    ProblemCode.CONFIG_MAP_NOT_FOUND: Reason.CONFIG_MAP_NOT_FOUND,
    ProblemCode.CONFIG_MAP_KEY_MISSING: Reason.KEY_MISSING,
    ProblemCode.POLICY_INVALID: Reason.POLICY_INVALID,
}
_STRIPPED = ("managedFields", "annotations", "ownerReferences", "finalizers")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the objects compile to now.

    `spec` None: the PushDomain cannot be read. `config` None: something stands in the way of compiling it.
    Findings are by the condition that they belong to. `validity_changes` are the times at which a certificate
    begins or ends.
    """

    spec: PushDomainSpec | None
    config: DispatcherConfig | None
    of_spec: tuple[Finding, ...] = ()
    of_references: tuple[Finding, ...] = ()
    of_credentials: tuple[Finding, ...] = ()
    routes: Mapping[str, CredentialFacts] = field(default_factory=dict)
    validity_changes: tuple[datetime, ...] = ()

    def blocking(self, served: frozenset[str]) -> bool:
        """Whether this configuration must not be published while another one serves.

        `served` are the Secrets of the one that serves. A credential that is merely out of its time or of
        the other environment does not hold back other changes where it is in use already: publishing would
        make nothing worse.
        """
        if self.config is None or self.of_spec or self.of_references:
            return True
        return any(not finding.serves or finding.secret not in served for finding in self.of_credentials)


def read_spec(document: Document) -> tuple[Any, list[Problem]]:
    """An object of ours as a model, None with the problems where it cannot be read."""
    inventory = read_manifests([_manifest(document)])
    loaded = next(iter(inventory.objects.values()), None)
    return (loaded.resource if loaded else None), inventory.problems


def compile_candidate(
    document: Document,
    routes: Mapping[str, Document],
    loggers: Mapping[str, Document],
    config_maps: Mapping[str, ConfigMap],
    secrets: Secrets,
    now: datetime,
) -> Candidate:
    """Compile a PushDomain with the routes, loggers and hooks that exist, and check the credentials."""
    resource, problems = read_spec(document)
    if not isinstance(resource, PushDomain):
        return Candidate(None, None, tuple(_finding(problem, Reason.INVALID_SPEC) for problem in problems))
    named = references(document)
    absent = list(_absent(document, routes, loggers))
    used = [
        *(routes[name] for name in sorted(named.routes) if name in routes),
        *(loggers[name] for name in sorted(named.loggers) if name in loggers),
    ]
    namespace = document["metadata"]["namespace"]
    hooks = [_config_map(item, namespace) for item in config_maps.values()]
    result = compile_manifests([*(_manifest(item) for item in (document, *used)), *hooks])
    missing_fields = {place for place, _ in absent}
    of_spec: list[Finding] = []
    of_references = [finding for _, finding in absent]
    for problem in result.problems:
        if problem.severity != "error" or problem.field in missing_fields:
            continue
        if problem.kind == "ApnRoute":
            of_references.append(_finding(problem, Reason.ROUTE_INVALID))
        elif problem.kind == "ApnLogger":
            of_references.append(_finding(problem, Reason.LOGGER_INVALID))
        elif problem.code in _OF_HOOKS:
            of_references.append(_finding(problem, _OF_HOOKS[problem.code]))
        elif problem.kind == "PushDomain":
            of_spec.append(_finding(problem, Reason.INVALID_SPEC))
    facts: dict[str, CredentialFacts] = {}
    for name in sorted(named.routes):
        route = read_spec(routes[name])[0] if name in routes else None
        if isinstance(route, ApnRoute):
            facts[name] = route_facts(route_config(route), secrets, now)
    found = [finding for fact in facts.values() for finding in fact.findings]
    for name in sorted(named.loggers):
        logger = read_spec(loggers[name])[0] if name in loggers else None
        if isinstance(logger, ApnLogger):
            found += logger_findings(logger_config(logger), secrets, now)
    turns = [
        moment
        for fact in facts.values()
        for moment in (fact.not_before, fact.not_after)
        if moment is not None
    ]
    if result.config is not None:
        own, ends = own_findings(result.config, secrets, now)
        found += own
        turns += ends
    return Candidate(
        resource.spec,
        result.config,
        tuple(of_spec),
        (*of_references, *(finding for finding in found if finding.of_reference)),
        tuple(finding for finding in found if not finding.of_reference),
        facts,
        tuple(turns),
    )


def invalid_logger(document: Document) -> tuple[ApnLogger | None, tuple[Finding, ...]]:
    """An ApnLogger as a model, or what is wrong with it by itself."""
    resource, problems = read_spec(document)
    if isinstance(resource, ApnLogger):
        return resource, ()
    return None, tuple(_finding(problem, Reason.INVALID_SPEC) for problem in problems)


def invalid_route(document: Document) -> tuple[ApnRoute | None, tuple[Finding, ...]]:
    """An ApnRoute as a model, or what is wrong with it by itself."""
    resource, problems = read_spec(document)
    if isinstance(resource, ApnRoute):
        return resource, ()
    return None, tuple(_finding(problem, Reason.INVALID_SPEC) for problem in problems)


def _manifest(document: Document) -> Manifest:
    metadata = {key: value for key, value in document["metadata"].items() if key not in _STRIPPED}
    # A status is the operator's own; an older one must not make the object unreadable.
    slim = {key: value for key, value in document.items() if key != "status"} | {"metadata": metadata}
    return Manifest(str(document.get("kind")), 0, slim)


def _config_map(texts: ConfigMap, namespace: str) -> Manifest:
    metadata = {"name": texts.name, "namespace": namespace}
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(texts.data)}
    return Manifest("ConfigMap", 0, document)


def _absent(
    document: Document, routes: Mapping[str, Document], loggers: Mapping[str, Document]
) -> Iterator[tuple[str, Finding]]:
    namespace = document["metadata"]["namespace"]
    owner = f"PushDomain {document['metadata']['name']}"
    for fields, there, kind, reason in (
        (route_fields(document["spec"]), routes, "ApnRoute", Reason.ROUTE_NOT_FOUND),
        (logger_fields(document["spec"]), loggers, "ApnLogger", Reason.LOGGER_NOT_FOUND),
    ):
        for place, name in fields:
            if name in there:
                continue
            meant = suggestion(name, there)
            remedy = f"create {kind} {name!r} in namespace {namespace}, or correct {place}"
            if meant is not None:
                remedy += f" (there is {meant!r})"
            message = f"{owner}: {kind} {name!r} ({place}) does not exist in namespace {namespace}"
            yield place, Finding(reason, message, remedy)


def _finding(problem: Problem, reason: Reason) -> Finding:
    where = f"{problem.kind} {problem.name}"
    if problem.field:
        where += f", {problem.field}"
    return Finding(reason, f"{where}: {problem.message}", problem.remedy)
