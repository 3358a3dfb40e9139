"""Traces: what happened to sessions, messages and notifications, as spans.

Without `spec.tracing` nothing is made: a call costs one comparison.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from tubepost_api.config import TracingConfig
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.feeds import spans
from tubepost_dispatcher.feeds.otlp import OtlpExporter
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.text import clean, hide_tokens
from tubepost_dispatcher.transaction import DomainT, SessionFacts, Transaction

CLOSING: Final = 2.0
"""Seconds in which spans that wait at the end are sent."""


class Tracing:
    """Makes spans of what it is told, and hands them to an exporter. Implements `DeliveryListener`.

    Args:
        resource: attributes of the process.
        counted: see `OtlpExporter`.
        wall: unix seconds.
    """

    def __init__(
        self,
        resource: Mapping[str, spans.Value],
        counted: Callable[[str, int], None],
        *,
        wall: Callable[[], float],
    ) -> None:
        self._resource = resource
        self._counted = counted
        self._wall = wall
        self._config: TracingConfig | None = None
        self._exporter: OtlpExporter | None = None

    @property
    def on(self) -> bool:
        """Whether spans are made."""
        return self._exporter is not None

    def update(self, config: TracingConfig | None) -> None:
        """Put another configuration in force; what waits for the receiver of before is still sent to it."""
        if config == self._config:
            return
        before = self._config
        self._config = config
        if before is not None and config is not None and before.endpoint == config.endpoint:
            return
        if self._exporter is not None:
            self._exporter.close()
        self._exporter = (
            None if config is None else OtlpExporter(config.endpoint, self._resource, self._counted)
        )

    async def close(self) -> None:
        """Send what waits, for `CLOSING` seconds at most."""
        exporter, self._exporter, self._config = self._exporter, None, None
        if exporter is not None:
            exporter.close()
            await asyncio.to_thread(exporter.join, CLOSING)

    # -- what is told ---------------------------------------------------------------------------------

    def session_ended(self, facts: SessionFacts, seconds: float, messages: int, refusals: int) -> None:
        """An SMTP session has ended."""
        if self._exporter is None or not messages:
            return  # health checks, and whoever only looks
        now = self._wall()
        attributes: dict[str, spans.Value] = {
            "client.address": facts.remote_ip,
            "client.port": facts.remote_port,
            "tls.protocol.version": facts.tls,
            "enduser.id": _shown(facts.user),
            "tubepost.session": facts.session,
            "tubepost.messages": messages,
            "tubepost.refusals": refusals,
        }
        trace, own = spans.session_ids(facts.session)
        self._exporter.add(
            spans.span(trace, own, "smtp session", spans.SERVER, now - seconds, now, attributes)
        )

    def message_answered(
        self, transaction: Transaction[DomainT], reply: Reply, notifications: int, size: int, seconds: float
    ) -> None:
        """A message got its reply, `seconds` after its end."""
        message_id = transaction.message_id
        if self._exporter is None or not self._sampled(message_id):
            return
        now, session = self._wall(), transaction.session
        attributes: dict[str, spans.Value] = {
            "tubepost.message_id": message_id,
            "tubepost.notifications": notifications,
            "tubepost.recipients": len(transaction.recipients),
            "tubepost.domain": transaction.recipients[0].domain,
            "tubepost.sender": _shown(transaction.mail_from),
            "tubepost.reason": reply.reason,
            "tubepost.abandoned": transaction.abandoned,
            "messaging.message.body.size": size,
            "smtp.response.status_code": reply.code,
            "client.address": session.remote_ip,
        }
        self._exporter.add(
            spans.span(
                spans.trace_id(message_id),
                spans.span_id("message", message_id),
                "message",
                spans.SERVER,
                now - seconds,
                now,
                attributes,
                link=spans.session_ids(session.session) if session.session else None,
                error=f"{reply.code} {reply.reason}" if reply.code >= 400 else "",
            )
        )

    def attempted(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        """See `DeliveryListener.attempted`: a span from the sending to the answer."""
        notification = delivery.notification
        if self._exporter is None or not self._sampled(notification.message_id):
            return
        request = delivery.request
        sent = request.sent_at if request is not None and request.sent_at else now
        self._add(
            "apns attempt",
            spans.CLIENT,
            delivery,
            outcome,
            now - sent,
            {
                "tubepost.attempt": notification.attempt,
                "network.peer.address": request.peer if request is not None else "",
                "http.response.status_code": outcome.status or "",
            },
        )

    def ended(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        """See `DeliveryListener.ended`: a moment, with what it came to in the end."""
        del now
        if self._exporter is not None and self._sampled(delivery.notification.message_id):
            self._add("delivery ended", spans.INTERNAL, delivery, outcome, 0.0, {})

    def _add(
        self,
        name: str,
        kind: int,
        delivery: Delivery,
        outcome: Outcome,
        seconds: float,
        more: Mapping[str, spans.Value],
    ) -> None:
        assert self._exporter is not None
        notification = delivery.notification
        message_id = notification.message_id
        apns_id = notification.apns_id.decode("ascii", "replace")
        wall = self._wall()
        attributes: dict[str, spans.Value] = {
            "tubepost.message_id": message_id,
            "tubepost.route": delivery.route.name if delivery.route else "",
            "tubepost.apns_id": apns_id,
            "tubepost.outcome": outcome.kind.value,
            "tubepost.reason": outcome.reason,
            **more,
        }
        delivered = outcome.kind is OutcomeKind.DELIVERED
        self._exporter.add(
            spans.span(
                spans.trace_id(message_id),
                spans.span_id(name, apns_id, str(notification.attempt), str(wall)),
                name,
                kind,
                wall - seconds,
                wall,
                attributes,
                parent=spans.span_id("message", message_id),
                error="" if delivered else f"{outcome.reason} {clean(outcome.detail)}".strip(),
            )
        )

    def _sampled(self, message_id: str) -> bool:
        return self._config is not None and spans.sampled(message_id, self._config.sample_percent)


def _shown(text: str) -> str:
    return clean(hide_tokens(text))
