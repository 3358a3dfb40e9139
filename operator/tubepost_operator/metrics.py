"""The operator's own metrics: names, labels and help in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the value."""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


CATALOG: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        "tubepost_operator_reconciles",
        "counter",
        "Looks at an object, by kind and result (written: something had to be; unchanged; failed).",
        ("kind", "result"),
    ),
    MetricSpec("tubepost_operator_reconcile_seconds", "histogram", "Duration of a look.", ("kind",)),
    MetricSpec(
        "tubepost_operator_errors",
        "counter",
        "Looks that failed, by kind of the object and class of the error (conflict, throttled, server, "
        "connection, forbidden, request, internal).",
        ("kind", "class"),
    ),
    MetricSpec(
        "tubepost_operator_api_requests",
        "counter",
        "Requests to the API server, by method and status (none: no answer). Watches have method WATCH.",
        ("method", "status"),
    ),
    MetricSpec(
        "tubepost_operator_writes", "counter", "Objects written, by kind and action.", ("kind", "action")
    ),
    MetricSpec("tubepost_operator_queue_depth", "gauge", "Objects that wait for a look."),
    MetricSpec("tubepost_operator_leader", "gauge", "1 while this replica holds the Lease."),
    MetricSpec(
        "tubepost_operator_upgrades_waiting",
        "gauge",
        "PushDomains whose pods wait for their turn after an upgrade of the operator.",
    ),
    MetricSpec(
        "tubepost_operator_watch_age_seconds",
        "gauge",
        "Time since the last event or bookmark of a watch.",
        ("watch",),
    ),
    MetricSpec(
        "tubepost_operator_objects",
        "gauge",
        "Objects by kind, condition and its status (True, False, Unknown).",
        ("kind", "condition", "status"),
    ),
    MetricSpec(
        "tubepost_operator_credential_expiry_timestamp_seconds",
        "gauge",
        "Unix time at which the certificate of a route ends.",
        ("namespace", "route"),
    ),
)

_SPECS: Final = {spec.name: spec for spec in CATALOG}


class _Computed(Collector):
    """A gauge whose values are made when somebody asks."""

    def __init__(self, spec: MetricSpec, values: Callable[[], Iterable[Sample]]) -> None:
        self._spec = spec
        self._values = values

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client."""
        family = GaugeMetricFamily(self._spec.name, self._spec.help, labels=self._spec.labels)
        for labels, value in self._values():
            family.add_metric(labels, value)
        yield family


class OperatorMetrics:
    """The metrics in one registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = self._counter("tubepost_operator_reconciles")
        spec = _SPECS["tubepost_operator_reconcile_seconds"]
        self.seconds = Histogram(spec.name, spec.help, spec.labels, registry=self.registry)
        self.errors = self._counter("tubepost_operator_errors")
        self.api_requests = self._counter("tubepost_operator_api_requests")
        self.writes = self._counter("tubepost_operator_writes")
        self.queue_depth = self._gauge("tubepost_operator_queue_depth")
        self.leader = self._gauge("tubepost_operator_leader")
        self.upgrades_waiting = self._gauge("tubepost_operator_upgrades_waiting")

    def compute(self, name: str, values: Callable[[], Iterable[Sample]]) -> None:
        """Have a gauge of the catalogue made from what is known at the time."""
        self.registry.register(_Computed(_SPECS[name], values))

    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str) -> Counter:
        spec = _SPECS[name]
        return Counter(spec.name, spec.help, spec.labels, registry=self.registry)

    def _gauge(self, name: str) -> Gauge:
        spec = _SPECS[name]
        return Gauge(spec.name, spec.help, spec.labels, registry=self.registry)
