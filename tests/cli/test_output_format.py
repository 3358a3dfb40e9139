from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from tubepost_cli.output_format import output_format


@click.command()
@output_format
def command(output: str) -> None:
    click.echo(f"as {output}")


@pytest.mark.parametrize(
    ("arguments", "output"), [([], "text"), (["-o", "json"], "json"), (["--output=text"], "text")]
)
def test_a_command_is_told_for_whom(arguments: list[str], output: str) -> None:
    assert CliRunner().invoke(command, arguments).output == f"as {output}\n"


def test_another_form_is_refused_with_those_that_there_are() -> None:
    done = CliRunner().invoke(command, ["-o", "yaml"])
    assert done.exit_code == 2
    assert "'text', 'json'" in done.output
