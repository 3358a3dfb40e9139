"""Printing problems."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import click

from tubepost_api.problems import Problem, ProblemCode


def show(problems: Iterable[Problem]) -> None:
    """Write problems to standard error, errors first; a Secret that is missing is said once."""
    for problem in sorted(once(problems), key=lambda p: p.severity):
        colour = "red" if problem.severity == "error" else "yellow"
        click.echo(f"{click.style(problem.severity, fg=colour)}: {problem}", err=True)


def once(problems: Iterable[Problem]) -> list[Problem]:
    """The problems, those of one missing Secret as one that names all places where it is needed."""
    found: list[Problem] = []
    places: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        if problem.code is not ProblemCode.SECRET_NOT_FOUND:
            found.append(problem)
            continue
        group = places.setdefault((problem.severity, problem.namespace, problem.secret), [])
        if not group:
            found.append(problem)
        group.append(problem)
    return [_with_places(problem, places) for problem in found]


def _with_places(problem: Problem, places: dict[tuple[str, str, str], list[Problem]]) -> Problem:
    others = places.get((problem.severity, problem.namespace, problem.secret), [])[1:]
    if problem.code is not ProblemCode.SECRET_NOT_FOUND or not others:
        return problem
    shown = ", ".join(dict.fromkeys(f"{p.kind} {p.name}: {p.field}" for p in others))
    return replace(problem, message=f"{problem.message} (needed also by {shown})")
