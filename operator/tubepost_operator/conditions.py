"""Conditions of an object, as metav1.Conditions, and events about their changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from tubepost_api.conditions import ConditionType, Reason, Word
from tubepost_operator.actions import Event
from tubepost_operator.credentials import Finding

Status = Literal["True", "False", "Unknown"]

SHOWN: Final = 5
"""Findings that a message lists in full."""
MAX_MESSAGE: Final = 4_000
"""Characters of a message; events take 1024."""
_MAX_EVENT: Final = 1_000

USABLE: Final = "All credentials are usable."

_REFERENCE_FAULTS: Final = (
    Reason.ROUTE_NOT_FOUND,
    Reason.ROUTE_INVALID,
    Reason.LOGGER_NOT_FOUND,
    Reason.LOGGER_INVALID,
    Reason.SECRET_NOT_FOUND,
    Reason.KEY_MISSING,
    Reason.CONFIG_MAP_NOT_FOUND,
    Reason.POLICY_INVALID,
)
_CREDENTIAL_FAULTS: Final = (
    Reason.MALFORMED,
    Reason.KEY_MISMATCH,
    Reason.EXPIRED,
    Reason.NOT_YET_VALID,
    Reason.WRONG_ENVIRONMENT,
)
_OPERATOR_FAULTS: Final = (Reason.NO_ACCESS, Reason.OPERATOR_ERROR)
_PROGRAM_FAULTS: Final = (
    Reason.PENDING,
    Reason.PODS_FAIL,
    Reason.STALE_SECRET,
    Reason.CONTESTED,
    Reason.PAUSED,
    *_OPERATOR_FAULTS,
    Reason.CLAIM_PENDING,
    Reason.NAME_CONFLICT,
    Reason.REJECTED,
    Reason.CONFIG_REFUSED,
)
_SPEC_FAULTS: Final = (Reason.INVALID_SPEC, Reason.CONFIG_TOO_LARGE)

REASONS: Final[Mapping[ConditionType, Mapping[Status, tuple[Reason, ...]]]] = {
    ConditionType.ACCEPTED: {"True": (Reason.VALID, Reason.LEGACY_ENDPOINT), "False": _SPEC_FAULTS},
    ConditionType.REFERENCES_RESOLVED: {
        "True": (Reason.RESOLVED,),
        "False": _REFERENCE_FAULTS,
        "Unknown": (Reason.INVALID_SPEC,),
    },
    ConditionType.CREDENTIALS_VALID: {
        "True": (Reason.VALID,),
        "False": _CREDENTIAL_FAULTS,
        "Unknown": (*_REFERENCE_FAULTS, Reason.INVALID_SPEC),
    },
    ConditionType.PROGRAMMED: {"True": (Reason.PROGRAMMED,), "False": _PROGRAM_FAULTS},
    ConditionType.READY: {
        "True": (Reason.READY, Reason.NO_REPLICAS, Reason.NOT_USED),
        "False": (
            Reason.UNAVAILABLE,
            *_PROGRAM_FAULTS,
            *_CREDENTIAL_FAULTS,
            *_REFERENCE_FAULTS,
            *_SPEC_FAULTS,
        ),
    },
    ConditionType.DELIVERING: {
        "True": (Reason.DELIVERING,),
        "False": (Reason.ROUTE_HELD, Reason.ROUTE_FAILS, Reason.SUSPENDED, Reason.BLACKHOLED, Reason.REFUSED),
        "Unknown": (Reason.PENDING, Reason.NO_REPLICAS, Reason.NOT_USED),
    },
    ConditionType.QUEUE_DURABLE: {
        "True": (Reason.PERSISTENT,),
        "False": (
            Reason.EPHEMERAL,
            Reason.ONE_REPLICA,
            Reason.STREAM_UNUSABLE,
            Reason.IN_MEMORY,
        ),
    },
    ConditionType.BOUNCES_DELIVERABLE: {"True": (Reason.RELAYED,), "False": (Reason.NO_RELAY,)},
    ConditionType.QUEUE_SETTLED: {
        "True": (Reason.SETTLED,),
        "False": (Reason.QUEUE_DRAINING, Reason.CLAIM_DRAINING, Reason.CLAIM_LEFT),
    },
}
"""Which reasons a condition may have with which status: the closed set."""

_NO_WARNING: Final = frozenset(
    {
        Reason.PENDING,
        Reason.PAUSED,
        Reason.SUSPENDED,
        Reason.NO_REPLICAS,
        Reason.BLACKHOLED,
        Reason.REFUSED,
        Reason.CLAIM_PENDING,
        Reason.EPHEMERAL,
        Reason.ONE_REPLICA,
        Reason.QUEUE_DRAINING,
        Reason.CLAIM_DRAINING,
        Reason.NO_RELAY,
    }
)
"""Reasons that are no fault: they get no Warning."""


class EventReason(Word):
    """Reasons of events that are not those of a condition, with their meaning beside them."""

    PUBLISHED = ("Published", "A new configuration was published; running pods load it by themselves.")
    ROLLED = ("Rolled", "The pod template was applied: pods are started, or replaced one after the other.")
    UPGRADED = ("Upgraded", "Pods are replaced because the operator's release has changed.")
    ADOPTED = (
        "Adopted",
        "Restored or orphaned objects with the labels of this PushDomain and no owner were taken back.",
    )
    YIELDED = ("Yielded", "Another operator looks after this object; this one leaves it alone.")
    QUEUE_ABANDONED = ("QueueAbandoned", "By a user's annotation, queues that are not empty were given up.")
    CLAIM_ADOPTED = (
        "ClaimAdopted",
        "A claim that no pod of the StatefulSet has any more is emptied by a pod of its own.",
    )
    CLAIM_DRAINED = (
        "ClaimDrained",
        "The queue of a claim that no pod of the StatefulSet has any more is empty.",
    )
    CLAIM_DELETED = ("ClaimDeleted", "By queue.disk.claim.whenScaled an empty claim is deleted.")
    SIDECAR_REFUSED = (
        "SidecarRefused",
        "A pod that asks for a dispatcher of this PushDomain can get none; the message says what to change.",
    )
    REPAIRED = ("Repaired", "An object that somebody else had deleted or changed was restored.")


@dataclass(frozen=True, slots=True)
class PlannedCondition:
    """A condition, before it is merged with the one that the object has."""

    type: ConditionType
    status: Status
    reason: Reason
    message: str


def good(kind: ConditionType, reason: Reason, message: str = "") -> PlannedCondition:
    """A condition that is True; the message defaults to the reason's meaning."""
    return PlannedCondition(kind, "True", reason, message or reason.meaning)


def bad(kind: ConditionType, reason: Reason, message: str) -> PlannedCondition:
    """A condition that is False."""
    return PlannedCondition(kind, "False", reason, message)


def unknown(kind: ConditionType, reason: Reason, message: str) -> PlannedCondition:
    """A condition that is Unknown."""
    return PlannedCondition(kind, "Unknown", reason, message)


def of_findings(
    kind: ConditionType, findings: Sequence[Finding], fine: Reason, message: str = ""
) -> PlannedCondition:
    """The condition that these findings belong to: True without any; the first one gives the reason."""
    if not findings:
        return good(kind, fine, message)
    text = " ".join(finding.text for finding in findings[:SHOWN])
    if len(findings) > SHOWN:
        text += f" And {len(findings) - SHOWN} more."
    return bad(kind, findings[0].reason, text)


def first_fault(conditions: Iterable[PlannedCondition]) -> PlannedCondition | None:
    """The first that is not True: False before Unknown, since the latter often follows from the former."""
    listed = [condition for condition in conditions if condition.status != "True"]
    return next(
        (condition for condition in listed if condition.status == "False"), listed[0] if listed else None
    )


def stamp(moment: datetime) -> str:
    """A time as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix_time(text: str) -> float:
    """Seconds since 1970 of a time as Kubernetes writes it.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(text).timestamp()


def merged(
    old: Iterable[Mapping[str, Any]], conditions: Sequence[PlannedCondition], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """The conditions to write: `lastTransitionTime` changes with the status only."""
    before = {str(condition.get("type")): condition for condition in old}
    result = []
    for condition in conditions:
        known = before.get(condition.type)
        since = stamp(now)
        if known is not None and known.get("status") == condition.status:
            since = str(known.get("lastTransitionTime") or since)
        result.append(
            {
                "type": str(condition.type),
                "status": condition.status,
                "reason": str(condition.reason),
                "message": _cut(condition.message, MAX_MESSAGE),
                "lastTransitionTime": since,
                "observedGeneration": generation,
            }
        )
    return result


def events(old: Iterable[Mapping[str, Any]], conditions: Sequence[PlannedCondition]) -> tuple[Event, ...]:
    """Events about what changed: each new status or reason once.

    Ready repeats the fault of another condition, which has an event already; its own are that all is well, or
    that there are no replicas. Conditions that were never otherwise get no Normal event.
    """
    before = {str(condition.get("type")): condition for condition in old}
    told: list[Event] = []
    for condition in conditions:
        known = before.get(condition.type)
        if known is not None and (known.get("status"), known.get("reason")) == (
            condition.status,
            condition.reason,
        ):
            continue
        if condition.status == "False" and condition.reason not in _NO_WARNING:
            event = Event("Warning", str(condition.reason), _cut(condition.message, _MAX_EVENT))
        elif condition.status == "True" and _is_news(condition, known):
            event = Event("Normal", str(condition.reason), _cut(condition.message, _MAX_EVENT))
            if condition.reason is Reason.LEGACY_ENDPOINT:
                event = Event("Warning", event.reason, event.message)
        else:
            continue
        if not any((event.reason, event.message) == (other.reason, other.message) for other in told):
            told.append(event)
    return tuple(told)


def _is_news(condition: PlannedCondition, known: Mapping[str, Any] | None) -> bool:
    if condition.reason is Reason.LEGACY_ENDPOINT:
        return True
    if condition.type is ConditionType.READY:
        return condition.reason is not Reason.NOT_USED
    return condition.type is ConditionType.DELIVERING and known is not None and known.get("status") == "False"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
