from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import history
from benchmarks.ratios import RATIOS

NOW = dt.datetime(2026, 11, 30, 21, 4, 5, tzinfo=dt.UTC)
FIRST, SECOND = RATIOS[0], RATIOS[2]


def line(value: float, *, quick: bool = False, name: str = FIRST.name) -> dict[str, object]:
    document = {"quick": quick, "runs": 5, "machine": {"cores": 2}, "ratios": {name: value}}
    return history.entry(document, "abc123", NOW)


def test_a_run_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    assert history.read(path) == []
    for value in (1.23456, 2.0):
        history.append(line(value), path)
    first, second = history.read(path)
    assert first == {
        "commit": "abc123",
        "date": "2026-11-30T21:04:05Z",
        "quick": False,
        "runs": 5,
        "machine": {"cores": 2},
        "ratios": {FIRST.name: 1.2346},
    }
    assert second["ratios"] == {FIRST.name: 2.0}


@pytest.mark.parametrize("text", ["no json", "[1]", "{}", '{"ratios": 1}', '{"ratios": {}, "date": ""}'])
def test_a_line_that_is_no_run_is_said_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "h.jsonl"
    history.append(line(1.0), path)
    with path.open("a") as file:
        file.write(f"{text}\n\n")
    history.append(line(2.0), path)
    assert [each["ratios"][FIRST.name] for each in history.read(path)] == [1.0, 2.0]
    assert "h.jsonl: line 2 is no run" in capsys.readouterr().err


def test_the_trend_has_the_newest_beside_those_before() -> None:
    text = history.trend([line(value) for value in (3.0, 1.0, 2.0, 1.5)])
    assert text.startswith("4 runs, 2026-11-30T21:04:05Z to")
    assert f"| {FIRST.name} | 1.50 | 2.00 | 2.00 | {FIRST.wanted} | not yet | █▁▅▃ |" in text


def test_the_trend_of_one_run_and_of_none() -> None:
    assert f"| {FIRST.name} | 1.00 |  |  | {FIRST.wanted} | holds | ▁ |" in history.trend([line(1.0)])
    assert "make bench" in history.trend([])


def test_a_ratio_that_the_newest_run_lacks_is_not_in_its_trend() -> None:
    text = history.trend([line(1.0), line(50.0, name=SECOND.name, quick=True)])
    assert FIRST.name not in text
    assert f"| {SECOND.name} | 50.00 |" in text
    assert "newest: abc123, quick" in text


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_there_is_a_bar_for_each_value(series: list[float]) -> None:
    made = history.bars(series)
    assert len(made) == len(series)
    if max(series) > min(series):
        assert made[series.index(min(series))] == "▁"
        assert made[series.index(max(series))] == "█"


def test_the_history_of_the_repository_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    found = history.read()
    assert capsys.readouterr().err == ""
    assert all(each["commit"] and each["machine"]["cores"] for each in found)
    assert [each["date"] for each in found] == sorted(each["date"] for each in found)


def test_the_command_prints_the_trend_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "h.jsonl"
    history.append(line(7.0), path)
    history.append(line(9.0, quick=True), path)
    for arguments, newest in (([], "9.00"), (["--full"], "7.00")):
        monkeypatch.setattr("sys.argv", ["history", "--file", str(path), *arguments])
        assert history.main() == 0
        assert f"| {FIRST.name} | {newest} |" in capsys.readouterr().out


def test_the_commit_has_a_mark_where_files_differ(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=n", "-c", "user.email=n@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    assert history.commit(tmp_path) == ""
    (tmp_path / "file").write_text("one")
    git("init", "-q")
    git("add", "file")
    git("commit", "-qm", "one")
    clean = history.commit(tmp_path)
    assert len(clean) == 12
    (tmp_path / "file").write_text("two")
    assert history.commit(tmp_path) == f"{clean}+"
