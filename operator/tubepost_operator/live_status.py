"""Metrics of dispatcher pods -> the live status of their PushDomain. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from tubepost_operator.observed import LiveStatus, PodReport
from tubepost_runtime import pod_metrics

_DELIVERED: Final = "delivered"
_PERMANENT: Final = "permanent"
_OF_ONE_DEVICE: Final = frozenset({"TooManyRequests"})
"""Transient failures that say nothing of the route."""
_CLOSED: Final = ("locked", "failed", "orphaned")
"""States of partitions that are not open."""


def read_metrics(text: str) -> PodReport:
    """Read a pod's metrics in Prometheus' text format.

    Raises:
        ValueError: this is no such text.
    """
    # Only a few of the lines matter, and the parser is slow.
    lines = [line for line in text.splitlines() if line.startswith(pod_metrics.NAMES)]
    digest: str | None = None
    refused, refused_digest = False, ""
    entries = 0
    partitions: dict[str, float] = {}
    retiring, set_aside = False, 0
    stream: set[str] = set()
    sessions = 0
    attempts: dict[tuple[str, str, str], float] = {}
    held: set[str] = set()
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            labels, value = sample.labels, sample.value
            match sample.name:
                case pod_metrics.CONFIG_INFO if value:
                    # Workers that take a new configuration at different moments: not all have it yet.
                    digest = labels["hash"] if digest is None else ""
                case pod_metrics.CONFIG_LAST_RELOAD_FAILED:
                    refused = value > 0
                case pod_metrics.CONFIG_REFUSED_INFO if value:
                    refused_digest = labels["hash"]
                case pod_metrics.SMTP_SESSIONS:
                    sessions = int(value)
                case pod_metrics.ATTEMPTS_TOTAL:
                    key = (labels["route"], labels["outcome"], labels["reason"])
                    attempts[key] = attempts.get(key, 0.0) + value
                case pod_metrics.ROUTE_HELD if value:
                    held.add(labels["route"])
                case pod_metrics.QUEUE_ENTRIES:
                    entries = int(value)
                case pod_metrics.QUEUE_PARTITIONS:
                    partitions[labels["state"]] = value
                case pod_metrics.QUEUE_QUARANTINED | pod_metrics.QUEUE_DAMAGED:
                    set_aside += int(value)
                case pod_metrics.QUEUE_STREAM_STATE if value:
                    stream.add(labels["state"])
                case pod_metrics.RETIRING:
                    retiring = value > 0
    # What is in a partition that is not open, nobody knows.
    known = partitions.get("owned") and not any(partitions.get(state) for state in _CLOSED)
    queued = entries if known else None
    return PodReport(
        digest or "",
        refused,
        sessions,
        attempts,
        frozenset(held),
        refused_digest,
        queued,
        retiring,
        set_aside,
        frozenset(stream),
    )


@dataclass(slots=True)
class Rates:
    """Remembers the counters of the last scrape, for what happened since."""

    _last: dict[str, Mapping[tuple[str, str, str], float]] = field(default_factory=dict)
    _at: datetime | None = None
    _error: str | None = None
    _failing: set[str] = field(default_factory=set)
    _reasons: dict[str, str] = field(default_factory=dict)

    def take(self, reports: Mapping[str, PodReport], now: datetime) -> LiveStatus:
        """The current live status, from one report per pod (by uid)."""
        grown: dict[tuple[str, str, str], float] = {}
        for pod, report in reports.items():
            before = self._last.get(pod)
            for key, value in report.attempts.items():
                # A pod that was not there at the last scrape, or has restarted, counts from zero. At the very
                # first scrape it is not known how long the counters took.
                base = 0.0 if before is None else before.get(key, 0.0)
                increase = value - base if value >= base else value
                grown[key] = grown.get(key, 0.0) + increase
        seconds = (now - self._at).total_seconds() if self._at is not None else 0.0
        delivered = sum(value for (_, outcome, _), value in grown.items() if outcome == _DELIVERED)
        failures = {key: value for key, value in grown.items() if key[1] != _DELIVERED and value > 0}
        if failures and seconds:
            route, outcome, reason = max(failures, key=lambda key: (failures[key], key))
            self._error = f"ApnRoute {route}: {reason} ({outcome})"
        self._judge(grown)
        self._last = {pod: dict(report.attempts) for pod, report in reports.items()}
        self._at = now
        return LiveStatus(
            at=now,
            sessions=coarse(sum(report.sessions for report in reports.values())),
            delivered_per_minute=coarse(delivered * 60.0 / seconds) if seconds > 0 else 0,
            delivered=coarse(_total(reports.values(), _DELIVERED)),
            failed=coarse(_total(reports.values(), _PERMANENT)),
            held=tuple(sorted({route for report in reports.values() for route in report.held})),
            last_error=self._error,
            failing=tuple(sorted(self._failing)),
            reasons=dict(self._reasons),
            queued=coarse(_queued(reports.values())),
            stream=tuple(sorted({state for report in reports.values() for state in report.stream} - {"ok"})),
        )

    def _judge(self, grown: Mapping[tuple[str, str, str], float]) -> None:
        """Which routes fail altogether: until APNs takes or judges a notification, or there is no attempt."""
        for route in sorted({route for (route, _, _), value in grown.items() if value > 0}):
            of_route = {key: value for key, value in grown.items() if key[0] == route and value > 0}
            answered = any(outcome in {_DELIVERED, _PERMANENT} for _, outcome, _ in of_route)
            failures = {
                key: value
                for key, value in of_route.items()
                if key[1] not in {_DELIVERED, _PERMANENT} and key[2] not in _OF_ONE_DEVICE
            }
            if failures:
                self._reasons[route] = max(failures, key=lambda key: (failures[key], key))[2]
            if answered:
                self._failing.discard(route)
            elif failures:
                self._failing.add(route)


def _queued(reports: Iterable[PodReport]) -> int:
    """Notifications in the queues; in a stream, of which each pod tells the whole, once."""
    own, shared = 0, [0]
    for report in reports:
        if report.stream:
            shared.append(report.queued or 0)
        else:
            own += report.queued or 0
    return own + max(shared)


def told_of(live: LiveStatus, route: str) -> tuple[bool, bool, str]:
    """What is said of a route by these facts: whether it is held, whether it fails, and the reason."""
    held, failing = route in live.held, route in live.failing
    return held, failing, live.reasons.get(route, "") if held or failing else ""


def coarse(value: float) -> int:
    """A number rounded down to two digits, so that a status does not change with every message."""
    if value < 1:
        return 0
    factor = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return int(value // factor * factor)


def _total(reports: Iterable[PodReport], outcome: str) -> float:
    return sum(
        value for report in reports for (_, kind, _), value in report.attempts.items() if kind == outcome
    )
