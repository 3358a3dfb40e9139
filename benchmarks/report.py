"""Medians, comparisons and tables."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measure import Result


def summary(runs: Mapping[str, Sequence[Result]], baseline: str) -> dict[str, Any]:
    """Medians of each row, and how many times better than the row `baseline` it is (None without it)."""
    rows = {name: _medians(results) for name, results in runs.items() if results}
    base = rows.get(baseline)
    for row in rows.values():
        row["rate_ratio"] = row["rate"] / base["rate"] if base else None
        row["cpu_ratio"] = base["cpu_us"] / row["cpu_us"] if base else None
    return {"baseline": baseline, "rows": rows}


def _medians(results: Sequence[Result]) -> dict[str, Any]:
    def median(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    return {
        "rate": median([result.rate for result in results]),
        "cpu_us": median([result.cost for result in results]),
        "load_us": median([result.load_cpu / result.messages * 1e6 for result in results]),
        "sink_us": median([result.sink_cpu / result.messages * 1e6 for result in results]),
        "cores": median([result.cpu / result.seconds for result in results]),
        "other_cores": median([result.other_cpu / result.seconds for result in results]),
        "memory_mib": median([result.memory / 2**20 for result in results]),
        "p50": median([result.p50 for result in results]),
        "p99": median([result.p99 for result in results]),
        "longest": median([result.longest for result in results]),
        "runs": [result.as_dict() for result in results],
    }


def table(title: str, suite: Mapping[str, Any], missing: Mapping[str, str]) -> str:
    """A suite as a Markdown table; `missing` are rows without figures, and why."""
    baseline = suite["baseline"]
    head = (
        "per second",
        "CPU us each",
        f"{baseline.partition(',')[0]}'s CPU / own",
        "p50 ms",
        "p99 ms",
        "MiB",
    )
    lines = [
        f"## {title}",
        "",
        f"| | {' | '.join(head)} | generator us | sink us | runs, CPU us |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, row in suite["rows"].items():
        runs = " ".join(f"{run['cpu_us']:.0f}" for run in row["runs"])
        cells = [
            f"{row['rate']:,.0f}",
            _short(row["cpu_us"]),
            _short(row["cpu_ratio"]),
            *(_short(row[key] and row[key] * 1e3) for key in ("p50", "p99")),
            f"{row['memory_mib']:.0f}",
            *(_short(row[key] or None) for key in ("load_us", "sink_us")),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {runs} |")
    lines += [f"| {name} | not measured: {why} | | | | | | | | |" for name, why in missing.items()]
    others = [row["other_cores"] for row in suite["rows"].values()]
    if others:
        lines += ["", f"Other programs took {statistics.median(others):.2f} cores at the time."]
    return "\n".join(lines)


def _short(value: float | None) -> str:
    """With one decimal where the figure is small; empty for None."""
    if value is None:
        return ""
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
