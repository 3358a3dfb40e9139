"""The directory of a partition: its lock, the database in use, and those that were set aside.

    lock                    locked by the owner, whose process id is in it
    current/queue.db        the database in use, with its log beside it
    quarantined-NAME/       a database that is not to be trusted, while what can be read is saved from it
    damaged-NAME/           the same afterwards, kept for somebody to look at

A database moves as a directory, so that it and its log move together.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import Final

from tubepost_dispatcher.store.port import FailureKind
from tubepost_dispatcher.store.trouble import Remedy, Trouble

FILE: Final = "queue.db"
_MOST: Final = 1_000
"""Directories set aside under names of one millisecond."""


class Directory:
    """A partition's directory, locked. Synchronous; may wait for the disk, never for another process.

    Args:
        path: of the directory, which is made when it does not exist.

    Raises:
        Trouble: it cannot be used, or another process owns it; also from methods.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._in_use: dict[Path, tuple[int, int]] = {}
        try:
            (path / "current").mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _trouble(error) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, str(os.getpid()).encode(), 0)
            self._sync()
            for done_with in self._named("saved-"):
                shutil.rmtree(done_with, ignore_errors=True)
        except BlockingIOError:
            holder = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip()
            os.close(self._lock)
            text = f"{path} is in use by process {holder or '(not known)'}"
            raise Trouble(Remedy.REOPEN, FailureKind.LOCKED, text) from None
        except OSError as error:
            os.close(self._lock)
            raise _trouble(error) from None

    @property
    def database(self) -> Path:
        """The database in use."""
        return self.path / "current" / FILE

    def opened(self) -> None:
        """Remember which files are in use now."""
        files = (self.path / "lock", self.database, self.database.with_name(f"{FILE}-wal"))
        self._in_use = {file: found for file in files if (found := _identity(file))}

    def check(self) -> None:
        """See whether the files in use are where they were.

        Raises:
            Trouble: one is not, and what is written to it would go with the process. REPLACE if it is the
                database, REOPEN if the database is there, and only the lock or the log is not.
        """
        for file, identity in self._in_use.items():
            if _identity(file) != identity:
                there = _identity(self.database) == self._in_use.get(self.database)
                text = f"{file} was deleted or moved while it was in use"
                raise Trouble(Remedy.REOPEN if there else Remedy.REPLACE, FailureKind.FAILED, text)

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._lock)

    def free(self) -> int:
        """Bytes that the volume has left for us."""
        try:
            found = os.statvfs(self.path)
        except OSError as error:
            raise _trouble(error) from None
        return found.f_bavail * found.f_frsize

    def set_aside(self) -> None:
        """Move the database in use out of the way."""
        name = f"{time.time_ns() // 1_000_000:014d}"
        try:
            for number in range(_MOST):
                target = self.path / f"quarantined-{name}-{number:03d}"
                if not target.exists():
                    (self.path / "current").rename(target)
                    break
            (self.path / "current").mkdir(exist_ok=True)
            self._sync()
        except OSError as error:
            raise _trouble(error) from None

    def start_over(self) -> None:
        """Delete the database in use, in which nothing was acknowledged."""
        try:
            shutil.rmtree(self.path / "current")
            (self.path / "current").mkdir()
            self._sync()
        except OSError as error:
            raise _trouble(error) from None

    def to_salvage(self) -> Path | None:
        """The latest database from which something may still be saved."""
        found = self._named("quarantined-")
        return found[-1] if found else None

    def keep(self, aside: Path) -> None:
        """Keep a database that was set aside for somebody to look at."""
        try:
            aside.rename(aside.with_name(aside.name.replace("quarantined-", "damaged-", 1)))
            self._sync()
        except OSError as error:
            raise _trouble(error) from None

    def discard(self, aside: Path) -> None:
        """Delete a database from which everything was saved."""
        with contextlib.suppress(OSError):
            # In two steps: half of a database must not be taken for one from which something can be saved.
            shutil.rmtree(aside.rename(aside.with_name(aside.name.replace("quarantined-", "saved-", 1))))

    def set_aside_count(self) -> int:
        """How many databases are set aside."""
        return len(self._named("quarantined-")) + len(self._named("damaged-"))

    def _named(self, prefix: str) -> list[Path]:
        try:
            return sorted(found for found in self.path.iterdir() if found.name.startswith(prefix))
        except OSError as error:
            raise _trouble(error) from None

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _identity(file: Path) -> tuple[int, int] | None:
    """Device and inode; None: there is no such file, or nobody can tell."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _trouble(error: OSError) -> Trouble:
    kind = FailureKind.FAILED
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        kind = FailureKind.READ_ONLY
    elif error.errno in {errno.ENOSPC, errno.EDQUOT}:
        kind = FailureKind.FULL
    return Trouble(Remedy.REOPEN, kind, f"{error.filename or 'the directory'}: {error.strerror}")
