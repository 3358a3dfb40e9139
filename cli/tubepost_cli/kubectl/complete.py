"""`kubectl_complete-tubepost`: what kubectl asks when somebody presses Tab behind `kubectl tubepost`.

Source: Kubernetes, "Extend kubectl with plugins", on `kubectl_complete-` programs: the words so far are the
arguments, the last of them is not whole; candidates are lines, the last line is a directive of Cobra's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import click
from click.shell_completion import ShellComplete

from tubepost_cli.kubectl.main import plugin

_NO_FILES: Final = ":4"
"""Cobra's directive: these are all, file names are none."""
_FILES: Final = ":0"


def candidates(words: Sequence[str]) -> list[str]:
    """Lines of the answer, the directive among them."""
    *before, incomplete = words or [""]
    completer = ShellComplete(plugin, {}, "kubectl tubepost", "_KUBECTL_TUBEPOST_COMPLETE")
    found = completer.get_completions(list(before), incomplete)
    if any(one.type in {"file", "dir"} for one in found):
        return [_FILES]
    lines = [f"{one.value}\t{one.help}" if one.help else str(one.value) for one in found]
    return [*lines, _NO_FILES]


def main() -> None:
    """The program's entry."""
    for line in candidates(sys.argv[1:]):
        click.echo(line)
