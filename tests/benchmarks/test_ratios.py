from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import footprint, ratios
from benchmarks.rows import BASELINES, ROWS, beside


def suites(**rows: dict[str, float]) -> dict[str, object]:
    return {"whole": {"rows": {name.replace("_", " "): row for name, row in rows.items()}}}


def test_a_ratio_divides_medians() -> None:
    ratio = ratios.Ratio("r", ratios.Figure("whole", "a"), ratios.Figure("whole", "b"), 2.0)
    assert ratio.of(suites(a={"cpu_us": 30.0}, b={"cpu_us": 20.0})) == pytest.approx(1.5)
    assert ratio.of(suites(a={"cpu_us": 30.0})) is None
    assert ratio.of(suites(b={"cpu_us": 30.0})) is None
    assert ratio.of({}) is None


def test_a_ratio_without_a_second_row_is_in_its_unit() -> None:
    ratio = ratios.Ratio("r", ratios.Figure("whole", "a", "p99"), None, 20.0, unit=1e-3)
    assert ratio.of(suites(a={"p99": 0.015})) == pytest.approx(15)


def test_aims_are_bounds_from_above_or_below() -> None:
    figure = ratios.Figure("whole", "a")
    most, least = ratios.Ratio("r", figure, None, 2.0), ratios.Ratio("r", figure, None, 2.0, at_most=False)
    assert [most.holds(value) for value in (1.0, 2.0, 3.0)] == [True, True, False]
    assert [least.holds(value) for value in (1.0, 2.0, 3.0)] == [False, True, True]
    assert (most.wanted, least.wanted) == ("at most 2", "at least 2")


def test_every_ratio_is_of_rows_that_are_measured_each_round() -> None:
    keys = {(row.suite, row.name) for row in ROWS if row.key}
    for ratio in ratios.RATIOS:
        for figure in (ratio.above, ratio.below):
            if figure is not None and figure.suite not in {"memory", "stalls"}:
                assert (figure.suite, figure.row) in keys, ratio.name


def test_rows_and_ratios_have_names_of_their_own() -> None:
    names = [(row.suite, row.name) for row in ROWS]
    assert len(set(names)) == len(names)
    assert len({ratio.name for ratio in ratios.RATIOS}) == len(ratios.RATIOS)
    assert set(BASELINES.items()) <= set(names)


def test_rows_are_compared_with_those_before() -> None:
    found = suites(**{"a": {"cpu_us": 30.0}, "a, before": {"cpu_us": 40.0}, "b": {"cpu_us": 1.0}})
    assert ratios.compared(found) == ["a: 40.0 before, 30.0 now: 0.750"]


def test_only_our_rows_of_the_whole_path_are_measured_of_another_checkout() -> None:
    rows = beside(ROWS, Path("/other"))
    added = [row for row in rows if row.name.endswith(", before")]
    assert [row for row in rows if row not in added] == list(ROWS)
    assert all(
        row.suite in {"whole", "scale", "million"} and not row.name.startswith("naive") for row in added
    )
    assert {row.variant.before for row in added if row.variant} == {Path("/other")}
    assert "tubepost, 20 by command, before" in [row.name for row in added]


def test_memory_is_among_the_values() -> None:
    assert ratios.values({}, {footprint.FURTHER: 31.0}) == {"MiB: each further worker": 31.0}
    assert ratios.values({}, {}) == {}


def test_the_table_says_whether_an_aim_is_reached() -> None:
    first, second = (
        next(one for one in ratios.RATIOS if one.at_most is at_most) for at_most in (True, False)
    )
    text = ratios.table({first.name: first.aim, second.name: second.aim / 2})
    assert f"| {first.name} | {first.aim:.2f} | {first.wanted} | holds |" in text
    assert f"| {second.name} | {second.aim / 2:.2f} | {second.wanted} | not yet |" in text
    assert ratios.RATIOS[1].name not in text
