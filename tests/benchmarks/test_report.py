from __future__ import annotations

import pytest

from benchmarks import report
from benchmarks.measure import Result


def test_a_summary_has_medians_and_ratios() -> None:
    runs = {
        "naive": [Result(10, 1.0, cpu, 2**20, 0.001, 0.002, 0.5) for cpu in (0.03, 0.01, 0.02)],
        "other": [Result(100, 1.0, 0.02, 2**21, p50=0.001, p99=0.02, longest=0.03)],
        "empty": [],
    }
    made = report.summary(runs, "naive")
    assert list(made["rows"]) == ["naive", "other"]
    naive, other = made["rows"]["naive"], made["rows"]["other"]
    assert naive["cpu_us"] == pytest.approx(2_000)
    assert naive["load_us"] == pytest.approx(100)
    assert naive["sink_us"] == pytest.approx(200)
    assert naive["cores"] == pytest.approx(0.02)
    assert naive["other_cores"] == pytest.approx(0.5)
    assert naive["p99"] is None
    assert other["memory_mib"] == pytest.approx(2)
    assert other["cpu_ratio"] == pytest.approx(10)
    assert other["rate_ratio"] == pytest.approx(10)
    assert len(naive["runs"]) == 3
    assert naive["runs"][0]["rate"] == pytest.approx(10)


def test_the_table_says_what_was_measured_and_what_was_not() -> None:
    runs = {
        "naive, 20": [Result(10, 1.0, 0.02, 2**20)],
        "other": [Result(100, 1.0, 0.02, 2**21, 0.001, 0.0005, 0.25, 0.001, 0.02, 0.03)],
    }
    text = report.table("A table", report.summary(runs, "naive, 20"), {"absent": "no compiler"})
    assert "## A table" in text
    assert "naive's CPU / own" in text
    assert "| naive, 20 | 10 | 2,000 | 1.0 |  |  | 1 |  |  | 2000 |" in text
    assert "| other | 100 | 200 | 10.0 | 1.0 | 20.0 | 2 | 10.0 | 5.0 | 200 |" in text
    assert "| absent | not measured: no compiler |" in text
    assert "Other programs took 0.12 cores" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {11}


def test_a_suite_without_its_baseline_has_no_ratios() -> None:
    made = report.summary({"other": [Result(1, 1.0, 0.02, 1)]}, "naive")
    assert made["rows"]["other"]["cpu_ratio"] is None
    assert "| other | 1 |" in report.table("A table", made, {})
