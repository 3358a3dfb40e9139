"""Checks that need several objects: references, Secrets, failover; and warnings of what is unwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from tubepost_api import listener, unwise
from tubepost_api.apnlogger import ApnLogger, logger_config
from tubepost_api.apnroute import ApnRoute, route_config
from tubepost_api.bounces import bounces_config
from tubepost_api.endpoint import HOSTS, Endpoint, parse_endpoint
from tubepost_api.jetstream import jet_stream_config
from tubepost_api.policy import POLICY_KEY, source_fault
from tubepost_api.problems import Problem, ProblemCode
from tubepost_api.pushdomain import PushDomain
from tubepost_api.read import Inventory, Loaded, suggestion
from tubepost_api.references import SecretReference
from tubepost_api.relay import relay_config
from tubepost_api.rest import rest_config
from tubepost_api.unwise import also

_OWN = "an endpoint of your own"


def check(inventory: Inventory) -> Iterator[Problem]:
    """All problems between objects, each of which is valid on its own."""
    used: set[tuple[str, str, str]] = set()
    for loaded in inventory.of_kind("PushDomain"):
        assert isinstance(loaded.resource, PushDomain)
        yield from _push_domain(loaded, loaded.resource, inventory, used)
    for loaded in inventory.of_kind("ApnRoute"):
        assert isinstance(loaded.resource, ApnRoute)
        yield from _route(loaded, loaded.resource, inventory)
    for loaded in inventory.of_kind("ApnLogger"):
        assert isinstance(loaded.resource, ApnLogger)
        yield from _logger(loaded, loaded.resource, inventory)
    # A PushDomain that could not be read may use them.
    readable = len(inventory.of_kind("PushDomain"))
    if readable and readable == sum(kind == "PushDomain" for kind, _, _ in inventory.declared):
        for key, loaded in inventory.objects.items():
            if key[0] != "PushDomain" and key not in used:
                place = "routes" if key[0] == "ApnRoute" else "loggers"
                yield loaded.problem(
                    "warning",
                    "",
                    "no PushDomain in this namespace uses it",
                    f"add it to the {place} of one, or remove it",
                )


def _push_domain(
    loaded: Loaded, domain: PushDomain, inventory: Inventory, used: set[tuple[str, str, str]]
) -> Iterator[Problem]:
    spec, namespace = domain.spec, domain.metadata.namespace
    named: list[tuple[str, str, str]] = []
    lists: list[tuple[str, tuple[str, ...]]] = []
    if spec.routes is not None:
        lists.append(("spec.routes", spec.routes))
        if all(entry.routes is not None for entry in spec.domains):
            yield loaded.problem(
                "warning",
                "spec.routes",
                "has no effect: every domain has routes of its own",
                "remove it, or the routes of the domains",
            )
    lists += [
        (f"spec.domains[{index}].routes", entry.routes)
        for index, entry in enumerate(spec.domains)
        if entry.routes is not None
    ]
    for path, routes in lists:
        named += [(f"{path}[{index}]", "ApnRoute", route) for index, route in enumerate(routes)]
    named += [(f"spec.loggers[{index}]", "ApnLogger", name) for index, name in enumerate(spec.loggers)]
    # One mistake is told once, with all of its places.
    places: dict[tuple[str, str, str], list[str]] = {}
    for path, kind, target in named:
        used.add((kind, namespace, target))
        places.setdefault((kind, namespace, target), []).append(path)
    for key, paths in places.items():
        if key not in inventory.declared:
            yield _not_found(loaded, paths, key[0], key[2], inventory)
    alike: dict[tuple[str, ...], list[str]] = {}
    for path, routes in lists:
        alike.setdefault(routes, []).append(path)
    for routes, paths in alike.items():
        yield from _failover(loaded, paths, routes, namespace, inventory)
    yield from _same_file(loaded, domain, inventory)
    name = domain.metadata.name
    references = [*listener.to_config(spec.listener, hostname=name).references(name)]
    if spec.passthru is not None:
        references += relay_config(spec.passthru).references(name, "RelayAccount", "RelayAuthorities")
    if (bounces := bounces_config(spec.bounces)) is not None:
        references += bounces.references(name)
    if spec.rest is not None:
        references += rest_config(spec.rest).references(name)
    if spec.queue is not None and spec.queue.jet_stream is not None:
        stream = jet_stream_config(spec.queue.jet_stream, namespace, name)
        references += stream.references(name)
    yield from _secrets(loaded, references, inventory)
    yield from _hooks(loaded, domain, inventory)
    yield from unwise.push_domain(loaded, domain)


def _not_found(loaded: Loaded, paths: list[str], kind: str, name: str, inventory: Inventory) -> Problem:
    namespace = loaded.resource.metadata.namespace
    there = inventory.names(kind, namespace)
    meant = suggestion(name, there)
    elsewhere = [ns for k, ns, n in inventory.declared if (k, n) == (kind, name)]
    if elsewhere:
        remedy = f"declare it in namespace {namespace}; the one in {elsewhere[0]} cannot be referred to"
    elif meant:
        remedy = f"did you mean {meant}?"
    else:
        remedy = (
            f"declare it, or name one of: {', '.join(there)}" if there else f"declare an {kind} of that name"
        )
    message = f"there is no {kind} {name!r} in namespace {namespace}{also(paths)}"
    return loaded.problem("error", paths[0], message, remedy)


def _failover(
    loaded: Loaded, paths: list[str], names: tuple[str, ...], namespace: str, inventory: Inventory
) -> Iterator[Problem]:
    found = [inventory.objects.get(("ApnRoute", namespace, name)) for name in names]
    routes = [item.resource for item in found if item and isinstance(item.resource, ApnRoute)]
    if len(routes) < 2 or len(routes) < len(names):
        return
    first, path, others = routes[0], paths[0], also(paths)
    for other in routes[1:]:
        pair = f"{first.metadata.name} and {other.metadata.name}"
        ours, theirs = _endpoint(first).environment, _endpoint(other).environment
        if ours != theirs:
            known = ours is not None and theirs is not None
            yield loaded.problem(
                "error" if known else "warning",
                path,
                f"{pair} use different environments ({ours or _OWN}, {theirs or _OWN}){others}",
                "list only routes of one environment: a device token is valid in one environment",
            )
        mine, its = first.spec.topic, other.spec.topic
        if mine is not None and its is not None and mine != its:
            yield loaded.problem(
                "error",
                path,
                f"{pair} have different topics ({mine}, {its}){others}",
                "list only routes of one topic: a device token belongs to one app",
            )
        elif mine != its or (mine is None and first.spec.certificate != other.spec.certificate):
            yield loaded.problem(
                "warning",
                path,
                f"the manifests do not show whether {pair} have the same topic{others}",
                "set spec.topic in both",
            )


def _endpoint(route: ApnRoute) -> Endpoint:
    if route.spec.endpoint is not None:
        return parse_endpoint(route.spec.endpoint)
    assert route.spec.environment is not None
    return Endpoint(HOSTS[route.spec.environment], 443, route.spec.environment)


def _same_file(loaded: Loaded, domain: PushDomain, inventory: Inventory) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for index, name in enumerate(domain.spec.loggers):
        found = inventory.objects.get(("ApnLogger", domain.metadata.namespace, name))
        if (
            found is None
            or not isinstance(found.resource, ApnLogger)
            or found.resource.spec.sink.file is None
        ):
            continue
        path = found.resource.spec.sink.file.path
        if path in seen:
            yield loaded.problem(
                "error",
                f"spec.loggers[{index}]",
                f"{seen[path]} and {name} write to the same file, {path}",
                "give each logger a file of its own: they rotate it independently",
            )
        seen.setdefault(path, name)


def _secrets(
    loaded: Loaded, references: Iterable[SecretReference], inventory: Inventory
) -> Iterator[Problem]:
    for reference in references:
        yield from _secret(loaded, reference, inventory)


def _secret(loaded: Loaded, reference: SecretReference, inventory: Inventory) -> Iterator[Problem]:
    namespace, name = loaded.resource.metadata.namespace, reference.secret
    present = inventory.secrets.get((namespace, name))
    if present is None:
        yield loaded.problem(
            "warning",
            reference.path,
            f"Secret {name!r} is not in the manifests",
            f"make sure that it exists in namespace {namespace}, with {reference.wanted}",
            absent_secret=name,
        )
        return
    for key in reference.missing(present):
        yield loaded.problem(
            "error",
            reference.path,
            f"Secret {name!r} has no key {key!r}",
            f"add the key to the Secret; it has {', '.join(sorted(present)) or 'none'}",
        )


def _hooks(loaded: Loaded, domain: PushDomain, inventory: Inventory) -> Iterator[Problem]:
    policy, namespace = domain.spec.policy, domain.metadata.namespace
    if policy is None:
        return
    name, field = policy.config_map_name, "spec.policy.configMapName"
    texts = inventory.config_maps.get((namespace, name))
    if texts is None:
        there = sorted(n for ns, n in inventory.config_maps if ns == namespace)
        meant = suggestion(name, there)
        yield loaded.problem(
            "error",
            field,
            f"there is no ConfigMap {name!r} in namespace {namespace}",
            f"did you mean {meant}?" if meant else f"create it, with the hooks under the key {POLICY_KEY}",
            code=ProblemCode.CONFIG_MAP_NOT_FOUND,
        )
        return
    source = texts.get(POLICY_KEY)
    if source is None:
        yield loaded.problem(
            "error",
            field,
            f"ConfigMap {name!r} has no key {POLICY_KEY!r}",
            f"add the key to the ConfigMap; it has {', '.join(sorted(texts)) or 'none'}",
            code=ProblemCode.CONFIG_MAP_KEY_MISSING,
        )
        return
    fault = source_fault(source)
    if fault is not None:
        message = f"ConfigMap {name!r}, key {POLICY_KEY!r}: {fault.text}"
        yield loaded.problem("error", field, message, fault.remedy, code=ProblemCode.POLICY_INVALID)


def _route(loaded: Loaded, route: ApnRoute, inventory: Inventory) -> Iterator[Problem]:
    spec = route.spec
    warning: Literal["warning"] = "warning"
    if spec.endpoint is not None and parse_endpoint(spec.endpoint).legacy:
        endpoint = parse_endpoint(spec.endpoint)
        yield loaded.problem(
            warning,
            "spec.endpoint",
            f"{spec.endpoint} belongs to the binary protocol that ended on 2021-03-31 (LegacyEndpoint); "
            f"{endpoint.host} is used",
            f"write environment: {endpoint.environment} in its place",
        )
    if not spec.tls.verify:
        yield loaded.problem(
            warning,
            "spec.tls.verify",
            "without verification, anybody on the network path can read notifications and forge others",
            "set verify: true; for a simulator, name its certificate authority in tls.ca",
        )
        if spec.tls.ca is not None:
            yield loaded.problem(warning, "spec.tls.ca", "has no effect without verify", "set verify: true")
    yield from _secrets(loaded, route_config(route).references(), inventory)
    if spec.token is not None and spec.topic is None:
        yield loaded.problem(
            warning,
            "spec.topic",
            "a provider token has no topic of its own: push parts without apns-topic will be refused",
            "set topic to the bundle id of the app",
        )


def _logger(loaded: Loaded, logger: ApnLogger, inventory: Inventory) -> Iterator[Problem]:
    yield from unwise.logger(loaded, logger)
    yield from _secrets(loaded, logger_config(logger).references(), inventory)
