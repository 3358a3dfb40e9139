"""Our dispatcher with compiled modules (`dispatcher/compiled.txt`), beside the one that is all Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.peers.builds import LIMIT, BuildError

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "compile_modules.py"


def environment(scratch: Path) -> dict[str, str]:
    """What the program gets beside the environment, so that it runs them; `scratch` keeps the copy.

    Compiled once for the same sources: the script has a cache outside the checkout.

    Raises:
        BuildError: they cannot be compiled here.
    """
    target = scratch / "compiled"
    if not target.is_dir():
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(target)],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        if done.returncode:
            said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
            raise BuildError(f"not compiled: {' '.join(said[-1:])[:300] or 'nothing was said'}")
    return {"PYTHONPATH": str(target)}
