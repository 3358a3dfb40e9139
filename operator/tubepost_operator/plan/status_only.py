"""What the plans of ApnRoute and ApnLogger share: these kinds have no children, only a status."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from tubepost_api.conditions import ConditionType, Reason
from tubepost_api.fields import NAME_PATTERN
from tubepost_operator.actions import Plan
from tubepost_operator.conditions import (
    USABLE,
    PlannedCondition,
    bad,
    events,
    first_fault,
    good,
    merged,
    of_findings,
    unknown,
)
from tubepost_operator.credentials import Finding
from tubepost_operator.observed import Document
from tubepost_operator.snapshot import ReferencedSnapshot

_MOST_USERS: Final = 256


def unreadable(findings: Sequence[Finding]) -> list[PlannedCondition]:
    """The conditions of an object whose spec is not valid."""
    text = "The spec is invalid; see Accepted."
    return [
        of_findings(ConditionType.ACCEPTED, findings, Reason.VALID),
        unknown(ConditionType.REFERENCES_RESOLVED, Reason.INVALID_SPEC, text),
        unknown(ConditionType.CREDENTIALS_VALID, Reason.INVALID_SPEC, text),
    ]


def of_credentials(findings: Sequence[Finding]) -> tuple[PlannedCondition, PlannedCondition]:
    """ReferencesResolved and CredentialsValid from all that is wrong with what an object names."""
    references = [finding for finding in findings if finding.of_reference]
    credentials = [finding for finding in findings if not finding.of_reference]
    valid = of_findings(ConditionType.CREDENTIALS_VALID, credentials, Reason.VALID, USABLE)
    if references and not credentials:
        text = "A reference cannot be resolved; see ReferencesResolved."
        valid = unknown(ConditionType.CREDENTIALS_VALID, references[0].reason, text)
    return of_findings(ConditionType.REFERENCES_RESOLVED, references, Reason.RESOLVED), valid


def plan_status(
    snapshot: ReferencedSnapshot,
    before: Sequence[PlannedCondition],
    fields: Document,
    turns: Sequence[datetime] = (),
    after: Sequence[PlannedCondition] = (),
) -> Plan:
    """Ready after the conditions `before`, and the status.

    Args:
        snapshot: the object.
        before: its other conditions.
        fields: what only this kind has in its status.
        turns: times at which a certificate begins or ends.
        after: conditions that Ready is not about.
    """
    fault = first_fault(before)
    if fault is not None:
        ready = bad(ConditionType.READY, fault.reason, fault.message)
    elif not snapshot.users:
        ready = good(ConditionType.READY, Reason.NOT_USED)
    else:
        ready = good(ConditionType.READY, Reason.READY)
    conditions = [*before, ready, *after]
    old = snapshot.document.get("status") or {}
    generation = int(snapshot.document["metadata"].get("generation", 1))
    status: Document = {
        "observedGeneration": generation,
        "conditions": merged(old.get("conditions") or (), conditions, generation, snapshot.now),
        **fields,
        # A name from before there was a rule is in use, but not in the list: the definition would refuse it.
        "users": [name for name in sorted(snapshot.users) if re.fullmatch(NAME_PATTERN, name)][:_MOST_USERS],
    }
    status = {key: value for key, value in status.items() if value is not None and value != []}
    ahead = [(turn - snapshot.now).total_seconds() + 1.0 for turn in turns]
    return Plan(
        status=status if status != old else None,
        events=events(old.get("conditions") or (), conditions),
        again=min((seconds for seconds in ahead if seconds >= 1.0), default=None),
    )
