from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tubepost_cli.main import main
from tubepost_cli.program import program, unknown_command


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


@pytest.mark.parametrize(
    ("given", "said"),
    [("snd", "No such command 'snd'. Did you mean 'send'?"), ("xyz", "No such command 'xyz'.")],
)
def test_a_command_that_may_have_been_meant_is_named(given: str, said: str) -> None:
    assert unknown_command(given, ["send", "run"]) == said
    done = CliRunner().invoke(main, [given])
    assert done.exit_code == 2
    assert said in done.output
