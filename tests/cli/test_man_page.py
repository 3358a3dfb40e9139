"""The manual page: what is generated is what a formatter takes, and every command is in it."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from scripts.generate import outputs_of
from tubepost_cli.main import main

((PATH, PAGE),) = outputs_of("man_page").items()
MACROS = {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".I", ".nf", ".fi", '.\\"'}


def test_lines_are_macros_or_text() -> None:
    for line in PAGE.splitlines():
        assert not line.startswith("'"), line
        if line.startswith("."):
            assert line.split(" ")[0] in MACROS, line
        # What follows a backslash is an escape that groff_char(7) or groff(7) has.
        assert not re.search(r"\\(?![e&\-]|f[RI]|\")", line), line
    assert PAGE.count(".nf\n") == PAGE.count(".fi\n")


@pytest.mark.parametrize("name", main.list_commands(click.Context(main)))
def test_every_command_is_in_it(name: str) -> None:
    assert f"\n.SS tubepost {name}\n" in PAGE.replace("\\-", "-")


def test_options_and_examples_are_as_they_are_typed() -> None:
    assert ".B \\-\\-acceptance [Direct|Queued]" in PAGE
    assert "\n  tubepost import ecelerity.conf \\-o push/\n" in PAGE


def test_the_wheel_has_it() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'"{PATH}" = "share/man/man1/tubepost.1"' in project
