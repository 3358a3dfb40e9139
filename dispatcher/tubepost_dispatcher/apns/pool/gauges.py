"""A pool's part of the metrics. Several pools of one route add up, so gauges are moved, not set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tubepost_dispatcher.metrics import Metrics

INTERVAL = 0.25
"""Seconds between refreshes of the gauges while there is traffic."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What the gauges show. `token_age` is in seconds, None without a provider token in use."""

    connections: int = 0
    streams: int = 0
    stream_limit: int = 0
    pending: int = 0
    held: bool = False
    token_age: float | None = None


class PoolGauges:
    """The metrics of one pool, with its label children kept."""

    __slots__ = (
        "_gauges",
        "_held",
        "_loop",
        "_metrics",
        "_opened",
        "_read",
        "_route",
        "_scheduled",
        "_shown",
        "_stopped",
        "observe_latency",
        "resubmitted",
    )

    def __init__(
        self, route: str, metrics: Metrics, loop: asyncio.AbstractEventLoop, read: Callable[[], Readings]
    ) -> None:
        self._route = route
        self._metrics = metrics
        self._loop = loop
        self._read = read
        self.observe_latency = metrics.histogram_tally(metrics.apns_latency.labels(route)).observe
        """Take the seconds between a request and its answer."""
        self.resubmitted = metrics.apns_resubmitted.labels(route)
        self._opened = metrics.apns_connections_opened.labels(route)
        self._held = metrics.route_held.labels(route)
        self._held.set(0)
        self._gauges = (
            metrics.apns_connections.labels(route),
            metrics.apns_streams.labels(route),
            metrics.apns_stream_limit.labels(route),
            metrics.apns_pending.labels(route),
        )
        self._shown = [0, 0, 0, 0]
        self._scheduled = False
        self._stopped = False

    def opened(self) -> None:
        """Count a connection that became usable."""
        self._opened.inc()

    def closed(self, cause: str) -> None:
        """Count a connection that ended."""
        self._metrics.apns_connections_closed.labels(self._route, cause).inc()

    def connect_failed(self, cause: str) -> None:
        """Count a failed attempt to connect."""
        self._metrics.apns_connect_failures.labels(self._route, cause).inc()

    def refresh_soon(self) -> None:
        """Refresh the gauges within INTERVAL; cheap enough to call for every request."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_later(INTERVAL, self.refresh)

    def refresh(self) -> None:
        """Move the gauges to the present readings."""
        self._scheduled = False
        if not self._stopped:
            self._show(self._read())

    def stop(self) -> None:
        """Take this pool's part out of the gauges, and refresh no more."""
        self._stopped = True
        self._show(Readings())

    def _show(self, now: Readings) -> None:
        values = (now.connections, now.streams, now.stream_limit, now.pending)
        for place, (gauge, value) in enumerate(zip(self._gauges, values, strict=True)):
            if value != self._shown[place]:
                gauge.inc(value - self._shown[place])
                self._shown[place] = value
        self._held.set(1 if now.held else 0)
        if now.token_age is not None:
            self._metrics.provider_token_age.labels(self._route).set(now.token_age)
