"""The ratios that are watched, and what is aimed at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from benchmarks import footprint, stalls


@dataclass(frozen=True)
class Figure:
    """One figure of a row: `cpu_us`, `rate`, `p99` (seconds); of `memory`: `mib`; of `stalls`: `ms`."""

    suite: str
    row: str
    name: str = "cpu_us"

    def of(self, suites: Mapping[str, Any]) -> float | None:
        """Its median, None where it was not measured."""
        row = suites.get(self.suite, {}).get("rows", {}).get(self.row, {})
        value: float | None = row.get(self.name)
        return value


@dataclass(frozen=True)
class Ratio:
    """`above` divided by `below` (without `below`: by `unit`), and the aim."""

    name: str
    above: Figure
    below: Figure | None
    aim: float
    at_most: bool = True
    unit: float = 1.0

    def of(self, suites: Mapping[str, Any]) -> float | None:
        """Its value, None where a part was not measured."""
        above = self.above.of(suites)
        below = self.unit if self.below is None else self.below.of(suites)
        return None if above is None or not below else above / below

    def holds(self, value: float) -> bool:
        """Whether the aim is reached."""
        return value <= self.aim if self.at_most else value >= self.aim

    @property
    def wanted(self) -> str:
        """The aim in words."""
        return f"at {'most' if self.at_most else 'least'} {self.aim:g}"


def _scaled(more: str, row: str = "tubepost, 20 by command") -> Figure:
    return Figure("scale", row + more)


_NAIVE = Figure("whole", "naive, 20 by command")
_DIRECT, _PIPELINED = (
    Figure("whole", "tubepost, 20 by command"),
    Figure("whole", "tubepost, 200 pipelined"),
)
_COMPILED_DIRECT, _COMPILED = (
    Figure("whole", "tubepost compiled, 20 by command"),
    Figure("whole", "tubepost compiled, 200 pipelined"),
)
_COMPILED_QUEUED = Figure("whole", "queued compiled, 200 pipelined")
_POOL, _APNS2 = Figure("http2", "tubepost's pool"), Figure("http2", "Go apns2")
_SMTP, _STOCK = (
    Figure("smtp", "tubepost, 20 by command"),
    Figure("smtp", "aiosmtpd, 20 by command"),
)

RATIOS = (
    Ratio("whole path, 200 pipelined / Go apns2's HTTP/2 half", _PIPELINED, _APNS2, 1.0),
    Ratio("whole path, 20 by command / Go apns2's HTTP/2 half", _DIRECT, _APNS2, 1.6),
    Ratio("whole path compiled, 200 pipelined / Go apns2's HTTP/2 half", _COMPILED, _APNS2, 1.0),
    Ratio("whole path compiled, 20 by command / Go apns2's HTTP/2 half", _COMPILED_DIRECT, _APNS2, 1.6),
    Ratio("naive / whole path, 200 pipelined", _NAIVE, _PIPELINED, 60, at_most=False),
    Ratio("naive / whole path, 20 by command", _NAIVE, _DIRECT, 40, at_most=False),
    Ratio("naive / whole path compiled, 200 pipelined", _NAIVE, _COMPILED, 60, at_most=False),
    Ratio("naive / whole path compiled, 20 by command", _NAIVE, _COMPILED_DIRECT, 40, at_most=False),
    Ratio("our HTTP/2 half / Go apns2", _POOL, _APNS2, 0.3),
    Ratio("our HTTP/2 half / Java Pushy, hot", _POOL, Figure("http2", "Java Pushy, hot"), 1.0),
    Ratio("stock aiosmtpd / our SMTP half, 20 by command", _STOCK, _SMTP, 8, at_most=False),
    Ratio("Queued / Direct, 200 pipelined", Figure("whole", "queued, 200 pipelined"), _PIPELINED, 1.35),
    Ratio("Queued / Direct, 20 by command", Figure("whole", "queued, 20 by command"), _DIRECT, 1.35),
    Ratio("Queued / Direct compiled, 200 pipelined", _COMPILED_QUEUED, _COMPILED, 1.35),
    Ratio("256 domains / one", _scaled(", 256 domains"), _scaled(""), 1.1),
    Ratio("1,000 domains / one", _scaled(", 1,000 domains"), _scaled(""), 1.1),
    Ratio("2,000 idle sessions beside / none", _scaled(", 2,000 idle beside"), _scaled(""), 1.1),
    Ratio("2,000 idle sessions / 20", _scaled(", 2,000 idle beside"), _scaled(", 20 idle beside"), 1.1),
    Ratio(
        "100,000 waiting in the queue / none",
        _scaled(", 100,000 waiting", "queued, 200 pipelined"),
        _scaled("", "queued, 200 pipelined"),
        1.1,
    ),
    Ratio(
        "p99 at half load, 20 by command, ms",
        Figure("whole", "tubepost, 20 by command at half of that rate", "p99"),
        None,
        20,
        unit=1e-3,
    ),
    Ratio(f"MiB: {footprint.AT_REST}", Figure("memory", footprint.AT_REST, "mib"), None, 90),
    Ratio(f"MiB: {footprint.FURTHER}", Figure("memory", footprint.FURTHER, "mib"), None, 30),
    Ratio(f"MiB: {footprint.LOADED}", Figure("memory", footprint.LOADED, "mib"), None, 150),
    *(
        Ratio(f"longest stall of the loop, ms: {one.name}", Figure("stalls", one.name, "ms"), None, 50)
        for one in stalls.SCENARIOS
    ),
)
"""Of CPU per message where nothing else is said."""


def values(
    suites: Mapping[str, Any],
    memory: Mapping[str, float],
    longest: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> dict[str, float]:
    """Those that the measured rows, MiB of memory by name, and the longest stalls by name give."""
    rows = {name: {"mib": mib} for name, mib in memory.items()}
    everything = {**suites, "memory": {"rows": rows}, "stalls": {"rows": longest}}
    found = {ratio.name: ratio.of(everything) for ratio in RATIOS}
    return {name: value for name, value in found.items() if value is not None}


def compared(suites: Mapping[str, Any]) -> list[str]:
    """A line for each row that was measured before and after a change."""
    lines = []
    for suite in suites.values():
        for name, row in suite["rows"].items():
            if before := suite["rows"].get(f"{name}, before"):
                ratio = row["cpu_us"] / before["cpu_us"]
                lines.append(f"{name}: {before['cpu_us']:.1f} before, {row['cpu_us']:.1f} now: {ratio:.3f}")
    return lines


def table(found: Mapping[str, float]) -> str:
    """As a Markdown table."""
    lines = ["| ratio (CPU per message), or figure | now | aim | |", "| --- | ---: | ---: | --- |"]
    for ratio in RATIOS:
        if (value := found.get(ratio.name)) is not None:
            said = "holds" if ratio.holds(value) else "not yet"
            lines.append(f"| {ratio.name} | {value:.2f} | {ratio.wanted} | {said} |")
    return "\n".join(lines)
