"""Log files: created with their mode, appended to, rotated by size, reopened by name.

Several processes may write, and rotate, the same file: appending keeps their lines whole, and whoever finds
the file full takes a lock on it and looks whether it still is the file of that name before renaming it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

from tubepost_api.config_logger import FileSink as FileSinkConfig
from tubepost_dispatcher.feeds.sinks import Scheduler, Sink

_LOG = logging.getLogger("tubepost.logger")

ROTATION_RETRY = 60.0
"""Seconds between attempts to rotate a file that cannot be renamed; it grows meanwhile."""

_OF_THE_FILE = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
    }
)
"""Errors that every process has with the file, not this one alone."""

# Non-blocking matters for a FIFO or a device in the file's place only.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class FileSink(Sink):
    """A log file.

    The directory must exist. A file that is created gets exactly the mode of the configuration, whatever the
    umask; one that exists keeps its own. Rotated files are `path.1` (the newest) to `path.N`, N being
    `max_files`. A file that was deleted is created again. A file that cannot be opened is a `problem`, not an
    exception: lines are kept, and opening is tried again. Of several processes that write the file,
    `spokesman` is the one that tells of it in its own log; each tells of what the others do not have.
    `open_now` False: it is opened with the first write.
    """

    def __init__(
        self,
        name: str,
        loop: Scheduler,
        on_failed: Callable[[int], object],
        on_lost: Callable[[int], object],
        config: FileSinkConfig,
        *,
        spokesman: bool = True,
        open_now: bool = True,
    ) -> None:
        super().__init__(name, loop, on_failed, on_lost)
        self._spokesman = spokesman
        self.config = config
        self._identity = (0, 0)
        self._rotate_not_before = 0.0
        if not open_now:
            return
        try:
            self._open()
        except OSError as error:
            self._fail(error)

    def adopt(self, config: FileSinkConfig) -> None:
        """Take over other rotation settings for the same path and mode."""
        self.config = config
        self._rotate_not_before = 0.0

    def reopen(self) -> None:
        """Open the path again, after something else has rotated the file.

        When that fails lines are kept, and opening is tried again.
        """
        self.flush()
        try:
            self._open()
        except OSError as error:
            self._release()
            self._unschedule()
            self._fail(error)

    def _open(self) -> None:
        path, mode = self.config.path, self.config.mode
        try:
            fd = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            fd = os.open(path, _FLAGS | os.O_CREAT, mode)
        else:
            with contextlib.suppress(OSError):  # some volumes have no modes
                os.fchmod(fd, mode)
        found = os.fstat(fd)
        identity = (found.st_dev, found.st_ino)
        if identity != self._identity:
            self._restart_line()
        self._release()
        self._fd = fd
        self._identity = identity
        self._pipe_like = not stat.S_ISREG(found.st_mode)

    def _release(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(OSError):  # a network volume's late complaint: the write has said it
                os.close(fd)

    def _write_size(self) -> int:
        size = super()._write_size()
        return min(size, self.config.max_size) if self.config.max_size and not self._pipe_like else size

    def _prepare(self, size: int) -> None:
        if self._fd < 0:
            self._open()
            return
        if self._pipe_like:
            return
        found = os.fstat(self._fd)
        if found.st_nlink == 0:
            self._open()
        elif self.config.max_size and found.st_size and found.st_size + size > self.config.max_size:
            self._rotate()

    def _rotate(self) -> None:
        # A line that is half written stays with its first half.
        if self._head_written or self._loop.time() < self._rotate_not_before:
            return
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_current():
                self._rename()
        except BlockingIOError:
            return  # another process is rotating it
        except OSError as error:  # a volume without locks comes here too: renaming would not be safe there
            self._rotate_not_before = self._loop.time() + ROTATION_RETRY
            _LOG.log(
                self._level(error),
                "logger %s: %s cannot be rotated: %s; it grows until that is mended. Remedy: make its "
                "directory writable for user %d",
                self.name,
                self.config.path,
                os.strerror(error.errno or errno.EIO),
                os.geteuid(),
            )
            with contextlib.suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_UN)
            return
        self._open()  # closes the old one, and with it ends the lock

    def _is_current(self) -> bool:
        try:
            found = Path(self.config.path).stat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def _rename(self) -> None:
        path, last = self.config.path, self.config.max_files
        beyond = last + 1
        with contextlib.suppress(FileNotFoundError):
            while True:  # what a larger max_files left behind
                Path(f"{path}.{beyond}").unlink()
                beyond += 1
        for number in range(last - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{path}.{number}").replace(f"{path}.{number + 1}")
        if last > 0:
            Path(path).replace(f"{path}.1")
        else:
            Path(path).unlink()

    def _level(self, error: OSError) -> int:
        return logging.ERROR if self._spokesman or error.errno not in _OF_THE_FILE else logging.DEBUG

    def _explain(self, error: OSError) -> str:
        path, code = self.config.path, error.errno or errno.EIO
        directory = Path(path).parent
        if code in {errno.ENOENT, errno.ENOTDIR}:
            remedy = f"mount a volume at {directory}, or create that directory"
        elif code in {errno.EACCES, errno.EPERM}:
            remedy = f"make {directory} and the file writable for user {os.geteuid()}"
        elif code == errno.EROFS:
            remedy = f"mount a writable volume at {directory}"
        elif code in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            remedy = "make room on the volume, or rotate earlier (maxSize, maxFiles)"
        elif code == errno.EISDIR:
            remedy = "name a file, not a directory"
        else:
            remedy = "look after the volume"
        return f"{path}: {os.strerror(code)}. Remedy: {remedy}"
