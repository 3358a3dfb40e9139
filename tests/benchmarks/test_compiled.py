from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import compiled
from benchmarks.peers.builds import BuildError
from benchmarks.rows import ROWS


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "script.py"
    monkeypatch.setattr(compiled, "SCRIPT", path)
    return path


def test_a_copy_is_made_once_for_a_run(script: Path, tmp_path: Path) -> None:
    script.write_text("import pathlib, sys; pathlib.Path(sys.argv[1]).mkdir()")
    wanted = {"PYTHONPATH": str(tmp_path / "compiled")}
    assert compiled.environment(tmp_path) == wanted
    script.unlink()
    assert compiled.environment(tmp_path) == wanted


def test_what_the_compiler_says_last_is_the_reason(script: Path, tmp_path: Path) -> None:
    script.write_text("import sys; sys.exit('one\\nerror: command gcc failed: No such file')")
    with pytest.raises(BuildError, match="not compiled: error: command gcc failed: No such file"):
        compiled.environment(tmp_path)


def test_every_compiled_row_has_its_pure_one() -> None:
    names = {row.name for row in ROWS if row.suite == "whole"}
    found = {name for name in names if " compiled, " in name}
    assert len(found) == 4
    assert {name.replace(" compiled, ", ", ") for name in found} <= names
    assert not [row.name for row in ROWS if row.name in found and row.ours]
