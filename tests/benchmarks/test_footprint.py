from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import footprint
from benchmarks.fixtures import Fixtures


def test_figures_are_of_one_worker_of_each_further_and_of_load() -> None:
    fixtures = Fixtures(*[Path()] * 5)
    asked: list[tuple[str, int]] = []

    def rest(_fixtures: Fixtures, ours: str, workers: int) -> float:
        asked.append((ours, workers))
        return {1: 100.0, 2: 130.0, 3: 170.0}[workers]

    found = footprint.figures(fixtures, "ours", rest, lambda _fixtures, _ours: 120.0)
    assert asked == [("ours", 1), ("ours", 2), ("ours", 3)]
    assert found == {
        "supervisor and one worker at rest": 100.0,
        "each further worker": pytest.approx(35.0),
        "1,000 connections, 1,000 messages under way": 120.0,
    }
