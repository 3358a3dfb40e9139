"""The pod's metrics: the workers' samples added up, those of workers that ended folded in.

Counters must never go back: a worker that ended leaves its last samples behind in the base, so the sum
only grows. Gauges of a worker that ended are forgotten. Pure: samples in, families out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tubepost_dispatcher.metrics import CATALOG
from tubepost_runtime.metrics import MetricSpec

Samples = dict[str, list[tuple[tuple[str, ...], float]]]
"""Sample name -> label values in the order of the catalogue (and `le` last), and value."""

_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum")}


def take_samples(registry: CollectorRegistry) -> Samples:
    """Every sample of the catalogue's metrics in a registry."""
    specs = {spec.name: spec for spec in CATALOG}
    samples: Samples = {}
    for family in registry.collect():
        spec = specs.get(family.name)
        if spec is None:
            continue
        suffixes = _SUFFIXES[spec.kind]
        for sample in family.samples:
            suffix = sample.name[len(spec.name) :]
            if suffix not in suffixes:
                continue  # _created and _count follow from the others
            labels = (*spec.labels, "le") if suffix == "_bucket" else spec.labels
            key = tuple(sample.labels[label] for label in labels)
            samples.setdefault(sample.name, []).append((key, sample.value))
    return samples


class Totals(Collector):
    """Adds up samples; a prometheus_client collector, so that /metrics is rendered by the library."""

    def __init__(self) -> None:
        self._base: dict[str, dict[tuple[str, ...], float]] = {}
        self._live: dict[object, Samples] = {}

    def update(self, worker: object, samples: Samples) -> None:
        """Take a worker's newest samples."""
        self._live[worker] = samples

    def fold(self, worker: object) -> None:
        """The worker has ended: its counters stay, its gauges go."""
        samples = self._live.pop(worker, None)
        if samples is None:
            return
        for spec in CATALOG:
            if spec.kind == "gauge":
                continue
            for suffix in _SUFFIXES[spec.kind]:
                name = spec.name + suffix
                base = self._base.setdefault(name, {})
                for labels, value in samples.get(name, ()):
                    base[labels] = base.get(labels, 0.0) + value

    def values(self, spec: MetricSpec, suffix: str) -> Mapping[tuple[str, ...], float]:
        """The aggregated samples of one metric by label values."""
        name = spec.name + suffix
        merged = dict(self._base.get(name, {}))
        for samples in self._live.values():
            for labels, value in samples.get(name, ()):
                if labels not in merged:
                    merged[labels] = value
                elif spec.aggregate == "max":
                    merged[labels] = max(merged[labels], value)
                else:
                    merged[labels] += value
        return merged

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client.registry.Collector."""
        for spec in CATALOG:
            if spec.kind == "counter":
                counter = CounterMetricFamily(spec.name, spec.help, labels=spec.labels)
                for labels, value in self.values(spec, "_total").items():
                    counter.add_metric(labels, value)
                yield counter
            elif spec.kind == "gauge":
                gauge = GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)
                for labels, value in self.values(spec, "").items():
                    gauge.add_metric(labels, value)
                yield gauge
            else:
                yield self._histogram(spec)

    def _histogram(self, spec: MetricSpec) -> Metric:
        family = HistogramMetricFamily(spec.name, spec.help, labels=spec.labels)
        buckets: dict[tuple[str, ...], list[tuple[str, float]]] = {}
        for (*labels, le), value in self.values(spec, "_bucket").items():
            buckets.setdefault(tuple(labels), []).append((le, value))
        sums = self.values(spec, "_sum")
        for labels_key, series in buckets.items():
            family.add_metric(
                labels_key, buckets=_sorted_buckets(series), sum_value=sums.get(labels_key, 0.0)
            )
        return family

    def describe(self) -> Iterable[Metric]:
        """Nothing to check at registration: the catalogue is unique by its own test."""
        return ()


def _sorted_buckets(series: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    return sorted(series, key=lambda item: float(item[0]))
