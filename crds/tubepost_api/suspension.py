"""A suspension as a PushDomain carries it: who, why and until when. Pure.

It is an annotation, so that nobody's spec is changed: `kubectl tubepost suspend` writes it, `resume` removes
it, and the operator publishes a configuration with `delivery.mode` Suspend for as long as it is in force.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tubepost_api.config import DeliveryMode
from tubepost_api.resource import GROUP

ANNOTATION: Final = f"{GROUP}/suspended"
"""On a PushDomain: JSON, as `Suspension.text` writes it."""
_POINTER: Final = ANNOTATION.replace("~", "~0").replace("/", "~1")
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Suspension:
    """Who suspended delivery, and why.

    Attributes:
        by, reason: in words.
        since, until: RFC 3339; until: empty where no end was named.
    """

    by: str
    reason: str
    since: str
    until: str

    @property
    def ends(self) -> datetime | None:
        """When it ends by itself; None: no end was named, or nobody can read it."""
        try:
            end = datetime.fromisoformat(self.until)
        except ValueError:
            return None
        return end if end.tzinfo is not None else end.replace(tzinfo=UTC)

    def text(self) -> str:
        """The annotation's value."""
        found = {"by": self.by, "reason": self.reason, "since": self.since, "until": self.until}
        return json.dumps(found, sort_keys=True)


def read(push_domain: Document) -> Suspension | None:
    """The suspension that the annotation tells of; None: there is none, or nobody can read it."""
    text = (push_domain["metadata"].get("annotations") or {}).get(ANNOTATION)
    try:
        found = json.loads(text) if text else None
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    return Suspension(*(str(found.get(key, "")) for key in ("by", "reason", "since", "until")))


def in_force(push_domain: Document, now: datetime) -> Suspension | None:
    """The suspension, unless its time has passed."""
    suspension = read(push_domain)
    if suspension is None or (suspension.ends is not None and suspension.ends <= now):
        return None
    return suspension


def effective(push_domain: Document, now: datetime) -> dict[str, Any]:
    """The PushDomain as it is to be served: while a suspension is in force, every mode is Suspend."""
    if in_force(push_domain, now) is None:
        return dict(push_domain)
    spec = push_domain["spec"]
    suspended = {
        **spec,
        "delivery": {**(spec.get("delivery") or {}), "mode": DeliveryMode.SUSPEND.value},
        "domains": [
            {**domain, "delivery": {**domain["delivery"], "mode": DeliveryMode.SUSPEND.value}}
            if (domain.get("delivery") or {}).get("mode")
            else domain
            for domain in spec["domains"]
        ],
    }
    return {**push_domain, "spec": suspended}


def mode_of(push_domain: Document) -> str:
    """Its own `delivery.mode`, for domains without one of theirs."""
    return str((push_domain["spec"].get("delivery") or {}).get("mode") or DeliveryMode.DELIVER)


def suspending(push_domain: Document, suspension: Suspension) -> list[dict[str, Any]]:
    """The JSON patch that suspends it; refused by the API server when the object has changed meanwhile."""
    annotated = "annotations" in push_domain["metadata"]
    return [
        _unchanged(push_domain),
        *([] if annotated else [_operation("add", "/metadata/annotations", {})]),
        _operation("add", f"/metadata/annotations/{_POINTER}", suspension.text()),
    ]


def resuming(push_domain: Document) -> list[dict[str, Any]]:
    """The JSON patch that ends what `suspending` began."""
    return [_unchanged(push_domain), _operation("remove", f"/metadata/annotations/{_POINTER}")]


def _unchanged(push_domain: Document) -> dict[str, Any]:
    return _operation("test", "/metadata/resourceVersion", push_domain["metadata"]["resourceVersion"])


def _operation(op: str, path: str, *value: object) -> dict[str, Any]:
    return {"op": op, "path": path, **({"value": value[0]} if value else {})}


def words_of(suspension: Suspension) -> Sequence[str]:
    """For people: by whom, since when and until when; and why."""
    until = f"until {suspension.until}" if suspension.ends else "until somebody resumes it"
    return (f"by {suspension.by or 'somebody'} since {suspension.since}, {until}", suspension.reason)
