"""A log file that is written by a thread of its own: a disk that stands still must hold up no message.

Opening, looking, rotating and writing happen in that thread, one piece after the other; the lines belong to
the event loop. While the disk is busy they gather, up to what a sink may keep.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from tubepost_api.config_logger import FileSink as FileSinkConfig
from tubepost_dispatcher.feeds.file_sink import FileSink
from tubepost_dispatcher.feeds.sinks import CLOSE_PATIENCE, writable

_LOG: Final = logging.getLogger("tubepost.logger")

GATHER: Final = 0.02
"""Seconds for which lines gather after a write: each wakes the thread, which costs more than the write."""


class _Piece:
    """Bytes on their way to the disk, and what became of them. Stands for the next turn until then."""

    __slots__ = ("data", "done", "error", "going_on", "restarts", "written")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.written = 0
        self.going_on = True
        """False: the reader of a pipe is slow."""
        self.restarts = False
        """Another file was opened: a line that is half written begins anew there."""
        self.error: OSError | None = None
        self.done = threading.Event()

    def cancel(self) -> None:
        """It is too late for that."""


class ThreadedFileSink(FileSink):
    """See `FileSink`. The file is opened a moment after this was made; that it cannot be is told then."""

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop,
        on_failed: Callable[[int], object],
        on_lost: Callable[[int], object],
        config: FileSinkConfig,
        *,
        spokesman: bool = True,
    ) -> None:
        self._told = loop.call_soon_threadsafe
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._piece: _Piece | None = None
        self._next_at = 0.0
        self._reopening = False
        self._left = False
        super().__init__(name, loop, on_failed, on_lost, config, spokesman=spokesman, open_now=False)
        threading.Thread(target=self._run, name=f"log {name}", daemon=True).start()
        self._begin()

    # -- on the event loop ----------------------------------------------------------------------------

    def flush(self) -> bool:
        """Have everything written; False: that has yet to happen."""
        if self._piece is None:
            self._unschedule()
            self._begin()
        return False

    def reopen(self) -> None:
        """Have the path opened again, after a piece of what waits was written to the file that there was."""
        self._reopening = True
        self.flush()

    def leave(self) -> None:
        """Come to an end without being waited for; nothing else is called from now on."""
        self._left = True
        self._unschedule()
        threading.Thread(target=self.close, name=f"log {self.name}", daemon=True).start()

    def close(self) -> None:
        """Wait for the disk for `CLOSE_PATIENCE` seconds, give up the rest, release the file."""
        if self._closed:
            return
        self._left = True
        self._unschedule()
        end = time.monotonic() + CLOSE_PATIENCE
        while self._piece is not None or self._lines:
            piece = self._piece or self._begin()
            if not piece.done.wait(max(0.0, end - time.monotonic())):
                break
            self._take(piece)
            if piece.error is not None or time.monotonic() > end:
                break
            if not piece.going_on:
                time.sleep(GATHER)
        self._end()
        self._work.put(None)

    def _turn(self) -> bool:
        self._scheduled = None
        if self._piece is not None or self._left:
            return False
        wait = self._next_at - self._loop.time()
        if wait > 0:
            self._scheduled = self._loop.call_later(wait, self._turn)
        else:
            self._begin()
        return False

    def _begin(self) -> _Piece:
        """Hand the next piece to the thread; without lines it opens the file."""
        piece = self._piece = self._scheduled = _Piece(self._next_chunk() if self._lines else b"")
        self._work.put(lambda: self._do(piece))
        return piece

    def _finished(self, piece: _Piece) -> None:
        if self._left or piece is not self._piece:
            return
        self._take(piece)
        if piece.error is not None:
            self._fail(piece.error)
            return
        self._went(going_on=piece.going_on)
        if self._reopening and self._scheduled is None:
            self._begin()

    def _take(self, piece: _Piece) -> None:
        self._piece = self._scheduled = None
        if piece.written:
            self._next_at = self._loop.time() + GATHER
        self._consume(piece.written)
        if piece.restarts:
            super()._restart_line()

    def _again(self) -> None:
        self._turn()

    # -- in the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
        self._release()

    def _do(self, piece: _Piece) -> None:
        try:
            piece.going_on = self._write_piece(piece)
        except OSError as error:
            piece.error = error
        except Exception:  # noqa: BLE001 - the event loop must hear of it, and the thread go on
            _LOG.exception("logger %s", self.name)
            piece.error = OSError(errno.EIO, os.strerror(errno.EIO))
        piece.done.set()
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._told(self._finished, piece)

    def _write_piece(self, piece: _Piece) -> bool:
        self._prepare(len(piece.data))
        if piece.data:
            if piece.restarts and self._head_written:
                return True
            if self._pipe_like and not writable(self._fd, 0):
                return False
            try:
                piece.written = os.write(self._fd, piece.data)
            except BlockingIOError:
                return False
        if self._reopening:
            self._reopening = False
            try:
                self._open()
            except OSError:
                self._release()
                raise
        return True

    def _restart_line(self) -> None:
        # The line is the event loop's, which is told.
        if self._piece is not None:
            self._piece.restarts = True
