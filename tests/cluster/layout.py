"""Where things are kept: what is shared by all runs, what belongs to one, and the locks between them.

Everything stands under `$XDG_CACHE_HOME/tubepost/cluster` (`~/.cache` by default):

    tools/NAME-VERSION/   programs built from Go modules, shared
    storage/ oci/ wheels/ images: buildah's storage, the images as one OCI layout, downloaded wheels, shared
    runs/NAME/            one cluster: certificates, configuration, logs, data, `kubeconfig`
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.peers.tools import cache_dir

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout."""


class ClusterError(RuntimeError):
    """The cluster cannot be built, started or reached; the text says what to do where that is known."""


def root() -> Path:
    """The directory of everything that is kept."""
    return cache_dir() / "cluster"


MACHINE = Path("/run/lock")
"""Directory of locks that hold for the whole machine, whoever's cache it is."""


def runs() -> Path:
    """The directory with one sub-directory per cluster."""
    return root() / "runs"


def say(text: str) -> None:
    """Progress, for a person: on standard error, so that output of commands stays clean."""
    print(f"cluster: {text}", file=sys.stderr, flush=True)  # noqa: T201 - a command-line tool


@contextlib.contextmanager
def lock(
    name: str, *, shared: bool = False, timeout: float = 3600.0, directory: Path | None = None
) -> Iterator[None]:
    """Hold the lock `name`; the kernel frees it when its holder dies.

    Args:
        name: of the lock.
        shared: with others that hold it shared.
        timeout: seconds.
        directory: where its file is; None: in `root()`, which users that have another cache do not share.

    Raises:
        ClusterError: it was not free within `timeout` seconds.
    """
    path = (directory or root()) / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    deadline = time.monotonic() + timeout
    announced = False
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, mode | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"{path} is held by another run for more than {timeout:.0f} s"
                    ) from None
                if not announced:
                    say(f"waiting for another run that holds {path.name}")
                    announced = True
                time.sleep(0.2)
        yield


def process_start(pid: int) -> int | None:
    """When process `pid` started (clock ticks since boot), or None: with it a recycled number is told apart."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def write_atomically(path: Path, text: str) -> None:
    """Replace `path`, so that a reader sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text)
    scratch.replace(path)
