"""A suspension as a PushDomain carries it: who, why, until when, and what was before. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tubepost_api.config import DeliveryMode
from tubepost_api.resource import GROUP

ANNOTATION: Final = f"{GROUP}/suspended"
"""On a PushDomain: JSON, as `Suspension.text` writes it."""
_POINTER: Final = ANNOTATION.replace("~", "~0").replace("/", "~1")
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Suspension:
    """Who suspended delivery, and what `resume` puts back.

    Attributes:
        by, reason: in words.
        since, until: RFC 3339 in UTC; until: empty where no end was named.
        mode: `delivery.mode` before; empty where there was none.
        domains: that of domains with one of their own, by their index.
    """

    by: str
    reason: str
    since: str
    until: str
    mode: str
    domains: Mapping[str, str]

    def text(self) -> str:
        """The annotation's value."""
        return json.dumps(
            {
                "by": self.by,
                "reason": self.reason,
                "since": self.since,
                "until": self.until,
                "before": {"mode": self.mode, "domains": self.domains},
            },
            sort_keys=True,
        )


def read(push_domain: Document) -> Suspension | None:
    """The suspension that the annotation tells of; None: there is none, or nobody can read it."""
    text = (push_domain["metadata"].get("annotations") or {}).get(ANNOTATION)
    try:
        found = json.loads(text) if text else None
        if not isinstance(found, dict):
            return None
        before = found.get("before", {})
        words = [str(found.get(key, "")) for key in ("by", "reason", "since", "until")]
        modes = {str(key): str(mode) for key, mode in before.get("domains", {}).items()}
        return Suspension(words[0], words[1], words[2], words[3], str(before.get("mode", "")), modes)
    except (ValueError, AttributeError):
        return None


def mode_of(push_domain: Document) -> str:
    """Its own `delivery.mode`, for domains without one of theirs."""
    return str(push_domain["spec"].get("delivery", {}).get("mode") or DeliveryMode.DELIVER)


def own_modes(push_domain: Document) -> dict[str, str]:
    """Modes of domains with one of their own, by their index."""
    return {
        str(index): str(domain["delivery"]["mode"])
        for index, domain in enumerate(push_domain["spec"]["domains"])
        if (domain.get("delivery") or {}).get("mode")
    }


def suspending(push_domain: Document, suspension: Suspension) -> list[dict[str, Any]]:
    """The JSON patch that suspends it; refused by the API server when the object has changed meanwhile.

    Args:
        push_domain: as it is.
        suspension: with what was before; of one that is suspended already, its old one's.
    """
    annotated = "annotations" in push_domain["metadata"]
    return [
        _unchanged(push_domain),
        *([] if annotated else [_operation("add", "/metadata/annotations", {})]),
        _operation("add", f"/metadata/annotations/{_POINTER}", suspension.text()),
        *([] if "delivery" in push_domain["spec"] else [_operation("add", "/spec/delivery", {})]),
        _operation("add", "/spec/delivery/mode", DeliveryMode.SUSPEND.value),
        *(
            _operation("replace", f"/spec/domains/{index}/delivery/mode", DeliveryMode.SUSPEND.value)
            for index in own_modes(push_domain)
        ),
    ]


def resuming(push_domain: Document) -> list[dict[str, Any]]:
    """The JSON patch that puts back what was before; without a suspension's annotation it is `Deliver`.

    A domain whose mode somebody has set since keeps that one.
    """
    suspension = read(push_domain)
    spec = push_domain["spec"]
    operations = [_unchanged(push_domain)]
    if ANNOTATION in (push_domain["metadata"].get("annotations") or {}):
        operations.append(_operation("remove", f"/metadata/annotations/{_POINTER}"))
    if mode_of(push_domain) == DeliveryMode.SUSPEND:
        mode = suspension.mode if suspension and suspension.mode else DeliveryMode.DELIVER.value
        operations.append(_operation("replace", "/spec/delivery/mode", mode))
    before = suspension.domains if suspension else {}
    operations += [
        _operation("replace", f"/spec/domains/{index}/delivery/mode", mode)
        for index, mode in before.items()
        if own_modes(push_domain).get(index) == DeliveryMode.SUSPEND and int(index) < len(spec["domains"])
    ]
    return operations


def _unchanged(push_domain: Document) -> dict[str, Any]:
    return _operation("test", "/metadata/resourceVersion", push_domain["metadata"]["resourceVersion"])


def _operation(op: str, path: str, *value: object) -> dict[str, Any]:
    return {"op": op, "path": path, **({"value": value[0]} if value else {})}


def words_of(suspension: Suspension, now: str) -> Sequence[str]:
    """For people: who, why, since when, until when; `now` as a time of the API server."""
    until = "until somebody resumes it"
    if suspension.until:
        until = f"until {suspension.until}"
        if suspension.until < now:
            until += ", which has passed: `kubectl tubepost resume` ends it"
    return (f"by {suspension.by or 'somebody'} since {suspension.since}, {until}", suspension.reason)
