"""The listener that writes ApnLogger lines: from what happened to a notification to the loggers' events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

from tubepost_dispatcher.context import DESTINATION_ADDRESS, SOURCE_ADDRESS, error_text
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.feeds.events import EventKind, LogEvent
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import legacy_code, spec_of
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Transaction

DomainT = TypeVar("DomainT")

_KINDS: Final[Mapping[OutcomeKind, EventKind]] = {
    OutcomeKind.DELIVERED: "delivery",
    OutcomeKind.TRANSIENT: "tempfail",
    OutcomeKind.PERMANENT: "permfail",
}


class EventSink(Protocol):
    """What takes events: the loggers of a PushDomain."""

    def wants(self, kind: EventKind) -> bool:
        """Whether any logger writes events of this kind."""

    def log(self, event: LogEvent) -> None:
        """Write it; never blocks."""


class DeliveryLog:
    """Writes a line for every attempt, and for every end without one. Implements `DeliveryListener`.

    Args:
        sink: takes the events.
        wall: unix seconds.
    """

    def __init__(self, sink: EventSink, wall: Callable[[], float]) -> None:
        self._sink = sink
        self._wall = wall

    def attempted(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        """Log one attempt."""
        delivered = outcome.kind is OutcomeKind.DELIVERED
        kind: EventKind = "delivery" if delivered else _KINDS[outcome.kind]
        if not self._sink.wants(kind):
            return
        notification, headers, route = delivery.notification, delivery.headers, delivery.route
        push, context = delivery.push, notification.context
        status, error = 0, ""
        if not delivered:
            status = spec_of(outcome).legacy_code
            error = error_text(outcome)
        request = delivery.request
        self._sink.log(
            LogEvent(
                kind,
                self._wall(),
                message_id=notification.message_id,
                source_address=_source(notification),
                destination_address=context.get(DESTINATION_ADDRESS) or notification.local_part,
                domain=notification.domain,
                device_token=push.token.decode("ascii"),
                apns_id=outcome.apns_id or notification.apns_id.decode("ascii"),
                message_bytes=notification.size,
                route=route.name if route else "",
                client_address=notification.client_address,
                status=status,
                error=error,
                context=context,
                reason=outcome.reason,
                http_status=outcome.status,
                attempt=notification.attempt,
                duration_ms=(now - delivery.started) * 1000.0,
                topic=headers.topic.decode("ascii", "replace") if headers else "",
                push_type=headers.push_type.decode("ascii", "replace") if headers else "",
                dead_token_timestamp=outcome.timestamp,
                user=notification.user,
                channel_id="" if push.channel_id is None else push.channel_id.decode("ascii"),
                origin=_origin(notification),
                peer=request.peer if request else "",
                sent_bytes=request.sent_bytes if request else 0,
                unique_id=outcome.unique_id,
            )
        )

    def ended(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        """Log an end that is no attempt's: refused by a check, throttled, suspended, out of time."""
        del now
        if outcome is delivery.outcome or outcome.reason == "ClientGone":
            return  # told as an attempt, or withdrawn by the sender, who will send it again
        route = delivery.route.name if delivery.route else ""
        text = outcome.detail or spec_of(outcome).text
        self._refused(delivery.notification, _KINDS[outcome.kind], outcome.reason, text, route, self._wall())

    def notification_refused(self, notification: Notification, reply: Reply, wall: float) -> None:
        """Log a notification that was refused before delivery had it; `wall` in unix seconds."""
        self._refused(notification, _kind_of(reply), reply.reason, reply.text, "", wall)

    def message_refused(self, transaction: Transaction[DomainT], reply: Reply, wall: float) -> None:
        """Log a message that could not be read, for each recipient since there are no notifications.

        `wall` is in unix seconds.
        """
        kind = _kind_of(reply)
        if not self._sink.wants(kind):
            return
        for ordinal, recipient in enumerate(transaction.recipients):
            self._sink.log(
                LogEvent(
                    kind,
                    wall,
                    message_id=transaction.message_id,
                    source_address=transaction.mail_from,
                    destination_address=recipient.address.rpartition("@")[0],
                    domain=recipient.domain,
                    message_bytes=len(transaction.content),
                    client_address=transaction.session.remote_ip,
                    status=legacy_code(reply.reason),
                    error=reply.text,
                    reason=reply.reason,
                    attempt=0,
                    user=transaction.session.user,
                    origin=transaction.mail_from,
                    ordinal=ordinal,
                )
            )

    def _refused(
        self, notification: Notification, kind: EventKind, reason: str, text: str, route: str, wall: float
    ) -> None:
        if not self._sink.wants(kind):
            return
        push, context = notification.push, notification.context
        self._sink.log(
            LogEvent(
                kind,
                wall,
                message_id=notification.message_id,
                source_address=_source(notification),
                destination_address=context.get(DESTINATION_ADDRESS) or notification.local_part,
                domain=notification.domain,
                device_token=push.token.decode("ascii"),
                apns_id=push.apns_id.decode("ascii") if push.apns_id else "",
                message_bytes=notification.size,
                route=route,
                client_address=notification.client_address,
                status=legacy_code(reason),
                error=text,
                context=context,
                reason=reason,
                attempt=0,
                user=notification.user,
                channel_id="" if push.channel_id is None else push.channel_id.decode("ascii"),
                origin=_origin(notification),
            )
        )


def _kind_of(reply: Reply) -> EventKind:
    return "permfail" if reply.code >= 500 else "tempfail"


def _source(notification: Notification) -> str:
    if notification.push.return_path is not None:
        return notification.push.return_path
    return _origin(notification)


def _origin(notification: Notification) -> str:
    return notification.context.get(SOURCE_ADDRESS) or notification.sender
