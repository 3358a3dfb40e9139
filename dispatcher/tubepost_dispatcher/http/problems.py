"""Answers as JSON: what became of a notification, or problem details (RFC 9457) from the catalogue. Pure."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from tubepost_dispatcher.outcome import OutcomeKind
from tubepost_dispatcher.reasons.catalogue import REASONS, refusal
from tubepost_dispatcher.reasons.http_status import http_status
from tubepost_dispatcher.reasons.spec import ReasonSpec
from tubepost_dispatcher.reply import Reply

JSON: Final = b"application/json"
PROBLEM: Final = b"application/problem+json"
TYPES: Final = "https://github.com/tubepost/tubepost/blob/main/docs/reference/outcomes.md#"
"""Before a reason: the page that says what it means."""
RETRY_AFTER: Final = 10
"""Seconds after which what was not taken is worth another try."""

_ACCEPTED: Final = 202
_OK: Final = 200
_NOT_DELIVERED: Final = frozenset({"reported", "mailed"})
_TAKEN_LATER: Final = frozenset({408, 409, 429, 500, 503})


class Fault(NamedTuple):
    """What is wrong with a request: a reason, a sentence for its sender, a JSON pointer (RFC 6901)."""

    reason: str
    text: str = ""
    pointer: str = ""

    def below(self, pointer: str) -> Fault:
        """The same fault of something within something larger."""
        return self._replace(pointer=pointer + self.pointer)


def problem_of(reply: Reply, *, message_id: str = "", apns_id: str = "", pointer: str = "") -> dict[str, Any]:
    """Problem details for a negative reply; `status` in it is the HTTP status."""
    spec = REASONS.get(reply.reason)
    if spec is None:
        # A word of APNs' that nobody here knows: judged by what the reply makes of it.
        kind = OutcomeKind.TRANSIENT if reply.code < 500 else OutcomeKind.PERMANENT
        spec = ReasonSpec(
            reply.reason, kind, reply.code, reply.enhanced, "A reason that is not in the table."
        )
    status = http_status(spec)
    document: dict[str, Any] = {
        "type": TYPES + reply.reason,
        "title": spec.help,
        "status": status,
        "detail": reply.text,
        "reason": reply.reason,
    }
    if spec.remedy:
        document["remedy"] = spec.remedy
    if status in _TAKEN_LATER:
        document["retryAfter"] = RETRY_AFTER
    if pointer:
        document["pointer"] = pointer
    if message_id:
        document["id"] = message_id
    if apns_id:
        document["apnsId"] = apns_id
    return document


def fault_problem(fault: Fault) -> dict[str, Any]:
    """Problem details for a fault of a request."""
    return problem_of(refusal(fault.reason, fault.text), pointer=fault.pointer)


def result_of(reply: Reply, message_id: str, apns_id: str) -> dict[str, Any]:
    """What became of one notification: where it is, or problem details; `status` in it is the HTTP status."""
    if reply.code >= 300:
        return problem_of(reply, message_id=message_id, apns_id=apns_id)
    taken = reply.taken or "delivered"
    status = _ACCEPTED if taken == "queued" else _OK
    result = {"status": status, "outcome": taken, "id": message_id, "apnsId": apns_id}
    if taken in _NOT_DELIVERED:
        result["detail"] = reply.text
    return result


def batch_status(statuses: set[int]) -> int:
    """The status of a batch: that of its notifications where all have one, else 207."""
    if len(statuses) == 1:
        (status,) = statuses
        return status
    return _ACCEPTED if statuses == {_OK, _ACCEPTED} else 207


def is_retryable(status: int) -> bool:
    """Whether the same request may fare better later."""
    return status in _TAKEN_LATER
