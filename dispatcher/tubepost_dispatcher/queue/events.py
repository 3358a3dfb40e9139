"""From what happened to a message to the loggers' events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tubepost_dispatcher.apns import reasons
from tubepost_dispatcher.logging.events import NO_CONTEXT, EventKind, LogEvent
from tubepost_dispatcher.mcmt import reasons as mcmt_reasons
from tubepost_dispatcher.mcmt.message import PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Transaction

if TYPE_CHECKING:
    from tubepost_dispatcher.logging.hub import LogHub
    from tubepost_dispatcher.queue.direct import Delivery
    from tubepost_dispatcher.queue.entries import EntryRuntime

_KINDS: dict[OutcomeKind, EventKind] = {
    OutcomeKind.DELIVERED: "delivery",
    OutcomeKind.TRANSIENT: "tempfail",
    OutcomeKind.PERMANENT: "permfail",
}


def log_attempt(hub: LogHub, delivery: Delivery, outcome: Outcome, now: float, wall: float) -> None:
    """Log one attempt.

    Args:
        hub: the loggers.
        delivery: what was attempted.
        outcome: what came of it.
        now: monotonic seconds.
        wall: unix seconds.
    """
    kind = _KINDS[outcome.kind]
    if not hub.wants(kind):
        return
    transaction, part, message = delivery.transaction, delivery.part, delivery.message
    context = message.context or NO_CONTEXT
    resolved, request, route = delivery.resolved, delivery.request, delivery.route
    status, error = 0, ""
    if outcome.kind is not OutcomeKind.DELIVERED:
        status = reasons.lookup(outcome.status, outcome.reason).legacy_code
        error = f"{outcome.reason}: {outcome.detail}" if outcome.detail else outcome.reason
    hub.log(
        LogEvent(
            kind,
            wall,
            message_id=transaction.message_id,
            source_address=_source(transaction, part, context.get("DLV_Source_Addr")),
            destination_address=context.get("DLV_Dest_Addr") or _local_part(transaction),
            domain=transaction.recipients[0].domain,
            device_token=part.token.decode("ascii"),
            apns_id=outcome.apns_id or (request.apns_id.decode("ascii") if request else ""),
            message_bytes=len(transaction.content),
            route=route.name if route else "",
            remote_ip=transaction.session.remote_ip,
            status=status,
            error=error,
            context=context,
            reason=outcome.reason,
            http_status=outcome.status,
            attempt=delivery.attempt,
            duration_ms=(now - delivery.started) * 1000.0,
            topic=resolved.topic.decode("ascii", "replace") if resolved else "",
            push_type=resolved.push_type.decode("ascii", "replace") if resolved else "",
            dead_token_timestamp=outcome.timestamp,
            user=transaction.session.user,
        )
    )


def log_refusal(
    hub: LogHub,
    transaction: Transaction[EntryRuntime],
    part: PushPart | None,
    rejection: Reply,
    route: str,
    wall: float,
    context: Mapping[str, str] | None = None,
) -> None:
    """Log a message that was refused before any attempt; a transient refusal only if it gives a reason."""
    kind: EventKind = "permfail" if rejection.code >= 500 else "tempfail"
    if not hub.wants(kind) or (kind == "tempfail" and not rejection.reason):
        return
    context = context or NO_CONTEXT
    hub.log(
        LogEvent(
            kind,
            wall,
            message_id=transaction.message_id,
            source_address=_source(transaction, part, context.get("DLV_Source_Addr")),
            destination_address=context.get("DLV_Dest_Addr") or _local_part(transaction),
            domain=transaction.recipients[0].domain,
            device_token=part.token.decode("ascii") if part else "",
            apns_id=part.apns_id.decode("ascii") if part and part.apns_id else "",
            message_bytes=len(transaction.content),
            route=route,
            remote_ip=transaction.session.remote_ip,
            status=_refusal_code(rejection.reason),
            error=rejection.text,
            context=context,
            reason=rejection.reason,
            attempt=0,
            user=transaction.session.user,
        )
    )


MALFORMED = 4
"""Legacy code of a message that has no usable push part ("missing payload", permanent)."""


def _refusal_code(reason: str) -> int:
    spec = mcmt_reasons.REASONS.get(reason) or reasons.REASONS.get(reason)
    return spec.legacy_code if spec else MALFORMED


def _local_part(transaction: Transaction[EntryRuntime]) -> str:
    return transaction.recipients[0].address.rpartition("@")[0]


def _source(transaction: Transaction[EntryRuntime], part: PushPart | None, from_context: str | None) -> str:
    if part is not None and part.return_path is not None:
        return part.return_path
    return from_context or transaction.mail_from
