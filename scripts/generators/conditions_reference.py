"""Writes docs/reference/conditions.md: conditions, events, metrics and permissions of the operator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tubepost_api.conditions import ConditionType
from tubepost_operator.conditions import REASONS, EventReason
from tubepost_operator.metrics import CATALOG
from tubepost_operator.rbac import PERMISSIONS
from tubepost_operator.webhook.permissions import PERMISSIONS as WEBHOOK_PERMISSIONS

PATH = "docs/reference/conditions.md"

_HEAD = """\
# Conditions, and what else the operator shows

<!-- Generated from operator/tubepost_operator by `make generate`; do not edit. -->

A PushDomain has all conditions; an ApnLogger has Accepted, ReferencesResolved, CredentialsValid and Ready; an
ApnRoute has these and Delivering. Each carries `observedGeneration`, and its transition time moves with its
status alone. The message names object, field or key, and the remedy.

    kubectl wait --for=condition=Ready pushdomain/NAME
    kubectl get pushdomains -A

"""

_EVENTS = """\
## Events

A condition that turns False has a Warning event with its reason and message, Ready a Normal one when it turns
True. Nothing is repeated while nothing changes. Besides there are:

"""


def outputs() -> dict[str, str]:
    """The page."""
    parts = [_HEAD, *(f"{_condition(kind)}\n" for kind in ConditionType), _EVENTS]
    parts.append(_table(["event", "meaning"], ([_code(word), word.meaning] for word in EventReason)))
    parts.append("\n## Metrics of the operator\n\n")
    parts.append(
        _table(
            ["metric", "type", "labels", "meaning"],
            (
                [
                    _code(spec.name + ("_total" if spec.kind == "counter" else "")),
                    spec.kind,
                    ", ".join(_code(label) for label in spec.labels),
                    spec.help,
                ]
                for spec in CATALOG
            ),
        )
    )
    parts.append("\n## Permissions of the operator\n\n")
    parts.append(
        "Those of scope *own* are needed in the own namespace of the operator, *cluster* for an object\n"
        "without one, others where it watches: in the whole cluster, or in the namespaces that it is told.\n"
        "Dispatchers have none, and no token.\n\n"
    )
    parts.append(
        _table(
            ["group", "resources", "verbs", "scope", "what for"],
            _permissions(),
        )
    )
    return {PATH: "".join(parts)}


def _condition(kind: ConditionType) -> str:
    rows = (
        [status, _code(reason), reason.meaning]
        for status, reasons in REASONS[kind].items()
        for reason in reasons
    )
    return f"## {kind}\n\n{kind.meaning}\n\n" + _table(["status", "reason", "meaning"], rows)


_ONLY = "; with the webhook only"


def _permissions() -> Iterator[list[str]]:
    for item in PERMISSIONS:
        resources = ", ".join(_code(resource) for resource in item.resources)
        reason = item.reason + (_ONLY if item.feature == "webhook" else "")
        yield [_group(item.group), resources, ", ".join(item.verbs), item.scope, reason]
    for named in WEBHOOK_PERMISSIONS:
        resource = f"{_code(named.resource)}, one by name"
        reason = named.reason + _ONLY
        yield [_group(named.group), resource, ", ".join(named.verbs), named.scope, reason]


def _group(name: str) -> str:
    return _code(name) if name else "core"


def _table(head: Sequence[str], rows: Iterator[list[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`"
