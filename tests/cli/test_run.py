from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tubepost_cli.run import command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name manifests with -f FILE"),
        (["-f", ".", "--config", "x"], "Name manifests with -f FILE"),
        (["-f", ".", "--in-process", "--workers", "2"], "--in-process runs one worker"),
        (["-f", ".", "--workers", "65"], "0<=x<=64"),
    ],
)
def test_what_does_not_go_together(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert message in done.output
