"""What of a child is not as we wrote it, who wrote it, and what to do about that. Pure.

A policy or webhook of the cluster may change what we write on its way in. What the API server made of the
same manifest (`Child.trial`: the answer to a write or to a dry run) tells that from what somebody changed
later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Document, Key, Repair, Trial
from tubepost_operator.plan.compare import Difference, differences
from tubepost_operator.plan.managed_fields import SCALED, Pointer, additions, place_name, pointer_text, writer

SHOWN: Final = 3
"""Changes that a message tells."""
_MOST: Final = 60
"""Characters of a value that are told."""


@dataclass(frozen=True, slots=True)
class Change:
    """A field that somebody changed, removed or (`added`) added.

    `text` says what and by whom, `by` the latter alone, as far as the API server knows.
    """

    field: str
    text: str
    by: str = ""
    added: bool = False


def drift(child: Child, manifest: Document) -> list[Change]:
    """What others changed since we wrote it; empty where nobody did, or the child was not read."""
    if child.body is None:
        return []
    live = child.body
    as_made = _values(child.trial_of(applied(manifest)), manifest)
    changed = [
        _changed(live, found)
        for found in differences(live, manifest)
        if as_made.get(found.name, _MISSING) != found.live
    ]
    left = child.cleaned_of(applied(manifest))
    defaults = (
        {place_name(left, place): _at(left, place) for place in additions(left, manifest)} if left else {}
    )
    added = [
        _added(live, place)
        for place in additions(live, manifest)
        if defaults.get(place_name(live, place), _MISSING) != _at(live, place)
    ]
    return [*changed, *added]


def on_admission(child: Child, manifest: Document) -> list[str]:
    """What the cluster makes different of what we write, as texts."""
    made = child.trial_of(applied(manifest))
    if made is None or child.body is None:
        return []
    return [
        f"{found.name} is {_shown(found.live)}, not {_shown(found.wanted)}"
        for found in differences(made, manifest)
    ]


def trial(key: Key, child: Child, manifest: Document) -> Trial | None:
    """The question to the API server that tells what of a difference is nobody's doing; None without one."""
    if child.body is None or not drift(child, manifest):
        return None
    places = additions(child.body, manifest)
    return Trial(
        key, applied(manifest), manifest, dict(child.body), tuple(pointer_text(place) for place in places)
    )


def applied(manifest: Document) -> str:
    """The hash of what is applied that a manifest carries."""
    return str(manifest["metadata"]["annotations"][Names.APPLIED_ANNOTATION])


def remedy(kind: str, fields: Iterable[str], name: str) -> str:
    """What to do so that it does not happen again.

    Args:
        kind: of the child.
        fields: names of those that were changed.
        name: of the PushDomain.
    """
    named = tuple(fields)
    if "spec.replicas" in named:
        return (
            "the number of replicas belongs to the PushDomain: let the autoscaler's scaleTargetRef name kind "
            f"PushDomain, or use `kubectl scale pushdomain/{name}`"
        )
    if any(".env" in field for field in named):
        return (
            "dispatchers take up changed Secrets by themselves: leave this workload out of what restarts "
            "pods (Reloader: annotation reloader.stakater.com/ignore in spec.podTemplate)"
        )
    where = "spec.service" if kind == "Service" else "spec.podTemplate"
    return (
        f"set it in {where} of the PushDomain, where there is such a field; to debug, annotate the "
        f"PushDomain with "
        f'{Names.PAUSED_ANNOTATION}: "true"'
    )


def repair(changes: Sequence[Change]) -> Repair:
    """What is put back, to be remembered."""
    autoscaled = all(
        change.field == "spec.replicas" and change.by.endswith(SCALED) and not change.by.startswith("kubectl")
        for change in changes
    )
    return Repair(tuple(change.field for change in changes), told(changes), autoscaled)


def repaired_text(push_domain: str, child: Key, changes: Sequence[Change]) -> str:
    """The message of the event about a child that is put back; without changes it was missing."""
    if not changes:
        return f"{child.kind} {child.name} was deleted by somebody else; it has been restored."
    do = remedy(child.kind, [change.field for change in changes], push_domain)
    return f"{child.kind} {child.name}: {told(changes)}; it has been put back. Remedy: {do}."


def told(changes: Iterable[Change]) -> str:
    """Changes as one text."""
    texts = [change.text for change in changes]
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return "; ".join(texts[:SHOWN]) + more


_MISSING: Final = object()


def _values(trial: Mapping[str, Any] | None, manifest: Document) -> dict[str, Any]:
    return {found.name: found.live for found in differences(trial, manifest)} if trial is not None else {}


def _changed(live: Mapping[str, Any], found: Difference) -> Change:
    if found.live is None:
        return Change(found.name, f"{found.name} was removed")
    by = writer(live, found.place)
    text = f"{found.name} was changed from {_shown(found.wanted)} to {_shown(found.live)}{_by(by)}"
    return Change(found.name, text, by)


def _added(live: Mapping[str, Any], place: Pointer) -> Change:
    name, by = place_name(live, place), writer(live, place)
    return Change(name, f"{name} was added{_by(by)}", by, added=True)


def _at(value: Any, place: Pointer) -> Any:
    """The value at a place, None where there is none."""
    for step in place:
        if isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _by(manager: str) -> str:
    return f" by {manager}" if manager else ""


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return "another value"
    text = str(value)
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."
