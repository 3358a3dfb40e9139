"""Events of one logger on disk until the receiver has taken them: at least once, and after a crash too.

    <directory>/<nanoseconds>-<pid>.events      JSON lines; `-N`: the first N lines of this file are done with

Each process appends to files of its own, and holds a lock on each while it lives. Whoever gets the lock of
another one takes over what its owner left. `sync` may be called from any thread: what waits for the disk is
never the event loop.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from tubepost_runtime.words import counted

_LOG = logging.getLogger("tubepost.logger")

SUFFIX: Final = ".events"
FILE_SIZE: Final = 4 * 1024 * 1024
"""Bytes after which another file is begun: files are removed whole."""
LEAST_FREE: Final = 32 * 1024 * 1024
"""Bytes of the volume that are left to the queue itself."""
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC


class Orphans(NamedTuple):
    """What a process that has ended left in one file. `release` follows, once it is safe elsewhere."""

    path: Path
    descriptor: int
    lines: list[bytes]
    unreadable: int


class _File:
    """One file of ours; `first` to `end` are the serial numbers of its events."""

    __slots__ = ("descriptor", "done", "end", "first", "path", "size")

    def __init__(self, path: Path, descriptor: int, first: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.first = self.end = first
        self.size = 0
        self.done = 0


class Outbox:
    """Appends events, and forgets those that are done with.

    `append` and `floor` are the event loop's; everything else may wait for the disk, and runs in threads.
    When the disk fails, events go on without it: they are sent as ever, and lost if the process is killed
    before that. `on_failed` is told how many.

    Args:
        directory: of the logger; made when there is something to write.
        on_failed: called in the thread that found out.
    """

    def __init__(
        self, directory: Path, on_failed: Callable[[int], object], *, file_size: int = FILE_SIZE
    ) -> None:
        self.directory = directory
        self.floor = 0
        """Events below this serial number are done with."""
        self.problem = ""
        self._on_failed = on_failed
        self._file_size = file_size
        self._appended: deque[bytes] = deque()
        self._files: deque[_File] = deque()
        self._next = 0
        self._lock = threading.Lock()
        self._fresh = False
        self._closed = False

    def append(self, line: bytes) -> None:
        """Take the event with the next serial number; `sync` makes it durable."""
        self._appended.append(line)

    def sync(self) -> None:
        """When this returns, everything that was appended before is durable, or was told as failed."""
        # The lock is taken even when nothing waits: another thread may be about to sync it.
        with self._lock:
            if self._closed:
                return
            lines: list[bytes] = []
            with contextlib.suppress(IndexError):
                while True:
                    lines.append(self._appended.popleft())
            if lines:
                self._write(lines)
            self._forget(self.floor)

    def close(self) -> None:
        """Sync, and let go of the files: what is left in them is the successor's."""
        self.sync()
        with self._lock:
            self._closed = True
            for file in self._files:
                if file.end == file.first or file.end <= self.floor:
                    _remove(file.path)
                os.close(file.descriptor)
            self._files.clear()
            with contextlib.suppress(OSError):
                self.directory.rmdir()  # when it is empty

    # -- what others left -----------------------------------------------------------------------------

    def orphans(self, room: int) -> Orphans | None:
        """Take over one file whose owner has ended, of at most `room` bytes; None: there is none."""
        with self._lock:
            ours = {file.path for file in self._files}
        try:
            paths = sorted(path for path in self.directory.glob(f"*{SUFFIX}") if path not in ours)
        except OSError:
            return None
        for path in paths:
            with contextlib.suppress(OSError):
                descriptor = os.open(path, _FLAGS)
                if found := self._take_over(path, descriptor, room):
                    return found
                os.close(descriptor)
        return None

    def _take_over(self, path: Path, descriptor: int, room: int) -> Orphans | None:
        if not _locked(descriptor) or not _holds(path, descriptor):
            return None
        size = os.fstat(descriptor).st_size
        if size > room:
            return None
        lines, unreadable = read_lines(os.pread(descriptor, size, 0))
        if unreadable:
            _LOG.error("%s: %s lost, since unreadable", path, counted(unreadable, "event"))
        if lines:
            return Orphans(path, descriptor, lines, unreadable)
        _remove(path)
        return None

    def release(self, orphans: Orphans) -> None:
        """What was taken over is safe in a file of ours, or done with."""
        _remove(orphans.path)
        os.close(orphans.descriptor)

    # -- the files ------------------------------------------------------------------------------------

    def _write(self, lines: list[bytes]) -> None:
        data = b"\n".join(lines) + b"\n"
        first, self._next = self._next, self._next + len(lines)
        try:
            file = self._current(first, len(data))
            view = memoryview(data)
            while view:
                view = view[os.write(file.descriptor, view) :]
            os.fdatasync(file.descriptor)
        except OSError as error:
            # What was written of it may be sent once more by a successor.
            self._begin_anew()
            problem = f"{self.directory}: {error.strerror}"
            if problem != self.problem:
                _LOG.error(
                    "outbox %s; events that are not sent before the worker ends are lost. Free the disk or "
                    "mend it",
                    problem,
                )
            self.problem = problem
            self._on_failed(len(lines))
            return
        if self.problem:
            _LOG.warning("outbox %s: works again", self.directory)
            self.problem = ""
        file.end = self._next
        file.size += len(data)

    def _current(self, first: int, size: int) -> _File:
        """The file to append to, with room for so many bytes on the volume."""
        self.directory.mkdir(parents=True, exist_ok=True)
        volume = os.statvfs(self.directory)
        if volume.f_bavail * volume.f_frsize < LEAST_FREE + size:
            raise OSError(errno.ENOSPC, "the volume is nearly full, the queue needs what is left")
        file = self._files[-1] if self._files else None
        if file is None or self._fresh or file.end != first or file.size + size > self._file_size:
            file = self._begin(first)
        return file

    def _begin_anew(self) -> None:
        """Append no more to the file that failed; one without a single good event goes."""
        self._fresh = True
        if self._files and self._files[-1].end == self._files[-1].first:
            file = self._files.pop()
            _remove(file.path)
            os.close(file.descriptor)

    def _begin(self, first: int) -> _File:
        while True:
            path = self.directory / f"{time.time_ns()}-{os.getpid()}{SUFFIX}"
            descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
            # Somebody who looks for orphans may have been faster, and has removed the empty file then.
            if _locked(descriptor) and _holds(path, descriptor):
                break
            os.close(descriptor)
        file = _File(path, descriptor, first)
        self._files.append(file)
        self._fresh = False
        parent = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
        return file

    def _forget(self, floor: int) -> None:
        files = self._files
        while len(files) > 1 and files[0].end <= floor:
            file = files.popleft()
            _remove(file.path)
            os.close(file.descriptor)
        if not files:
            return
        file = files[0]
        with contextlib.suppress(OSError):
            if file.end <= floor:
                if file.size:
                    os.ftruncate(file.descriptor, 0)
                    file.first, file.size, file.done = file.end, 0, 0
            elif floor - file.first > file.done:
                file.done = floor - file.first
                file.size += os.write(file.descriptor, b"-%d\n" % file.done)


def tell_abandoned(directory: Path, loggers: Collection[str]) -> None:
    """Tell the log of events whose logger is configured no more; may wait for the disk."""
    with contextlib.suppress(OSError):
        for found in sorted(directory.iterdir()):
            size = sum(path.stat().st_size for path in found.glob(f"*{SUFFIX}"))
            if size and found.name not in loggers:
                _LOG.warning(
                    "%s: %d bytes of events for a webhook that is configured no more. They are kept: name an "
                    "ApnLogger %s in spec.loggers again, or delete the directory",
                    found,
                    size,
                    found.name,
                )


def read_lines(data: bytes) -> tuple[list[bytes], int]:
    """The events of a file that are not done with, and how many of them cannot be read.

    What follows the last line end was never promised to anybody.
    """
    found: list[bytes] = []
    done = 0
    for line in data.split(b"\n")[:-1]:
        if line[:1] == b"-" and line[1:].isdigit():
            done = max(done, int(line[1:9]))
        else:
            found.append(line)
    left = found[done:]
    good = list(_readable(left))
    return good, len(left) - len(good)


def _readable(lines: list[bytes]) -> Iterator[bytes]:
    for line in lines:
        with contextlib.suppress(orjson.JSONDecodeError):
            if isinstance(orjson.loads(line), dict):
                yield line


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holds(path: Path, descriptor: int) -> bool:
    """Whether a descriptor is of the file of that name, which somebody may have removed meanwhile."""
    ours = os.fstat(descriptor)
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    return (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
