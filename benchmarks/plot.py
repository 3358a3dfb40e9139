"""A plot of a run's figures: CPU per message of every row, as SVG.

python -m benchmarks.plot FIGURES.json PLOT.svg
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.rows import TITLES

WIDTH, LABELS, BAR, GAP, MARGIN = 860, 300, 15, 6, 16
"""Pixels: of the picture, of the column of names, height of a bar and of the space below, at the edge."""
_OURS, _OTHERS, _GRID = "#1f6feb", "#9aa4b2", "#8884"
_VALUES = 70
"""Pixels at the right for figures."""


def svg(document: Mapping[str, Any]) -> str:
    """The picture. Bars have a logarithmic scale, since the contestants are three powers of ten apart."""
    suites = {name: suite["rows"] for name, suite in document["suites"].items() if suite["rows"]}
    costs = [row["cpu_us"] for rows in suites.values() for row in rows.values()]
    if not costs:
        raise ValueError("there is nothing to plot")
    scale = Scale(min(costs), max(costs))
    parts: list[str] = []
    top = MARGIN + 22
    for name, rows in suites.items():
        parts.append(_text(MARGIN, top, TITLES.get(name, name), 'font-weight="bold"'))
        top += 12
        begun = top
        bars: list[str] = []
        for row, figures in sorted(rows.items(), key=lambda item: item[1]["cpu_us"]):
            bars += _bar(row, figures["cpu_us"], scale, top)
            top += BAR + GAP
        parts += [_line(scale.x(tick), begun - 2, top) for tick in scale.ticks()] + bars
        parts += [
            _text(scale.x(tick), top + 12, f"{tick:,}", 'text-anchor="middle" opacity="0.7"')
            for tick in scale.ticks()
        ]
        top += 44
    title = "CPU microseconds per message (logarithmic; less is better)"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" font-family="sans-serif" '
        f'font-size="12" fill="#57606a">\n<title>{title}</title>\n'
        + _text(MARGIN, MARGIN + 2, title, 'font-size="13"')
        + "\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


class Scale:
    """From microseconds to pixels: whole powers of ten around all figures."""

    def __init__(self, least: float, greatest: float) -> None:
        self.low = math.floor(math.log10(least))
        self.high = max(self.low + 1, math.ceil(math.log10(greatest)))

    def x(self, value: float) -> float:
        """Where a figure lies."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return LABELS + share * (WIDTH - LABELS - MARGIN - _VALUES)

    def ticks(self) -> list[int]:
        """Powers of ten from 1 on."""
        return [10**power for power in range(max(0, self.low), self.high + 1)]


def _bar(name: str, cost: float, scale: Scale, top: int) -> list[str]:
    colour = _OURS if name.startswith(("tubepost", "queued")) else _OTHERS
    right = scale.x(cost)
    width = max(1.0, right - LABELS)
    label = f"{cost:,.1f}" if cost < 100 else f"{cost:,.0f}"
    return [
        _text(LABELS - 8, top + 12, name, 'text-anchor="end"'),
        f'<rect x="{LABELS}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
        _text(right + 6, top + 12, label),
    ]


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{f" {more}" if more else ""}>{escape(text)}</text>'


def _line(x: float, top: float, bottom: float) -> str:
    return f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="{_GRID}"/>'


def main() -> int:
    """Draw."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(svg(document), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
