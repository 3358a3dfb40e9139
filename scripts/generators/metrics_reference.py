"""docs/reference/metrics.md, from the catalogue of the dispatcher's metrics."""

from __future__ import annotations

from tubepost_dispatcher.metrics import CATALOG, LATENCY_BUCKETS
from tubepost_runtime.metrics import MetricSpec

_HEAD = """\
# Metrics

<!-- Generated from dispatcher/tubepost_dispatcher/metrics.py by `make generate`. -->

The dispatcher serves its metrics at `/metrics` of its public HTTP port, in Prometheus' text format. The
values are those of the pod: the supervisor puts together what its workers count. *Workers* says how: the sum
of their values, or the greatest. What a worker that ended has counted stays in the sum; its gauges go.

| Metric | Type | Labels | Workers | Meaning |
| --- | --- | --- | --- | --- |
"""


def outputs() -> dict[str, str]:
    """The page."""
    rows = "".join(_row(spec) for spec in CATALOG)
    bounds = ", ".join(f"{bound:g}" for bound in LATENCY_BUCKETS)
    return {"docs/reference/metrics.md": f"{_HEAD}{rows}\nBuckets of histograms, in seconds: {bounds}.\n"}


def _row(spec: MetricSpec) -> str:
    # A counter's samples carry the suffix that Prometheus' format adds; queries need that name.
    name = f"{spec.name}_total" if spec.kind == "counter" else spec.name
    labels = ", ".join(f"`{label}`" for label in spec.labels)
    text = spec.help.replace("|", "\\|")
    return f"| `{name}` | {spec.kind} | {labels} | {spec.aggregate} | {text} |\n"
