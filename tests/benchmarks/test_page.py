from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import page, plot, report
from benchmarks.measure import Result

MACHINE = {"cores": 2, "processor": "P", "memory_mib": 2048, "kernel": "6", "python": "3.11", "load": 0.1}


def document() -> dict[str, Any]:
    suites = {"smtp": report.summary({"tubepost, x": [Result(100, 1.0, 0.02, 2**21)]}, "absent")}
    return {
        "machine": MACHINE,
        "runs": 5,
        "seconds": 2.5,
        "suites": suites,
        "missing": {"smtp": {"other": "not installed"}},
        "ratios": {},
    }


def test_the_tables_say_how_and_where() -> None:
    text = page.tables(document())
    assert "Medians of 5 interleaved runs of 2.5 s" in text
    assert "2 cores of P, 2 GiB" in text
    assert "| tubepost, x | 100 | 200 |" in text
    assert "| other | not measured: not installed |" in text


def test_figures_take_the_place_of_those_before() -> None:
    once = page.put(f"a\n{page.BEGIN}\nold\n{page.END}\nb\n", document())
    assert once.startswith(f"a\n{page.BEGIN}\n![")
    assert once.endswith(f"{page.END}\nb\n")
    assert "old" not in once
    assert page.put(once, document()) == once
    with pytest.raises(ValueError, match="lacks"):
        page.put("nothing", document())


def test_all_three_files_are_written(tmp_path: Path) -> None:
    figures, text, picture = tmp_path / "f.json", tmp_path / "p.md", tmp_path / "p.svg"
    text.write_text(f"{page.BEGIN}\n{page.END}")
    page.write(document(), figures, text, picture)
    assert json.loads(figures.read_text()) == document()
    assert "200" in text.read_text()
    assert picture.read_text() == plot.svg(document())


def test_the_page_and_the_plot_are_those_of_the_figures() -> None:
    made = json.loads(page.FIGURES.read_text())
    text = page.PAGE.read_text()
    assert page.put(text, made) == text, "python -m benchmarks.page"
    assert page.PLOT.read_text() == plot.svg(made)
