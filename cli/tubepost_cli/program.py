"""What the running command is called, for hints that can be copied."""

from __future__ import annotations

import contextlib
import difflib
import errno
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click

NAME = "tubepost"
EX_IOERR: Final = 74
"""Exit status: something cannot be read or written (sysexits.h)."""
_OUTPUT: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})


class Program(click.Group):
    """A program of which whatever cannot be read or written is an error in words, not a traceback."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Called by click, by the entry point and by tests."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            if error.filename is not None:
                text = f"{error.filename}: {error.strerror}. Remedy: see that it exists and who may use it"
            elif error.errno in _OUTPUT:
                text = f"the output cannot be written: {error.strerror}"
            else:
                raise  # nobody knows of what; the traceback does
            with contextlib.suppress(OSError):  # that may be where it cannot be written
                click.echo(f"Error: {text}", err=True)
            sys.exit(EX_IOERR)


def program() -> str:
    """`tubepost` where a shell finds this very program by it, else the path that it was started by."""
    started = sys.argv[0]
    if Path(started).name != NAME:
        return NAME
    found = shutil.which(NAME)
    same = found is not None and Path(found).resolve() == Path(started).resolve()
    return NAME if same else started


def unknown_command(given: str, known: Iterable[str]) -> str:
    """What to say of a sub-command that there is not, with the one that may have been meant."""
    close = difflib.get_close_matches(given, known, 1)
    return f"No such command '{given}'." + (f" Did you mean '{close[0]}'?" if close else "")
