"""From manifests to the `DispatcherConfig` of one PushDomain. Pure: no clock, no files, no cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tubepost_api import bounces, delivery, listener
from tubepost_api.acceptance import queue_config
from tubepost_api.apnlogger import ApnLogger, logger_config
from tubepost_api.apnroute import ApnRoute, route_config
from tubepost_api.checks import check
from tubepost_api.config import AcceptanceConfig, DispatcherConfig, EntryConfig, PolicyConfig, TracingConfig
from tubepost_api.convert import converted
from tubepost_api.policy import POLICY_KEY, policy_config
from tubepost_api.problems import Manifest, Problem
from tubepost_api.pushdomain import PushDomain, PushDomainSpec
from tubepost_api.read import Inventory, Loaded, read_manifests, suggestion
from tubepost_api.relay import relay_config
from tubepost_api.rest import rest_config

__all__ = [
    "CompileResult",
    "Manifest",
    "Problem",
    "compile_manifests",
    "logger_config",
    "push_domain_names",
    "route_config",
]


@dataclass(frozen=True, slots=True)
class CompileResult:
    """The compiled manifests. `config` is None if, and only if, one of the problems is an error."""

    config: DispatcherConfig | None
    problems: tuple[Problem, ...]


def compile_manifests(manifests: Sequence[Manifest], *, push_domain: str | None = None) -> CompileResult:
    """Check manifests and compile those of one PushDomain.

    `push_domain` is `NAME` or `NAMESPACE/NAME`; it is needed only where the manifests hold several. All
    objects of our group are checked, also those that the chosen PushDomain does not use. Secrets are never
    read: only whether a Secret that is among the manifests has the keys that are named. A ConfigMap with
    hooks has to be among them: its text becomes a part of the document.
    """
    inventory = read_manifests(manifests)
    problems = [*inventory.problems, *check(inventory)]
    chosen = _choose(inventory, push_domain, problems)
    if chosen is None or any(problem.severity == "error" for problem in problems):
        return CompileResult(None, tuple(problems))
    return CompileResult(_compile(chosen, inventory), tuple(problems))


def push_domain_names(manifests: Sequence[Manifest]) -> list[str]:
    """What `push_domain` may be for these manifests: each name, with its namespace where two share it."""
    declared = [(ns, n) for kind, ns, n in read_manifests(manifests).declared if kind == "PushDomain"]
    names = [name for _, name in declared]
    return [name if names.count(name) == 1 else f"{namespace}/{name}" for namespace, name in declared]


def _choose(inventory: Inventory, wanted: str | None, problems: list[Problem]) -> PushDomain | None:
    """The PushDomain to compile; without one there is an error among the problems."""
    declared = [(ns, n) for kind, ns, n in inventory.declared if kind == "PushDomain"]
    full = [f"{ns}/{n}" for ns, n in declared]

    def refuse(message: str, remedy: str) -> None:
        problems.append(Problem("error", "manifests", "", "", "", "", message, remedy))

    matching = declared
    if wanted is not None:
        matching = [(ns, n) for ns, n in declared if wanted in {n, f"{ns}/{n}"}]
        if declared and not matching:
            near = suggestion(wanted, [n for _, n in declared] if "/" not in wanted else full)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(full)}"
            refuse(f"there is no PushDomain {wanted}", hint)
            return None
    if not matching:
        if not any(problem.kind == "PushDomain" for problem in problems):
            refuse("there is no PushDomain among the manifests", "add one: it says which domains are served")
        return None
    if len(matching) > 1:
        names = " and ".join(f"{ns}/{n}" for ns, n in matching)
        namespace, name = matching[0]
        option = name if len({n for _, n in matching}) == len(matching) else f"{namespace}/{name}"
        refuse(
            f"there are {len(matching)} PushDomains, and a dispatcher serves one: {names}",
            f"choose one, for example with --push-domain {option}",
        )
        return None
    loaded = inventory.objects.get(("PushDomain", *matching[0]))
    return loaded.resource if loaded is not None and isinstance(loaded.resource, PushDomain) else None


def _compile(domain: PushDomain, inventory: Inventory) -> DispatcherConfig:
    spec, name, namespace = domain.spec, domain.metadata.name, domain.metadata.namespace
    entries = [
        EntryConfig(
            name=entry.name,
            pattern=entry.pattern,
            routes=entry.routes or spec.routes or (),
            delivery=delivery.to_config(delivery.merged(spec.delivery, entry.delivery)),
            bounces=bounces.bounce_config(bounces.merged(spec.bounces, entry.bounces)),
        )
        for entry in sorted(spec.domains, key=lambda entry: entry.name is None)
    ]
    in_use = dict.fromkeys(route for entry in entries for route in entry.routes)
    return DispatcherConfig(
        name=name,
        namespace=namespace,
        generation=domain.metadata.generation,
        listener=listener.to_config(spec.listener, hostname=f"{name}.{namespace}.svc"),
        acceptance=converted(spec.acceptance, AcceptanceConfig),
        entries=tuple(entries),
        routes={route: route_config(_route(inventory, namespace, route)) for route in in_use},
        loggers=tuple(logger_config(_logger(inventory, namespace, logger)) for logger in spec.loggers),
        passthru=relay_config(spec.passthru) if spec.passthru else None,
        log_level=spec.log_level,
        workers=spec.workers,
        queue=queue_config(spec.queue, namespace, name) if spec.queue else None,
        bounces=bounces.bounces_config(spec.bounces),
        policy=_policy(spec, namespace, inventory),
        context_addresses=spec.context.addresses,
        rest=rest_config(spec.rest) if spec.rest else None,
        message_log=spec.message_log,
        tracing=converted(spec.tracing, TracingConfig) if spec.tracing else None,
    )


def _policy(spec: PushDomainSpec, namespace: str, inventory: Inventory) -> PolicyConfig | None:
    if spec.policy is None:
        return None
    return policy_config(
        spec.policy, inventory.config_maps[namespace, spec.policy.config_map_name][POLICY_KEY]
    )


def _found(inventory: Inventory, kind: str, namespace: str, name: str) -> Loaded:
    return inventory.objects[kind, namespace, name]


def _route(inventory: Inventory, namespace: str, name: str) -> ApnRoute:
    resource = _found(inventory, "ApnRoute", namespace, name).resource
    assert isinstance(resource, ApnRoute)
    return resource


def _logger(inventory: Inventory, namespace: str, name: str) -> ApnLogger:
    resource = _found(inventory, "ApnLogger", namespace, name).resource
    assert isinstance(resource, ApnLogger)
    return resource
