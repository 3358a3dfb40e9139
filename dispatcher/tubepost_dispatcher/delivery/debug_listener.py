"""The delivery listener that tells the process log of every attempt and every end, at level Debug."""

from __future__ import annotations

import logging
from typing import Final

from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.text import printable

_LOG: Final = logging.getLogger("tubepost.delivery")


class DebugListener:
    """Implements `DeliveryListener`; costs a look at the level where that is another."""

    @staticmethod
    def wanted() -> bool:
        """Whether it has anything to do at the present level."""
        return _LOG.isEnabledFor(logging.DEBUG)

    def attempted(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        """See `DeliveryListener.attempted`."""
        if not _LOG.isEnabledFor(logging.DEBUG):
            return
        notification, request = delivery.notification, delivery.request
        _LOG.debug(
            "message %s: attempt %d by route %s%s: %s after %.1f ms, apns-id %s",
            notification.message_id,
            notification.attempt,
            delivery.route.name if delivery.route else "none",
            f" to {request.peer}" if request and request.peer else "",
            _said(outcome),
            (now - delivery.started) * 1000.0,
            notification.apns_id.decode("ascii", "replace"),
        )

    def ended(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        """See `DeliveryListener.ended`."""
        del now
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug("message %s: ended, %s", delivery.notification.message_id, _said(outcome))


def _said(outcome: Outcome) -> str:
    status = f" ({outcome.status})" if outcome.status else ""
    detail = f" {printable(outcome.detail, 120)}" if outcome.detail else ""
    reason = f" {outcome.reason}" if outcome.reason else ""
    return f"{outcome.kind.value}{reason}{status}{detail}"
