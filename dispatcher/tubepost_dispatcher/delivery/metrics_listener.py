"""The listener that counts."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import REASONS
from tubepost_runtime.metrics import Tally

UNKNOWN_REASONS: Final = 10
"""Reasons that are not in the catalogue and still are labels, of one process."""
OTHER: Final = "other"
"""The label of those beyond; their text is in the log."""

_FAILED: Final = {"Expired": "expired", "Dropped": "dropped"}
"""Ends of queued notifications other than `failed`, by reason."""
_ENDS: Final = ("delivered", "failed", *_FAILED.values())


class MetricsListener:
    """Counts attempts, possible doubles, dead tokens, what leaves the queue. Is a `DeliveryListener`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._delivered: dict[str, Tally] = {}
        self._attempts: dict[tuple[str, OutcomeKind, str], Counter] = {}
        self._unknown: set[str] = set()
        self._ended = {end: metrics.tally(metrics.queue_ended.labels(end)) for end in _ENDS}

    def attempted(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        """Count one attempt by route, outcome and reason."""
        del now
        assert delivery.route is not None
        route, kind = delivery.route.name, outcome.kind
        if kind is OutcomeKind.DELIVERED:  # nearly always, and the hash of an enum's member is slow
            delivered = self._delivered.get(route)
            if delivered is None:
                child = self._metrics.attempts.labels(route, kind.value, "")
                delivered = self._delivered[route] = self._metrics.tally(child)
            delivered.count += 1
            return
        attempts = self._attempts.get((route, kind, outcome.reason))
        if attempts is None:
            attempts = self._child(route, kind, outcome.reason)
        attempts.inc()
        if kind is OutcomeKind.TRANSIENT and delivery.policy.queued:
            self._metrics.queue_deferred.labels(route).inc()
        if outcome.possible_double:
            self._metrics.possible_doubles.labels(route).inc()
        if outcome.status == 410:
            self._metrics.dead_tokens.labels(route).inc()

    def ended(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        """Count what leaves the queue; how other messages end is counted where they were accepted."""
        del now
        if delivery.policy.queued:
            if outcome.kind is OutcomeKind.DELIVERED:
                self._ended["delivered"].count += 1
            else:
                self._ended[_FAILED.get(outcome.reason, "failed")].count += 1

    def _child(self, route: str, kind: OutcomeKind, reason: str) -> Counter:
        label = self._label(reason)
        child = self._metrics.attempts.labels(route, kind.value, label)
        if label == reason:
            self._attempts[route, kind, reason] = child
        return child

    def _label(self, reason: str) -> str:
        """A peer says what it likes, and a label stays for ever: only so many words become one."""
        if reason in REASONS or reason in self._unknown:
            return reason
        if len(self._unknown) >= UNKNOWN_REASONS:
            return OTHER
        self._unknown.add(reason)
        return reason
