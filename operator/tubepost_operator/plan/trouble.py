"""The plan when an object cannot be reconciled at all: the status says why. Nothing else is written."""

from __future__ import annotations

from datetime import datetime

from tubepost_api.conditions import ConditionType, Reason
from tubepost_operator.actions import Plan
from tubepost_operator.conditions import PlannedCondition, bad, events, merged
from tubepost_operator.observed import Document
from tubepost_operator.plan.remedies import remedy


def plan_trouble(document: Document, reason: Reason, message: str, now: datetime) -> Plan:
    """Say in the status of an object why nothing is done about it; all its other conditions stay.

    Args:
        document: the object.
        reason: NoAccess or OperatorError.
        message: what has failed, with the remedy.
        now: the time.
    """
    old: Document = document.get("status") or {}
    conditions: list[PlannedCondition] = [bad(ConditionType.READY, reason, message)]
    if document["kind"] == "PushDomain":
        conditions.insert(0, bad(ConditionType.PROGRAMMED, reason, message))
    generation = int(document["metadata"].get("generation", 1))
    before = list(old.get("conditions") or ())
    new = {item["type"]: item for item in merged(before, conditions, generation, now)}
    kept = [new.pop(item["type"], item) if isinstance(item, dict) else item for item in before]
    status = {**old, "conditions": [*kept, *new.values()]}
    return Plan(status=status if status != old else None, events=events(before, conditions))


def no_access(message: str) -> str:
    """The message of NoAccess for an answer of the API server."""
    return (
        f"The operator cannot look after this object: {message.rstrip('.')}. What runs stays as it is. "
        f"Remedy: {remedy(message)}."
    )


def operator_error(message: str) -> str:
    """The message of OperatorError for a failure that lasts."""
    return (
        f"The operator fails with this object again and again: {message.rstrip('.')}. What runs stays as it "
        "is. Remedy: see the log of the operator; it goes on trying."
    )
