"""`tubepost import`: from Momentum's configuration to manifests and a report."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from tubepost_api.fields import NAME_PATTERN
from tubepost_cli.program import program
from tubepost_importer.convert import Wishes, import_configuration
from tubepost_importer.printer import as_document, as_text

MANIFESTS = "manifests.yaml"


class LocalFiles:
    """Files of this machine.

    An include is looked for beside the file that it stands in, then in `directories`; an absolute path below
    each of `roots` as well, for copies of another machine's files.
    """

    def __init__(self, roots: Sequence[Path], directories: Sequence[Path]) -> None:
        self._roots, self._directories = roots, directories

    def find(self, path: str, beside: str) -> tuple[str, ...] | None:
        """The file, or the files of the directory in alphabetical order, without hidden ones."""
        for candidate in self._candidates(path.removeprefix("file://"), Path(beside).parent):
            if candidate.is_dir():
                inside = sorted(one for one in candidate.iterdir() if one.is_file())
                return tuple(str(one) for one in inside if not one.name.startswith("."))
            if candidate.is_file():
                return (str(candidate),)
        return None

    def _candidates(self, path: str, beside: Path) -> Iterator[Path]:
        if not path or "\0" in path:
            return
        if path.startswith("/"):
            yield Path(path)
            yield from (root / path.lstrip("/") for root in self._roots)
        else:
            yield from (directory / path for directory in (beside, *self._directories))

    def read(self, name: str) -> bytes:
        """Its contents."""
        return Path(name).read_bytes()


def _namespace(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and (len(value) > 63 or not re.fullmatch(NAME_PATTERN, value)):
        raise click.BadParameter("use at most 63 lower-case letters, digits and hyphens.")
    return value


@click.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Directory to write {MANIFESTS} to, made where it is missing; the report is then the output. "
    "Without it the manifests are the output, and the report goes to standard error.",
)
@click.option("--force", is_flag=True, help=f"Overwrite a {MANIFESTS} that is there.")
@click.option(
    "--report",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The report for people, or for programs.",
)
@click.option(
    "--namespace", callback=_namespace, help="Namespace of the objects, and of the Secrets' commands."
)
@click.option(
    "--name", default="push", show_default=True, callback=_namespace, help="Name of the PushDomain."
)
@click.option(
    "--acceptance",
    type=click.Choice(["Direct", "Queued"]),
    default="Direct",
    show_default=True,
    help="Direct: the reply waits for APNs' answer. Queued: a queue on a volume, as Momentum's spool.",
)
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Directory that stands for / in paths of includes, for files of another machine; may be repeated.",
)
@click.option(
    "-I",
    "--search",
    "directories",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Further directory in which includes are looked for; may be repeated.",
)
def command(
    file: Path,
    directory: Path | None,
    force: bool,
    form: str,
    namespace: str | None,
    name: str,
    acceptance: str,
    roots: tuple[Path, ...],
    directories: tuple[Path, ...],
) -> None:
    """Convert the configuration of a Momentum mail server: FILE is its ecelerity.conf.

    \b
      tubepost import ecelerity.conf -o push/
      tubepost run -f push/ --simulator

    The report says of every line what became of it: converted (to which field), no counterpart (why), or
    needs a hand (what). Beside each field of the manifests stands the line that it comes from. Nothing on the
    machine is changed, and no certificate is read: the report has the commands that make Secrets of them.

    Exit status 0: converted (look at what needs a hand), 2: there are errors, and no manifests were written.
    """
    wishes = Wishes(namespace=namespace, name=name, queued=acceptance == "Queued")
    target = directory / MANIFESTS if directory else None
    if target is not None and target.exists() and not force:
        raise click.UsageError(f"{target} is there already: --force overwrites it.")
    imported = import_configuration(str(file), LocalFiles(roots, directories), wishes)
    text = (
        json.dumps(as_document(imported.report), indent=2) + "\n"
        if form == "json"
        else as_text(imported.report)
    )
    click.echo(text, nl=False, err=directory is None)
    if not imported.manifests:
        remedy = (
            "correct the errors that the report shows"
            if imported.report.faults
            else 'name a file with a domain that has delivery_method = "apn"'
        )
        click.echo(f"Error: no manifests were written. Remedy: {remedy}.", err=True)
        raise SystemExit(2)
    if target is None:
        click.echo(imported.manifests, nl=False)
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(imported.manifests, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {target}: {error.strerror or error}") from None
    if form == "text":
        click.echo(f"written: {target}. Next: {program()} run -f {target.parent} --simulator")
