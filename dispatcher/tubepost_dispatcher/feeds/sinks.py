"""Where log lines go: standard output, or a file with rotation.

Lines of one loop turn leave in one write. Nothing here raises into the delivery path, and nothing waits: what
cannot be written is kept, up to `MAX_BUFFERED` bytes, and tried again; beyond that new lines are counted as
lost. Files and pipes may be shared with other processes: pieces end at line ends and are appended whole.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import stat
from collections import deque
from collections.abc import Callable
from typing import Protocol

from tubepost_runtime.backoff import Backoff, Exponential

_LOG = logging.getLogger("tubepost.logger")

MAX_BUFFERED = 4 * 1024 * 1024
"""Bytes that one sink keeps while it cannot write."""

WRITE_SIZE = 256 * 1024
"""Bytes of one write to a file, at most (a single longer line excepted)."""

TURN_SIZE = 1024 * 1024
"""Bytes that one sink writes in one loop turn, so that a backlog does not hold up deliveries."""

RETRY_FIRST, RETRY_MAX = 0.5, 30.0
"""Seconds between attempts after an error: doubling from the first to the second."""

BUSY_FIRST, BUSY_MAX = 0.01, 0.25
"""The same, while the reader of a pipe is slow."""

CLOSE_PATIENCE = 1.0
"""Seconds for which `close` waits for a slow reader."""


class Handle(Protocol):
    """Something scheduled."""

    def cancel(self) -> None:
        """Forget it."""


class Scheduler(Protocol):
    """The part of an event loop that loggers need; `asyncio.AbstractEventLoop` is one."""

    def call_soon(self, callback: Callable[[], object], /) -> Handle:
        """Call in the next loop turn."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Handle:
        """Call after `delay` seconds."""

    def time(self) -> float:
        """Monotonic seconds."""


class LineSink(Protocol):
    """What a logger writes to."""

    @property
    def problem(self) -> str:
        """Why lines cannot be written at present, with the remedy; empty while they can."""

    def write(self, line: bytes) -> None:
        """Take one line; never waits."""

    def flush(self) -> bool:
        """Write what can be written without waiting; False when something is left."""

    def reopen(self) -> None:
        """Open the file by its name again."""

    def close(self) -> None:
        """Come to an end."""


class Sink:
    """Lines in, bytes out to a file descriptor, buffered in between.

    Args:
        name: the logger's, for messages.
        loop: schedules writes.
        on_failed: told how many lines could not be written when they were due; they are tried again.
        on_lost: told how many lines are given up.
    """

    def __init__(
        self, name: str, loop: Scheduler, on_failed: Callable[[int], object], on_lost: Callable[[int], object]
    ) -> None:
        self.name = name
        self.problem = ""
        """Why lines cannot be written at present, with the remedy; empty while they can."""
        self._loop = loop
        self._on_failed = on_failed
        self._on_lost = on_lost
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._head_written = 0  # bytes of the first line that are written already
        self._counted = 0  # leading lines that on_failed has been told of
        self._scheduled: Handle | None = None
        self._retry = Backoff(Exponential(RETRY_FIRST, RETRY_MAX))
        self._busy = Backoff(Exponential(BUSY_FIRST, BUSY_MAX))
        self._closed = False
        self._fd = -1
        self._pipe_like = True

    @property
    def buffered(self) -> int:
        """Bytes that wait to be written."""
        return self._size

    def write(self, line: bytes) -> None:
        """Take one line, its line end included; it is written in the next loop turn."""
        if self._closed or self._size + len(line) > MAX_BUFFERED:
            self._on_failed(1)
            self._on_lost(1)
            return
        self._lines.append(line)
        self._size += len(line)
        if self._scheduled is None:
            self._scheduled = self._loop.call_soon(self._turn)

    def flush(self) -> bool:
        """Write what is buffered now, as far as it goes without waiting; False when something is left."""
        self._unschedule()
        while self._turn() and self._lines:
            self._unschedule()
        return not self._lines

    def reopen(self) -> None:
        """Open the file by its name again; nothing where there is no name."""
        self.flush()

    def leave(self) -> None:
        """Come to an end because another configuration is in force: as `close`, but nobody waits for it."""
        self.close()

    def close(self) -> None:
        """Write what can be written, give up the rest, release the file."""
        if self._closed:
            return
        end = self._loop.time() + CLOSE_PATIENCE
        while not self.flush() and not self.problem:
            # Only a pipe's slow reader leads here; the process is ending, so that waiting is right.
            if self._loop.time() >= end or not writable(self._fd, CLOSE_PATIENCE):
                break
        self._end()
        self._release()

    def _end(self) -> None:
        """Take no more lines, and give those up that are left."""
        self._unschedule()
        self._closed = True
        if self._lines:
            _LOG.error("logger %s: %d lines are lost at the end", self.name, len(self._lines))
            self._count_failed()
            self._on_lost(len(self._lines))
            self._lines.clear()
            self._size = 0

    def _release(self) -> None:
        """Give up the file descriptor, if it is ours."""

    def _prepare(self, size: int) -> None:
        """Make sure that `_fd` is there and fit for `size` more bytes; raises OSError."""

    def _write_size(self) -> int:
        # A pipe takes this much at once or not at all, and never mixes it with another writer's bytes.
        return select.PIPE_BUF if self._pipe_like else WRITE_SIZE

    def _unschedule(self) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None

    def _turn(self) -> bool:
        """Write up to TURN_SIZE bytes; schedules what is left. False when there is no going on at once."""
        self._scheduled = None
        try:
            going_on = self._write_some()
        except OSError as error:
            self._fail(error)
            return False
        self._went(going_on=going_on)
        return going_on

    def _went(self, *, going_on: bool) -> None:
        """There was no error; `going_on`: there is no reader either who is slow."""
        if self.problem and (going_on or not self._lines):
            _LOG.warning("logger %s: writes again", self.name)
            self.problem = ""
        self._retry.success()
        if going_on:
            self._busy.success()
            if self._lines:
                self._again()
        else:
            self._scheduled = self._loop.call_later(self._busy.failure(), self._turn)

    def _again(self) -> None:
        """Schedule what is left."""
        self._scheduled = self._loop.call_soon(self._turn)

    def _write_some(self) -> bool:
        if self._fd < 0:
            self._prepare(0)
        budget = TURN_SIZE
        while self._lines and budget > 0:
            chunk, head = self._next_chunk(), self._head_written
            self._prepare(len(chunk))
            if self._head_written != head:
                continue  # the file has changed under a half-written line: the line starts again
            if self._pipe_like and not writable(self._fd, 0):
                return False
            try:
                written = os.write(self._fd, chunk)
            except BlockingIOError:
                return False
            self._consume(written)
            budget -= len(chunk)
        return True

    def _next_chunk(self) -> bytes:
        lines, limit = self._lines, self._write_size()
        if self._head_written or (self._pipe_like and len(lines[0]) > limit):
            return lines[0][self._head_written : self._head_written + limit]
        if self._size <= limit:
            return b"".join(lines)
        size = 0
        chosen: list[bytes] = []
        for line in lines:
            size += len(line)
            if size > limit and chosen:
                break
            chosen.append(line)
        return b"".join(chosen)

    def _consume(self, written: int) -> None:
        self._size -= written
        if self._size == 0:
            self._lines.clear()
            self._head_written = self._counted = 0
            return
        while written:
            left = len(self._lines[0]) - self._head_written
            if written < left:
                self._head_written += written
                return
            written -= left
            self._lines.popleft()
            self._head_written = 0
            self._counted = max(0, self._counted - 1)

    def _restart_line(self) -> None:
        self._size += self._head_written
        self._head_written = 0

    def _count_failed(self) -> None:
        self._on_failed(len(self._lines) - self._counted)
        self._counted = len(self._lines)

    def _fail(self, error: OSError) -> None:
        self._count_failed()
        problem = self._explain(error)
        if problem != self.problem:
            _LOG.log(self._level(error), "logger %s: %s; lines are kept and tried again", self.name, problem)
            self.problem = problem
        if not self._closed:
            self._scheduled = self._loop.call_later(self._retry.failure(), self._turn)

    def _level(self, error: OSError) -> int:
        """The level at which an error is told."""
        del error
        return logging.ERROR

    def _explain(self, error: OSError) -> str:
        return f"cannot write: {os.strerror(error.errno or errno.EIO)}"


class StdoutSink(Sink):
    """Standard output (or another file descriptor that stays the caller's).

    The descriptor is shared with other processes, so that it is not made non-blocking; a pipe is asked first
    whether it takes a piece. Should another process fill it in that instant, the write waits for the reader.
    """

    def __init__(
        self,
        name: str,
        loop: Scheduler,
        on_failed: Callable[[int], object],
        on_lost: Callable[[int], object],
        fd: int = 1,
    ) -> None:
        super().__init__(name, loop, on_failed, on_lost)
        self._fd = fd
        try:
            self._pipe_like = not stat.S_ISREG(os.fstat(fd).st_mode)
        except OSError:
            self._pipe_like = False  # closed: the write says so

    def _explain(self, error: OSError) -> str:
        return f"standard output: {os.strerror(error.errno or errno.EIO)}"


def writable(fd: int, timeout: float) -> bool:
    """Whether a pipe takes a piece within `timeout` seconds."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    # An error or hang-up counts: the write that follows reports it.
    return bool(poll.poll(timeout * 1000))
