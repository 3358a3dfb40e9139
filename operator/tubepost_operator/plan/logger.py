"""The plan of an ApnLogger."""

from __future__ import annotations

from tubepost_api.apnlogger import logger_config
from tubepost_api.conditions import ConditionType, Reason
from tubepost_operator.actions import Plan
from tubepost_operator.conditions import of_findings
from tubepost_operator.credentials import logger_findings
from tubepost_operator.plan.candidate import invalid_logger
from tubepost_operator.plan.status_only import of_credentials, plan_status, unreadable
from tubepost_operator.snapshot import ReferencedSnapshot


def plan_logger(snapshot: ReferencedSnapshot) -> Plan:
    """Decide the status and the events of an ApnLogger."""
    logger, findings = invalid_logger(snapshot.document)
    if logger is None:
        return plan_status(snapshot, unreadable(findings), {})
    conditions = [
        of_findings(ConditionType.ACCEPTED, (), Reason.VALID),
        *of_credentials(logger_findings(logger_config(logger), snapshot.secrets, snapshot.now)),
    ]
    return plan_status(snapshot, conditions, {})
