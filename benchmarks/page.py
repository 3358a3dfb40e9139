"""The figures on docs/benchmarks.md, with the plot, made from `figures.json`.

python -m benchmarks.page          make them anew from the JSON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine, plot, ratios, report
from benchmarks.rows import TITLES

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "benchmarks" / "figures.json"
PAGE = ROOT / "docs" / "benchmarks.md"
PLOT = ROOT / "docs" / "benchmarks.svg"
BEGIN, END = "<!-- figures: made by `make bench` -->", "<!-- end of figures -->"


def tables(document: dict[str, Any]) -> str:
    """The document as Markdown."""
    how = f"Medians of {document['runs']} interleaved runs of {document['seconds']:g} s"
    parts = [f"{how} (rows that no ratio needs have half as many); {machine.said(document['machine'])}."]
    for name, suite in document["suites"].items():
        parts.append(report.table(TITLES[name], suite, document["missing"].get(name, {})))
    parts.append(f"## Ratios\n\n{ratios.table(document['ratios'])}")
    return "\n\n".join(parts)


def put(page: str, document: dict[str, Any]) -> str:
    """The page with these figures in the place of those that it has.

    Raises:
        ValueError: it has no place for them.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN!r} or {END!r}")
    picture = f"![CPU per message of every contestant]({PLOT.name})"
    return f"{before}{BEGIN}\n{picture}\n\n{tables(document)}\n{END}{after}"


def write(document: dict[str, Any], figures: Path = FIGURES, page: Path = PAGE, picture: Path = PLOT) -> None:
    """Write figures, plot and page. Single runs are in the figures of each row, to be judged."""
    figures.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    picture.write_text(plot.svg(document), encoding="utf-8")
    page.write_text(put(page.read_text(encoding="utf-8"), document), encoding="utf-8")


def main() -> int:
    """Make plot and page from the figures."""
    write(json.loads(FIGURES.read_text(encoding="utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
