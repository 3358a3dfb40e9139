"""Watching files by polling: works for edited files, mounted volumes and atomic symlink swaps alike.

Kubernetes replaces a mounted object by swapping a symlink (`..data`), editors rename over the file, and
people copy certificate and key one after the other. Polling costs one `stat` per file. A change counts once
nothing has moved for `SETTLE` seconds, or `SETTLE_MOST` after it began.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

INTERVAL = 0.5
"""Seconds between polls; while a change settles, a quarter of it."""
SETTLE = 0.4
"""Seconds for which nothing may have moved."""
SETTLE_MOST = 2.0
"""Seconds after which a change counts although files still move."""

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Path, inode, size and modification time of every file."""


def fingerprint(paths: Sequence[Path]) -> Fingerprint:
    """What identifies the present contents of files and directory trees.

    Symlinks are followed (their targets' inodes change when a mounted volume is updated). What cannot be
    read is left out; its absence is a change too.
    """
    found: list[tuple[str, int, int, int]] = []
    for path in paths:
        for file in _files(path):
            try:
                status = os.stat(file)  # noqa: PTH116 - a Path object costs more than the stat
            except OSError:
                continue
            found.append((file, status.st_ino, status.st_size, status.st_mtime_ns))
    found.sort()
    return tuple(found)


def _files(path: Path) -> Iterable[str]:
    if not path.is_dir():
        yield str(path)
        return
    for directory, subdirectories, names in os.walk(path, followlinks=True):
        # `..data` and `..2026_...` are Kubernetes' own; the visible links lead there.
        subdirectories[:] = [name for name in subdirectories if not name.startswith("..")]
        for name in names:
            if not name.startswith(".."):
                yield f"{directory}/{name}"


class Debouncer:
    """Decides when a change has settled. Pure: fingerprints and times in, a yes or no out."""

    def __init__(self, current: Fingerprint) -> None:
        self._taken = current
        self._seen = current
        self._moved_at = 0.0
        self._first_at: float | None = None

    def observe(self, current: Fingerprint, now: float) -> bool:
        """True when the files differ from what was last taken and have settled; they are then taken."""
        if current != self._seen:
            self._seen = current
            self._moved_at = now
            if self._first_at is None:
                self._first_at = now
            if now - self._first_at < SETTLE_MOST:
                return False
        if self._first_at is None:
            return False
        if now - self._moved_at < SETTLE and now - self._first_at < SETTLE_MOST:
            return False
        self._first_at = None
        changed = self._seen != self._taken
        self._taken = self._seen
        return changed

    @property
    def pending(self) -> bool:
        """Whether a change has not settled yet."""
        return self._first_at is not None
