"""The reports of a worker: those that its configuration and its senders want, as mails for the relay."""

from __future__ import annotations

from collections.abc import Callable

from tubepost_api.config_relay import BounceConfig
from tubepost_dispatcher.bounces.decision import kind_of, wanted
from tubepost_dispatcher.bounces.report import Event, Reporter, ReportKind, report
from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.follow_up import OutgoingMail
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import REASONS

_UNSERVED = BounceConfig()
"""Of a domain that is not served any more."""


class Reports:
    """Makes reports by the configuration in force. Decides, and makes values; sends nothing.

    Args:
        missing: called with the kind of each report for which there is no relay.
    """

    def __init__(self, missing: Callable[[ReportKind], None] | None = None) -> None:
        self._missing = missing
        self._hostname = ""
        self._relay = False

    def swap(self, hostname: str, *, relay: bool) -> None:
        """Put another configuration in force.

        Args:
            hostname: ours.
            relay: whether there is one; else there are no reports, and `missing` is told.
        """
        self._hostname = hostname
        self._relay = relay

    def of(self, delivery: Delivery, outcome: Outcome, wall: float) -> OutgoingMail | None:
        """The report of an end, None where there is none to be sent; `wall` in unix seconds."""
        kind = kind_of(outcome)
        if kind is None:
            return None
        route = delivery.route
        tried = outcome is delivery.outcome and route is not None
        return self._made(
            kind,
            delivery.notification,
            delivery.domain,
            outcome,
            wall,
            last_attempt=wall if tried else 0.0,
            peer=route.host if tried and route is not None else "",
        )

    def would_tell(self, notification: Notification, domain: Domain) -> bool:
        """Whether a failure of this notification would be reported."""
        options = domain.bounces or _UNSERVED
        return self._relay and options.enabled and wanted(notification, "bounce") is not None

    def tell_before(self, notification: Notification, domain: Domain, expires: float) -> float:
        """When to look at a notification next, if it is still in the queue: it is late then, or expires.

        Where its sender is to be told that it is late, the notification gets its `expires`.
        """
        options = domain.bounces
        if options is None or not (options.enabled and options.delay_notices and self._relay):
            return expires
        late = notification.accepted_at + options.delay_after
        if late >= expires or wanted(notification, "delay") is None:
            return expires
        notification.expires = expires
        return late

    def late(
        self, notification: Notification, domain: Domain, reason: str, route: str, wall: float
    ) -> OutgoingMail | None:
        """The notice that one is late, None where there is none to be sent any more.

        Args:
            notification: with its `expires`.
            domain: of it.
            reason: of its last attempt, empty without one.
            route: name of the one of that attempt.
            wall: unix seconds.
        """
        if domain.bounces is None or not domain.bounces.delay_notices:
            return None
        spec = REASONS.get(reason)
        outcome = Outcome(OutcomeKind.TRANSIENT, reason, spec.status if spec is not None else 0)
        hosts = {one.name: one.host for one in domain.routes}
        peer = hosts.get(route, "")
        return self._made(
            "delay", notification, domain, outcome, wall, retry_until=notification.expires, peer=peer
        )

    def _made(
        self,
        kind: ReportKind,
        notification: Notification,
        domain: Domain,
        outcome: Outcome,
        wall: float,
        *,
        last_attempt: float = 0.0,
        retry_until: float = 0.0,
        peer: str = "",
    ) -> OutgoingMail | None:
        options = domain.bounces or _UNSERVED
        if not options.enabled or (wishes := wanted(notification, kind)) is None:
            return None
        if not self._relay:
            if self._missing is not None:
                self._missing(kind)
            return None
        event = Event(kind, notification, outcome, wall, last_attempt, retry_until, peer)
        return report(event, Reporter(self._hostname, options.from_ or ""), wishes)
