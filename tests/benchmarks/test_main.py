"""The command: rows in turn, what is missing, what is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import footprint, history, stalls
from benchmarks.fixtures import Fixtures
from benchmarks.measure import BenchmarkError, Bounds, Result
from benchmarks.peers.builds import BuildError
from benchmarks.rows import Measured, Row

CALLS: list[str] = []


def row(
    suite: str, name: str, *, key: bool = True, quick: bool = False, fault: Exception | None = None
) -> Row:
    def run(_ours: str, _fixtures: Fixtures, _bounds: Bounds, _measured: Measured) -> Result:
        CALLS.append(name)
        if fault is not None:
            raise fault
        return Result(1_000, 1.0, 0.1, 2**20)

    return Row(suite, name, run, key, quick)


@pytest.fixture(autouse=True)
def no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    CALLS.clear()
    monkeypatch.setattr(command, "make_fixtures", lambda _path: None)
    monkeypatch.setattr(footprint, "figures", lambda _fixtures, _ours: {footprint.AT_REST: 45.0})
    monkeypatch.setattr(stalls, "figures", lambda _fixtures, _ours: ({"nothing else": {"ms": 2.0}}, {}))


def with_rows(monkeypatch: pytest.MonkeyPatch, *rows: Row) -> None:
    monkeypatch.setattr(command, "ROWS", rows)


def test_rows_are_run_in_turn_and_those_that_no_ratio_needs_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_rows(monkeypatch, row("smtp", "tubepost, a"), row("smtp", "b", key=False), row("http2", "c"))
    assert command.main(["--runs", "5"]) == 0
    assert CALLS == ["tubepost, a", "b", "c"] * 2 + ["tubepost, a", "c"] * 3


def test_no_round_but_the_first_begins_after_the_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_rows(monkeypatch, row("smtp", "a"), row("smtp", "b"))
    figures = tmp_path / "f.json"
    assert command.main(["--runs", "5", "--minutes", "-1", "--json", str(figures)]) == 0
    assert CALLS == ["a", "b"]
    assert json.loads(figures.read_text())["runs"] == 1


def test_a_row_runs_once_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    with_rows(monkeypatch, row("smtp", "b", key=False))
    assert command.main(["--runs", "1"]) == 0
    assert CALLS == ["b"]


def test_a_peer_that_cannot_be_had_is_named_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_rows(monkeypatch, row("http2", "absent", fault=BuildError("no compiler")), row("http2", "c"))
    assert command.main(["--runs", "2"]) == 0
    assert CALLS == ["absent", "c", "c"]
    assert "| absent | not measured: no compiler |" in capsys.readouterr().out


def test_the_reason_is_the_programs_own_where_it_gives_one() -> None:
    assert command.reason(
        "n", "n: the program ended with status 2\nINFO x\nerror: /tmp/a/b.yaml: no such. y"
    ) == ("b.yaml: no such. y")
    assert command.reason("n", "n: the program ended\nits output") == "the program ended"
    assert command.reason("n", "no compiler") == "no compiler"


def test_a_failure_of_ours_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = BenchmarkError("queued, x: 3 messages got 250, the sink saw 2\nits output")
    with_rows(monkeypatch, row("whole", "queued, x", fault=fault), row("whole", "naive, x"))
    assert command.main(["--runs", "1"]) == 1
    assert "| queued, x | not measured: 3 messages got 250, the sink saw 2 |" in capsys.readouterr().out


def test_suites_names_and_the_short_mode_choose_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    with_rows(
        monkeypatch, row("smtp", "one", quick=True), row("smtp", "other"), row("http2", "one too", quick=True)
    )
    for arguments, wanted in (
        (["smtp"], ["one", "other"]),
        (["--only", "one"], ["one", "one too"]),
        (["--quick"], ["one", "one too"]),
        (["http2", "smtp", "--only", "too;other"], ["other", "one too"]),
    ):
        CALLS.clear()
        assert command.main([*arguments, "--runs", "1"]) == 0
        assert wanted == CALLS, arguments
    assert command.main(["--only", "nothing"]) == 2


def test_figures_plot_and_history_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_rows(monkeypatch, row("smtp", "aiosmtpd, 20 by command"), row("smtp", "tubepost, 20 by command"))
    figures, plot, record = tmp_path / "f.json", tmp_path / "p.svg", tmp_path / "h.jsonl"
    files = ["--json", str(figures), "--plot", str(plot), "--record", str(record)]
    assert command.main(["--runs", "1", *files]) == 0
    document = json.loads(figures.read_text())
    assert document["suites"]["smtp"]["rows"]["tubepost, 20 by command"]["cpu_us"] == pytest.approx(100)
    assert plot.read_text().startswith("<svg")
    (line,) = history.read(record)
    assert line["ratios"] == {
        "stock aiosmtpd / our SMTP half, 20 by command": 1.0,
        "MiB: supervisor and one worker at rest": 45.0,
        "longest stall of the loop, ms: nothing else": 2.0,
    }
    assert line["machine"]["cores"] >= 1
    assert (line["quick"], line["runs"]) == (False, 1)


def test_memory_is_measured_once_where_everything_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figures = tmp_path / "f.json"
    with_rows(monkeypatch, row("smtp", "a", quick=True))
    for arguments, found in (
        ([], {footprint.AT_REST: 45.0}),
        (["smtp", "--memory"], {footprint.AT_REST: 45.0}),
        (["smtp"], {}),
        (["--quick"], {}),
        (["--only", "a"], {}),
    ):
        assert command.main([*arguments, "--runs", "1", "--json", str(figures)]) == 0
        assert json.loads(figures.read_text())["memory"] == found, arguments


def test_the_short_mode_takes_less_of_everything() -> None:
    full, quick = command.options_of([]), command.options_of(["--quick"])
    assert (full.runs, full.seconds, full.warmup) == (5, 2.0, 0.8)
    assert (quick.runs, quick.seconds, quick.warmup) == (1, 1.0, 0.7)
    assert command.options_of(["--quick", "--runs", "3", "--seconds", "4"]).runs == 3
