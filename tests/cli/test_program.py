from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tubepost_cli.program import program


def test_a_command_on_the_path_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "tubepost"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(script), "run"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == "tubepost"
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == str(script)


def test_another_program_that_runs_it_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/lib/python3/pytest/__main__.py"])
    assert program() == "tubepost"
