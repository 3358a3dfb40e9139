"""The plan of an ApnLogger."""

from __future__ import annotations

from tubepost_api.conditions import ConditionType, Reason
from tubepost_operator.actions import Plan
from tubepost_operator.conditions import of_findings
from tubepost_operator.plan.candidate import logger_findings
from tubepost_operator.plan.status_only import plan_status
from tubepost_operator.snapshot import ReferencedSnapshot


def plan_logger(snapshot: ReferencedSnapshot) -> Plan:
    """Decide the status and the events of an ApnLogger."""
    findings = logger_findings(snapshot.document)
    return plan_status(snapshot, [of_findings(ConditionType.ACCEPTED, findings, Reason.VALID)], {})
