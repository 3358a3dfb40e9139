"""Who refers to whom. Reads documents leniently: a broken object still has references to watch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tubepost_api.references import SECRET_FIELDS


@dataclass(frozen=True, slots=True)
class References:
    """Names that an object refers to, all in its own namespace."""

    routes: frozenset[str] = frozenset()
    loggers: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    config_maps: frozenset[str] = frozenset()


def references(document: Mapping[str, Any]) -> References:
    """What an object of ours refers to by itself."""
    spec = _mapping(document.get("spec"))
    secrets = frozenset(
        secret
        for field in SECRET_FIELDS.values()
        if field.kind == document.get("kind") and (secret := _text(document, field.path))
    )
    if document.get("kind") != "PushDomain":
        return References(secrets=secrets)
    return References(
        frozenset(route for _, route in route_fields(spec)),
        frozenset(logger for _, logger in logger_fields(spec)),
        secrets,
        frozenset(name for name in (_text(document, "spec.policy.configMapName"),) if name),
    )


def route_fields(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every place of a PushDomain's spec that names an ApnRoute: field and name."""
    for index, route in enumerate(_list(spec.get("routes"))):
        yield f"spec.routes[{index}]", route
    domains = spec.get("domains")
    for place, domain in enumerate(domains if isinstance(domains, list) else []):
        for index, route in enumerate(_list(_mapping(domain).get("routes"))):
            yield f"spec.domains[{place}].routes[{index}]", route


def logger_fields(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every place of a PushDomain's spec that names an ApnLogger: field and name."""
    for index, logger in enumerate(_list(spec.get("loggers"))):
        yield f"spec.loggers[{index}]", logger


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _text(document: Mapping[str, Any], path: str) -> str:
    """The text at a path such as `spec.tls.ca.secretName`, empty where there is none."""
    value: object = document
    for step in path.split("."):
        value = _mapping(value).get(step)
    return value if isinstance(value, str) else ""
