from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.e2e.app import TUBEPOST
from tubepost_cli.kubectl.main import plugin
from tubepost_cli.main import main
from tubepost_cli.program import EX_IOERR, Program, program, unknown_command

EXAMPLES = Path(__file__).parents[2] / "examples"


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


@pytest.mark.parametrize("words", [["--help"], ["validate", "-f", str(EXAMPLES)], ["completion", "bash"]])
def test_an_output_that_cannot_be_written_is_said_without_a_traceback(words: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="ascii") as full:
        done = subprocess.run(
            [TUBEPOST, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == EX_IOERR
    assert "Error: the output cannot be written: No space left on device\n" in done.stderr
    assert "Traceback" not in done.stderr


@click.command()
@click.argument("number", type=int)
@click.argument("name", required=False)
def failing(number: int, name: str | None) -> None:
    raise OSError(number, os.strerror(number), name)


def test_a_file_that_nobody_expected_to_fail_is_named() -> None:
    group = Program(commands=[failing])
    done = CliRunner().invoke(group, ["failing", str(errno.EACCES), "/etc/x"])
    assert done.exit_code == EX_IOERR
    assert "Error: /etc/x: Permission denied. Remedy: " in done.stderr
    done = CliRunner().invoke(group, ["failing", str(errno.EBADF)])
    assert isinstance(done.exception, OSError), "a fault of ours keeps its traceback"


def every(command: click.Command, *path: str) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from every(below, *path, name)


COMMANDS = dict([*every(main, "tubepost"), *every(plugin, "kubectl", "tubepost")])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_page_has_an_example_and_explains_every_option(name: str) -> None:
    command = COMMANDS[name]
    assert re.search(r"^ *(kubectl )?tubepost ", command.help or "", re.MULTILINE), "an example"
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert [one.opts for one in options if not one.help] == []
    unsaid = [
        one.opts
        for one in options
        if isinstance(one.default, int | float) and not one.is_flag and not one.show_default
        if "default" not in (one.help or "")
    ]
    assert unsaid == []
