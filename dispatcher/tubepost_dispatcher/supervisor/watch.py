"""Watching files by looking at them: works for edited files, mounted volumes and atomic symlink swaps alike.

Kubernetes replaces a mounted object by swapping a symlink (`..data`), editors rename over the file, and
people copy certificate and key one after the other. A look costs one `stat` per file, so it is done often;
a change counts once nothing has moved for `SETTLE` seconds, or after `SETTLE_MOST` of restlessness.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

INTERVAL = 0.5
SETTLE = 0.4
SETTLE_MOST = 2.0

Signature = tuple[tuple[str, int, int, int], ...]


def look(paths: Sequence[Path]) -> Signature:
    """What identifies the present contents of files and directory trees: path, inode, size, mtime.

    Symlinks are followed (their targets' inodes change when a mounted volume is updated). What cannot be
    read is left out; its absence is a change too.
    """
    found: list[tuple[str, int, int, int]] = []
    for path in paths:
        for file in _files(path):
            try:
                status = os.stat(file)  # noqa: PTH116 - a Path object per look would cost more than the stat
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


class Settler:
    """Decides when a change has come to rest. Pure: signatures and times in, a yes or no out."""

    def __init__(self, signature: Signature) -> None:
        self._taken = signature
        self._seen = signature
        self._moved_at = 0.0
        self._first_at: float | None = None

    def observe(self, signature: Signature, now: float) -> bool:
        """True when the files differ from what was last taken and have come to rest; that is then taken."""
        if signature != self._seen:
            self._seen = signature
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
    def restless(self) -> bool:
        """Whether a change is waiting to come to rest."""
        return self._first_at is not None


LookFunction = Callable[[], Signature]
