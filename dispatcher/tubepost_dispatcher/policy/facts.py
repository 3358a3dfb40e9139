"""What hooks are told of a delivery: JSON values, the other half of `tubepost_policy`. Pure."""

from __future__ import annotations

from typing import Any

from tubepost_dispatcher.context import context_of
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import spec_of


def message_facts(delivery: Delivery, outcome: Outcome | None) -> dict[str, Any]:
    """The message; `outcome` of the last attempt, or the end."""
    notification, route, request = delivery.notification, delivery.route, delivery.request
    variables = context_of(
        notification,
        outcome,
        sent_bytes=request.sent_bytes if request is not None else 0,
        peer=request.peer if request is not None else "",
    )
    facts: dict[str, Any] = {
        "id": notification.message_id,
        "sender": notification.sender,
        "returnPath": notification.return_path,
        "recipient": notification.recipient,
        "domain": notification.domain,
        "token": notification.push.token.decode("ascii"),
        "apnsId": notification.apns_id.decode("ascii"),
        "payload": notification.push.payload.decode("utf-8"),
        "acceptedAt": notification.accepted_at,
        "attempt": notification.attempt,
        "context": variables,
    }
    if notification.user:
        facts["user"] = notification.user
    if notification.client_address:
        facts["client"] = notification.client_address
    if notification.rerouted:
        facts["rerouted"] = True
    if notification.push.channel_id is not None:
        facts["channel"] = notification.push.channel_id.decode("ascii")
    if route is not None:
        facts["route"] = route.name
    return facts


def request_facts(delivery: Delivery) -> dict[str, Any]:
    """The request that is to be sent."""
    notification, headers = delivery.notification, delivery.headers
    assert headers is not None
    return {
        "token": notification.push.token.decode("ascii"),
        "payload": notification.push.payload.decode("utf-8"),
        "topic": headers.topic.decode("ascii"),
        "push_type": headers.push_type.decode("ascii"),
        "priority": headers.priority,
        "expiration": headers.expiration,
        "collapse_id": headers.collapse_id.decode("ascii"),
        "id": notification.apns_id.decode("ascii"),
    }


def outcome_facts(outcome: Outcome) -> dict[str, Any]:
    """What became of an attempt, or the end."""
    return {
        "kind": outcome.kind.value,
        "reason": outcome.reason,
        "status": outcome.status,
        "legacy": spec_of(outcome).legacy_code,
        "detail": outcome.detail,
        "timestamp": outcome.timestamp,
        "id": outcome.apns_id,
    }
