"""Metrics, each declared once: the declaration makes the row of the catalogue, the object and the attribute.

For example:

    class Metrics(MetricSet):
        messages = counter("tubepost_messages", "Messages, by result.", "result")

    metrics = Metrics()
    metrics.messages.labels("accepted").inc()
    Metrics.messages.spec.help
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Generic, Literal, Self, TypeVar, overload

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

M = TypeVar("M", bound=Collector)

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the value."""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One row of a catalogue.

    Attributes:
        name: without the suffix that its samples may have (`_total`, `_bucket`, ...).
        kind: its type, in Prometheus' words.
        help: a sentence.
        labels: their names.
        aggregate: how the values of several processes become one.
        buckets: upper bounds of a histogram.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    aggregate: Literal["sum", "max"] = "sum"
    buckets: tuple[float, ...] = ()


class Declared(Generic[M]):
    """A metric of a `MetricSet`: the class has the declaration, every instance the metric itself."""

    def __init__(self, spec: MetricSpec, make: Callable[[MetricSpec, CollectorRegistry], M]) -> None:
        self.spec = spec
        self.make = make
        self._attribute = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._attribute = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> M: ...
    def __get__(self, instance: object | None, owner: type) -> Self | M:
        # An instance has the metric in its own dictionary, which is found first: no call on the hot path.
        if instance is None:
            return self
        raise AttributeError(f"{owner.__name__}.{self._attribute} before MetricSet.__init__")


class ComputedGauge(Collector):
    """A gauge whose values are made when somebody asks."""

    def __init__(self, spec: MetricSpec) -> None:
        self._spec = spec
        self._values: Callable[[], Iterable[Sample]] = tuple

    def compute(self, values: Callable[[], Iterable[Sample]]) -> None:
        """From now on the values are these; until the first call there are none."""
        self._values = values

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client.registry.Collector."""
        family = GaugeMetricFamily(self._spec.name, self._spec.help, labels=self._spec.labels)
        for labels, value in self._values():
            family.add_metric(labels, value)
        yield family


def counter(name: str, text: str, *labels: str) -> Declared[Counter]:
    """Declare a counter; the format adds `_total` to its name."""

    def make(spec: MetricSpec, registry: CollectorRegistry) -> Counter:
        return Counter(spec.name, spec.help, spec.labels, registry=registry)

    return Declared(MetricSpec(name, "counter", text, labels), make)


def gauge(name: str, text: str, *labels: str, aggregate: Literal["sum", "max"] = "sum") -> Declared[Gauge]:
    """Declare a gauge."""

    def make(spec: MetricSpec, registry: CollectorRegistry) -> Gauge:
        return Gauge(spec.name, spec.help, spec.labels, registry=registry)

    return Declared(MetricSpec(name, "gauge", text, labels, aggregate), make)


class BatchedHistogram(Histogram):
    """A histogram that takes many observations at a time."""

    @property
    def bounds(self) -> Sequence[float]:
        """Upper bounds of the buckets, with infinity."""
        return self._upper_bounds

    def add(self, counts: Sequence[int], total: float) -> None:
        """Take observations that are counted already, by bucket, and their sum."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


def histogram(
    name: str, text: str, *labels: str, buckets: tuple[float, ...] = Histogram.DEFAULT_BUCKETS
) -> Declared[BatchedHistogram]:
    """Declare a histogram; `buckets` are upper bounds, without infinity."""

    def make(spec: MetricSpec, registry: CollectorRegistry) -> BatchedHistogram:
        return BatchedHistogram(spec.name, spec.help, spec.labels, buckets=spec.buckets, registry=registry)

    return Declared(MetricSpec(name, "histogram", text, labels, buckets=buckets), make)


def computed(name: str, text: str, *labels: str) -> Declared[ComputedGauge]:
    """Declare a gauge whose values are made when somebody asks."""

    def make(spec: MetricSpec, registry: CollectorRegistry) -> ComputedGauge:
        made = ComputedGauge(spec)
        registry.register(made)
        return made

    return Declared(MetricSpec(name, "gauge", text, labels), make)


class Tally:
    """A counter for what happens with every message: a plain integer, added to the metric when somebody asks.

    `Counter.inc` takes a lock and several calls. For one thread, the event loop's; write `tally.count += 1`.
    """

    __slots__ = ("_counter", "count")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.count = 0

    def flush(self) -> None:
        """Add what was counted to the metric."""
        count, self.count = self.count, 0
        if count:
            self._counter.inc(count)


class HistogramTally:
    """The same for a histogram: `Histogram.observe` takes two locks and a dozen calls."""

    __slots__ = ("_bounds", "_counts", "_histogram", "_total")

    def __init__(self, histogram: BatchedHistogram) -> None:
        self._histogram = histogram
        self._bounds = histogram.bounds
        self._counts = [0] * len(self._bounds)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """See `Histogram.observe`."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def flush(self) -> None:
        """Add what was observed to the metric."""
        counts, total = self._counts, self._total
        self._counts, self._total = [0] * len(counts), 0.0
        if any(counts):
            self._histogram.add(counts, total)


class _Tallies(Collector):
    """Comes first in its registry, and brings the metrics that follow up to date."""

    def __init__(self) -> None:
        self.by_counter: dict[Counter, Tally] = {}
        self.by_histogram: dict[Histogram, HistogramTally] = {}

    def collect(self) -> Iterator[Metric]:
        for tally in self.by_counter.values():
            tally.flush()
        for tallied in self.by_histogram.values():
            tallied.flush()
        return iter(())


class MetricSet:
    """The metrics of a program, in one registry (its own by default, so that instances do not share)."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._tallies = _Tallies()
        self.registry.register(self._tallies)
        for name, declared in _declarations(type(self)):
            self.__dict__[name] = declared.make(declared.spec, self.registry)

    def tally(self, counter: Counter) -> Tally:
        """A cheap way to count into a counter, or a child of one; the same one whenever it is asked for."""
        tally = self._tallies.by_counter.get(counter)
        if tally is None:
            tally = self._tallies.by_counter[counter] = Tally(counter)
        return tally

    def histogram_tally(self, histogram: BatchedHistogram) -> HistogramTally:
        """The same for a histogram."""
        tally = self._tallies.by_histogram.get(histogram)
        if tally is None:
            tally = self._tallies.by_histogram[histogram] = HistogramTally(histogram)
        return tally

    @classmethod
    def catalogue(cls) -> tuple[MetricSpec, ...]:
        """What was declared, in that order."""
        return tuple(declared.spec for _, declared in _declarations(cls))


def begin(metric: Counter, *values: Iterable[str]) -> None:
    """Let a counter begin at 0 for every combination of these values of its labels.

    Prometheus sees no increase in the first value of a series: an alert would miss what happens once.
    """
    for labels in product(*values):
        metric.labels(*labels)


def _declarations(cls: type[MetricSet]) -> Iterator[tuple[str, Declared[Collector]]]:
    for name, value in vars(cls).items():
        if isinstance(value, Declared):
            yield name, value
