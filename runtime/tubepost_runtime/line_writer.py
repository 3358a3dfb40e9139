"""Lines to a file descriptor that may not take them: a thread writes, callers never wait.

A pipe whose reader has stopped (a stuck log collector) takes 64 KiB and then blocks whoever writes to it.
Here that is a thread of its own; what does not fit into its bounded buffer is dropped and counted, and the
count is written once there is room again.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable

from tubepost_runtime.words import counted

MAX_BUFFERED = 1024 * 1024
"""Bytes of lines that wait to be written; later ones are dropped."""

TICK = 5.0
"""Seconds between two calls of `tick`."""

_CHUNK = 64 * 1024


class LineWriter:
    """Writes lines in the order in which they were given, off the caller's thread.

    The thread is a daemon: it keeps no process from ending. Safe to use from any thread.

    Args:
        descriptor: where to; stays the caller's.
        lost: called once for each line that is dropped, on the caller's thread.
        report: makes the line that says how many were dropped.
        tick: called on the writer's thread about every `TICK` seconds.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        lost: Callable[[], None] = lambda: None,
        report: Callable[[int], str] = (
            lambda count: f"{counted(count, 'line was', 'lines were')} dropped: the log was not read\n"
        ),
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._descriptor = descriptor
        self.lost = lost
        self._report = report
        self.tick = tick
        self._lines: deque[bytes] = deque()
        self._buffered = 0
        self._dropped = 0
        self._writing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, line: str) -> None:
        """Take a line with its line end; never waits for the descriptor."""
        data = line.encode("utf-8", "backslashreplace")
        with self._changed:
            dropped = self._buffered + len(data) > MAX_BUFFERED
            if dropped:
                self._dropped += 1
            else:
                self._lines.append(data)
                self._buffered += len(data)
                if self._thread is None or not self._thread.is_alive():
                    # Made when it is needed: a process that forks in between keeps none.
                    self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                    self._thread.start()
                self._changed.notify_all()
        if dropped:
            self.lost()

    def flush(self, timeout: float) -> bool:
        """Wait until all is written, at most `timeout` seconds; False when something is left."""
        end = time.monotonic() + timeout
        with self._changed:
            while self._lines or self._writing:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def _run(self) -> None:
        ticks_at = time.monotonic() + TICK
        while True:
            with self._changed:
                if not self._lines:
                    self._changed.wait(TICK)
                pieces = []
                size = 0
                while self._lines and size < _CHUNK:
                    pieces.append(self._lines.popleft())
                    size += len(pieces[-1])
                if self._dropped and not self._lines:
                    pieces.append(self._report(self._dropped).encode())
                    self._dropped = 0
                self._writing = bool(pieces)
            if pieces:
                self._write(b"".join(pieces))
            with self._changed:
                self._buffered -= size
                self._writing = False
                self._changed.notify_all()
            now = time.monotonic()
            if now >= ticks_at:
                ticks_at = now + TICK
                self.tick()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                time.sleep(0.05)  # somebody else has made the descriptor non-blocking
            except OSError:
                return  # the descriptor is gone, and there is nowhere else to say so
