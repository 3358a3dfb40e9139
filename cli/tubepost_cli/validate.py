"""`tubepost validate`: what `tubepost run` and the operator would say, without either."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import click

from tubepost_api.compile import push_domain_names
from tubepost_api.problems import Problem, ProblemCode
from tubepost_cli.output_format import output_format
from tubepost_cli.problems import show
from tubepost_dispatcher.config.bundle import prepare
from tubepost_dispatcher.config.manifest_source import ManifestSource
from tubepost_dispatcher.config.manifests import MAX_FILE_SIZE, STDIN, load_manifests
from tubepost_dispatcher.policy.check import module_problems
from tubepost_runtime.words import counted


@click.command()
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    required=True,
    type=click.Path(exists=True, allow_dash=True, path_type=Path),
    help="A manifest file, a directory of them, or - for standard input; may be repeated.",
)
@click.option(
    "-R", "--recursive", is_flag=True, help="Read what is below directories, too (as kubectl does)."
)
@click.option("--push-domain", metavar="NAME", help="Check only this PushDomain.  [default: all]")
@output_format
def command(files: tuple[Path, ...], recursive: bool, push_domain: str | None, output: str) -> None:
    """Check PushDomain, ApnRoute, ApnLogger, Secret and ConfigMap manifests without a cluster.

    \b
      tubepost validate -f push.yaml
      kubectl kustomize overlays/production | tubepost validate -f - -o json

    Everything is checked that can be: fields and their rules, references, hooks, and the credentials of
    Secrets that are among the files. Exit status 0: valid (perhaps with warnings), 2: errors.
    """
    stdin = sys.stdin.buffer.read(MAX_FILE_SIZE + 1) if STDIN in files else b""
    manifests, _ = load_manifests(files, recursive=recursive, stdin=stdin)
    names: list[str | None] = [push_domain] if push_domain else [*push_domain_names(manifests)]
    problems: dict[str, Problem] = {}
    served: list[str] = []
    for name in names or [None]:
        checked = _check(files, name, recursive=recursive, stdin=stdin)
        problems.update((str(problem), problem) for problem in checked)
        if name and not any(problem.severity == "error" for problem in checked):
            served.append(name)
    errors = sum(problem.severity == "error" for problem in problems.values())
    warnings = len(problems) - errors
    if output == "json":
        found = [_public(problem) for problem in problems.values()]
        click.echo(json.dumps({"valid": not errors, "pushDomains": served, "problems": found}, indent=2))
    else:
        show(problems.values())
        verdict = "invalid" if errors else "valid"
        click.echo(
            f"{verdict}: {counted(errors, 'error')}, {counted(warnings, 'warning')};"
            f" PushDomains that can run: {_list(served)}"
        )
    raise SystemExit(2 if errors else 0)


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _check(
    files: tuple[Path, ...], push_domain: str | None, *, recursive: bool, stdin: bytes
) -> tuple[Problem, ...]:
    loaded = ManifestSource(files, push_domain, recursive=recursive, stdin=stdin).load()
    if loaded.bundle is None:
        return loaded.problems
    prepared, found = prepare(loaded.bundle, time.time())
    # A Secret that is not in the files may well be in the cluster: compiling has warned about it.
    kept = [problem for problem in found if problem.code is not ProblemCode.SECRET_NOT_FOUND]
    hooks = module_problems(loaded.bundle.config)
    return loaded.problems + loaded.locate((*kept, *hooks, *prepared.warnings, *prepared.notices))


def _public(problem: Problem) -> dict[str, str]:
    """A problem as JSON has it."""
    return {name: value for name, value in asdict(problem).items() if name not in {"code", "secret"}}
