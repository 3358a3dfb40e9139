"""Medians, ratios and the table."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol


class Run(Protocol):
    """What the table needs of one run."""

    @property
    def rate(self) -> float: ...
    @property
    def cost(self) -> float: ...
    @property
    def memory(self) -> int: ...
    def as_dict(self) -> dict[str, Any]: ...


def summary(
    runs: Mapping[str, Sequence[Run]], baseline: str, pairs: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Medians of each variant, how many times better than `baseline` they are, and ratios of pairs."""
    rows: dict[str, Any] = {}
    for name, results in runs.items():
        rows[name] = {
            "rate": statistics.median(result.rate for result in results),
            "cpu_us": statistics.median(result.cost for result in results),
            "memory_mb": statistics.median(result.memory for result in results) / 1e6,
            "runs": [result.as_dict() for result in results],
        }
    base = rows.get(baseline)
    for row in rows.values():
        row["rate_ratio"] = row["rate"] / base["rate"] if base else None
        row["cpu_ratio"] = base["cpu_us"] / row["cpu_us"] if base else None
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    ratios = {
        f"{one} / {other}": {
            "rate": rows[one]["rate"] / rows[other]["rate"],
            "cpu_us": rows[one]["cpu_us"] / rows[other]["cpu_us"],
        }
        for one, other in pairs
        if one in rows and other in rows
    }
    return {"machine": machine, "baseline": baseline, "variants": rows, "ratios": ratios}


def table(title: str, what: str, made: Mapping[str, Any]) -> str:
    """The summary as a Markdown table."""
    lines = [
        f"## {title}",
        f"Medians of interleaved runs; {made['machine']}.",
        "",
        f"| variant | {what}s/s | CPU us/{what} | MB | rate / naive | naive CPU / own | runs, CPU us |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, row in made["variants"].items():
        ratios = [f"{row[key]:.1f}" if row[key] else "" for key in ("rate_ratio", "cpu_ratio")]
        runs = " ".join(f"{run['cpu_us']:.0f}" for run in row["runs"])
        lines.append(
            f"| {name} | {row['rate']:,.0f} | {row['cpu_us']:,.0f} | {row['memory_mb']:.0f} "
            f"| {ratios[0]} | {ratios[1]} | {runs} |"
        )
    for name, ratio in made["ratios"].items():
        lines += ["", f"{name}: {what}s/s {ratio['rate']:.2f}, CPU us/{what} {ratio['cpu_us']:.2f}"]
    return "\n".join(lines)
