"""What the running command is called, for hints that can be copied."""

from __future__ import annotations

import difflib
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

NAME = "tubepost"


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
