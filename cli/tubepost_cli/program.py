"""What the running command is called, for hints that can be copied."""

from __future__ import annotations

import shutil
import sys
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
