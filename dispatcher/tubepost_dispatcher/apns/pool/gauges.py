"""A pool's part of the metrics. Several pools of one route add up, so gauges are moved, not set."""

from __future__ import annotations

from tubepost_dispatcher.metrics import Metrics


class PoolGauges:
    """The metrics of one pool, with its label children kept."""

    INTERVAL = 0.25
    """Seconds between refreshes of the gauges while there is traffic."""

    __slots__ = (
        "_gauges",
        "_held",
        "_metrics",
        "_opened",
        "_route",
        "_shown",
        "observe_latency",
        "resubmitted",
    )

    def __init__(self, route: str, metrics: Metrics) -> None:
        self._route = route
        self._metrics = metrics
        self.observe_latency = metrics.apns_latency.labels(route).observe
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

    def opened(self) -> None:
        """Count a connection that became usable."""
        self._opened.inc()

    def closed(self, cause: str) -> None:
        """Count a connection that ended."""
        self._metrics.apns_connections_closed.labels(self._route, cause).inc()

    def connect_failed(self, cause: str) -> None:
        """Count a failed attempt to connect."""
        self._metrics.apns_connect_failures.labels(self._route, cause).inc()

    def show(
        self,
        *,
        connections: int,
        streams: int,
        stream_limit: int,
        pending: int,
        held: bool,
        token_age: float | None,
    ) -> None:
        """Move the gauges to these values."""
        values = (connections, streams, stream_limit, pending)
        for place, (gauge, value) in enumerate(zip(self._gauges, values, strict=True)):
            if value != self._shown[place]:
                gauge.inc(value - self._shown[place])
                self._shown[place] = value
        self._held.set(1 if held else 0)
        if token_age is not None:
            self._metrics.provider_token_age.labels(self._route).set(token_age)

    def zero(self) -> None:
        """Take this pool's part out of the gauges."""
        self.show(connections=0, streams=0, stream_limit=0, pending=0, held=False, token_age=None)
