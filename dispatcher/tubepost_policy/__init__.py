"""What a policy module (`policy.py`) works with: the objects that its functions get, and what they return.

Light on purpose: every policy process imports it, and an editor or type checker needs nothing else.
"""

from __future__ import annotations

from tubepost_policy.actions import Action, PolicyError
from tubepost_policy.constants import (
    CONTINUE,
    DONE,
    PERMFAILED,
    SUCCESS,
    TEMPFAILED,
    Classification,
    Disposition,
)
from tubepost_policy.context import Context
from tubepost_policy.message import Message
from tubepost_policy.request import Request
from tubepost_policy.response import Outcome, Response, Status

__all__ = [
    "CONTINUE",
    "DONE",
    "PERMFAILED",
    "SUCCESS",
    "TEMPFAILED",
    "Action",
    "Classification",
    "Context",
    "Disposition",
    "Message",
    "Outcome",
    "PolicyError",
    "Request",
    "Response",
    "Status",
]
