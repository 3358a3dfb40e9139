"""Printing problems."""

from __future__ import annotations

from collections.abc import Iterable

import click

from tubepost_api.problems import Problem


def show(problems: Iterable[Problem]) -> None:
    """Write problems to standard error, errors first."""
    for problem in sorted(problems, key=lambda p: p.severity):
        colour = "red" if problem.severity == "error" else "yellow"
        click.echo(f"{click.style(problem.severity, fg=colour)}: {problem}", err=True)
