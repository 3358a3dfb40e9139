from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import plot

SVG = "{http://www.w3.org/2000/svg}"


def document(**costs: float) -> dict[str, object]:
    rows = {name.replace("_", " "): {"cpu_us": cost} for name, cost in costs.items()}
    return {"suites": {"whole": {"rows": rows}, "http2": {"rows": {}}}}


def test_every_row_has_a_bar_in_order_and_a_figure() -> None:
    root = ET.fromstring(plot.svg(document(naive=2_000, tubepost=80.04, queued=101)))
    bars = root.findall(f"{SVG}rect")
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert widths == sorted(widths)
    assert len(widths) == 3
    assert [bar.attrib["fill"] for bar in bars] == [plot._OURS, plot._OURS, plot._OTHERS]
    texts = [text.text for text in root.findall(f"{SVG}text")]
    assert {"naive", "2,000", "tubepost", "80.0", "queued", "101", "The whole path"} <= set(texts)
    assert "The HTTP/2 half alone" not in texts


def test_names_are_escaped() -> None:
    root = ET.fromstring(plot.svg({"suites": {"x": {"rows": {"<a & b>": {"cpu_us": 3.0}}}}}))
    assert "<a & b>" in [text.text for text in root.findall(f"{SVG}text")]


@given(st.lists(st.floats(0.5, 1e6), min_size=1, max_size=30))
def test_bars_stay_within_the_picture(costs: list[float]) -> None:
    root = ET.fromstring(
        plot.svg({"suites": {"x": {"rows": {str(n): {"cpu_us": cost} for n, cost in enumerate(costs)}}}})
    )
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for bar in root.findall(f"{SVG}rect"):
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) <= width - plot.MARGIN
        assert float(bar.attrib["y"]) + plot.BAR < height


def test_nothing_is_no_picture() -> None:
    with pytest.raises(ValueError, match="nothing to plot"):
        plot.svg({"suites": {}})


def test_the_command_draws_from_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, picture = tmp_path / "f.json", tmp_path / "p.svg"
    figures.write_text(json.dumps(document(naive=1_000, tubepost=50)))
    monkeypatch.setattr("sys.argv", ["plot", str(figures), str(picture)])
    assert plot.main() == 0
    assert ET.fromstring(picture.read_text()).tag == f"{SVG}svg"
    monkeypatch.setattr("sys.argv", ["plot"])
    assert plot.main() == 2
    assert "FIGURES.json" in capsys.readouterr().err
