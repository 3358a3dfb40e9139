"""Draws the chart's Grafana dashboard from the data of a Prometheus, as one SVG, without a Grafana.

python scripts/draw_dashboard.py http://localhost:9090 dashboard.svg --minutes 60
"""

from __future__ import annotations

import argparse
import json
import math
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

DASHBOARD = Path(__file__).resolve().parents[1] / "charts" / "tubepost" / "dashboards" / "tubepost.json"
CELL_WIDTH, CELL_HEIGHT, GAP = 52, 28, 8
"""Pixels of a cell of Grafana's grid, which is 24 wide; and between panels."""
COLOURS = ("#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0")
STEPS = 120
"""Points of a line."""
_UNITS = {"s": " s", "ops": "/s", "percentunit": " %", "bytes": " B", "Bps": " B/s", "d": " d"}


def panels() -> Iterator[dict[str, Any]]:
    """The panels of the dashboard, rows included."""
    yield from json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]


def expression(target: Mapping[str, Any], interval: str) -> str:
    """A panel's query with Grafana's variables filled in: everything, and this rate interval."""
    text: str = target["expr"]
    for name, value in {"$__rate_interval": interval, "$namespace": ".*", "$push_domain": ".*"}.items():
        text = text.replace(name, value)
    return text


def ask(server: str, path: str, **parameters: object) -> list[dict[str, Any]]:
    """What Prometheus returns for a query.

    Raises:
        OSError: it does not answer, or refuses the query.
    """
    url = f"{server.rstrip('/')}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the user's own Prometheus
        return list(json.load(answer)["data"]["result"])


def draw(
    server: str,
    start: float,
    end: float,
    interval: str,
    wanted: Callable[[Mapping[str, Any]], bool] = lambda _: True,
) -> str:
    """The dashboard's `wanted` panels as SVG, from `start` to `end`, in unix seconds."""
    parts, bottom = [], 0
    shown = [panel for panel in panels() if wanted(panel)]
    top = min(panel["gridPos"]["y"] for panel in shown)
    for panel in shown:
        place = panel["gridPos"]
        x, y = place["x"] * CELL_WIDTH, (place["y"] - top) * CELL_HEIGHT
        width, height = place["w"] * CELL_WIDTH - GAP, place["h"] * CELL_HEIGHT - GAP
        bottom = max(bottom, y + height)
        if panel["type"] == "row":
            parts.append(_text(x, y + 16, panel["title"], 'font-size="14" font-weight="bold"'))
            continue
        title = _text(8, 16, panel["title"], 'font-size="12" font-weight="bold"')
        inside = _body(server, panel, start, end, interval, width, height)
        parts.append(
            f'<g transform="translate({x},{y})">'
            f'<rect width="{width}" height="{height}" rx="3" fill="#181b1f"/>'
            f"{title}{inside}</g>"
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 {24 * CELL_WIDTH + 8} {bottom + 16}" '
        'font-family="sans-serif" font-size="10" fill="#ccccdc"><rect x="-8" y="-8" width="100%" '
        f'height="100%" fill="#111217"/>{"".join(parts)}</svg>\n'
    )


def _body(
    server: str, panel: Mapping[str, Any], start: float, end: float, interval: str, width: int, height: int
) -> str:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if panel["type"] != "timeseries":
        target = panel["targets"][0]
        found = ask(server, "query", query=expression(target, interval), time=end)
        rows = [
            (" ".join(series["metric"].values()), _number(float(series["value"][1]), unit))
            for series in found
        ]
        if panel["type"] == "stat":
            return _text(width // 2, height // 2 + 16, rows[0][1] if rows else "no data", _BIG)
        return "".join(_text(8, 36 + 14 * n, f"{name}: {value}") for n, (name, value) in enumerate(rows[:12]))
    lines = []
    for target in panel["targets"]:
        query = expression(target, interval)
        step = _step(start, end)
        for series in ask(server, "query_range", query=query, start=start, end=end, step=step):
            legend = target["legendFormat"]
            for label, value in series["metric"].items():
                legend = legend.replace("{{" + label + "}}", value)
            legend = re.sub(r"{{\w+}}", "", legend)  # labels that are empty
            points = [(float(at), float(value)) for at, value in series["values"]]
            lines.append((legend, [(at, value) for at, value in points if math.isfinite(value)]))
    return _plot(lines, start, end, unit, width, height)


_BIG = 'font-size="22" text-anchor="middle"'


def _plot(
    lines: list[tuple[str, list[tuple[float, float]]]],
    start: float,
    end: float,
    unit: str,
    width: int,
    height: int,
) -> str:
    if not any(points for _, points in lines):
        return _text(width // 2, height // 2 + 8, "no data", 'text-anchor="middle" opacity="0.6"')
    legend_rows = math.ceil(min(len(lines), 12) / 3)
    left, top, plot_width, plot_height = 58, 26, width - 68, height - 36 - 12 * legend_rows
    most = max((value for _, points in lines for _, value in points), default=0.0) or 1.0
    parts = [
        f'<line x1="{left}" x2="{left + plot_width}" y1="{y:.0f}" y2="{y:.0f}" stroke="#2c3235"/>'
        + _text(left - 4, int(y) + 3, _number(most * share, unit), 'text-anchor="end" opacity="0.7"')
        for share, y in ((share, top + plot_height * (1 - share)) for share in (0.0, 0.5, 1.0))
    ]
    for number, (legend, points) in enumerate(lines[:12]):
        colour = COLOURS[number % len(COLOURS)]
        across, down = plot_width / (end - start), plot_height / most
        for piece in _pieces(points, 2.5 * _step(start, end)):
            path = " ".join(
                f"{left + across * (at - start):.0f},{top + plot_height - down * value:.0f}"
                for at, value in piece
            )
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.3" '
                'stroke-linecap="round"/>'
            )
        x, y = 8 + (number % 3) * (width // 3), height - 12 * legend_rows + 12 * (number // 3) + 2
        parts.append(f'<rect x="{x}" y="{y - 5}" width="10" height="3" fill="{colour}"/>')
        parts.append(_text(x + 14, y, legend[: width // 3 // 7]))
    return "".join(parts)


def _pieces(points: list[tuple[float, float]], gap: float) -> Iterator[list[tuple[float, float]]]:
    """A line's parts between the gaps in which there was no data, in seconds."""
    piece: list[tuple[float, float]] = []
    for point in points:
        if piece and point[0] - piece[-1][0] > gap:
            yield piece
            piece = []
        piece.append(point)
    if piece:
        yield piece


def _step(start: float, end: float) -> float:
    """Seconds between two points of a line."""
    return max(0.5, (end - start) / STEPS)


def _number(value: float, unit: str) -> str:
    if unit == "percentunit":
        value *= 100
    text = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2g}"
    return text + _UNITS.get(unit, "")


def _text(x: int, y: int, text: str, attributes: str = "") -> str:
    return f'<text x="{x}" y="{y}" {attributes}>{escape(text)}</text>'


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("server", help="URL of the Prometheus")
    parser.add_argument("output", type=Path, help="the SVG")
    parser.add_argument("--minutes", type=float, default=60.0, help="how far back (60)")
    parser.add_argument("--interval", default="5m", help="rate interval (5m)")
    arguments = parser.parse_args()
    end = time.time()
    picture = draw(arguments.server, end - arguments.minutes * 60, end, arguments.interval)
    arguments.output.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
