r"""The message between `354` and its end (RFC 5321 4.1.1.4, 4.5.2). Pure but for the temporary file.

Only CR LF `.` CR LF ends a message; the first CR LF may be the one of the DATA command. Nothing else is
looked at: bare CR, bare LF and NUL stay as they are, neither end a line nor make a dot special. Only for the
limits of header and line a bare LF ends a line, since mail with the line ends of Unix is read.
"""

from __future__ import annotations

import enum
import mmap
import re
import tempfile
from pathlib import Path
from typing import IO, Final

from tubepost_dispatcher.transaction import Content

TERMINATOR: Final = b"\r\n.\r\n"
FILE_ABOVE = 256 * 1024
"""Octets that one message may hold in memory before it goes to a file."""
FILE_ABOVE_UNDER_PRESSURE = 16 * 1024
"""The same while all messages together hold more than `MEMORY_BUDGET`."""
MEMORY_BUDGET = 64 * 1024 * 1024
"""Octets of incomplete messages that a listener holds in memory before smaller ones go to a file too."""


_HEADER_END: Final = re.compile(rb"\n\r?\n")


class DataFault(enum.Enum):
    """Why a message that was received to its end is refused."""

    TOO_LARGE = "too-large"
    HEADER_TOO_LARGE = "header-too-large"
    LINE_TOO_LONG = "line-too-long"
    NO_SPACE = "no-space"


class Memory:
    """Octets that all receivers of one listener hold in memory."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = 0


def take_whole(chunk: bytes, start: int, limit: int) -> tuple[bytes, int] | None:
    """The common case: `chunk` holds a whole message from `start`, of at most `limit` octets, no stuffed dot.

    Returns the content and the position behind the terminator; None when the case is not that plain, then
    `DataReceiver` does it.
    """
    end = chunk.find(b"\r\n.", start)
    if end < 0 or end + 2 - start > limit or chunk[end + 3 : end + 5] != b"\r\n" or chunk[start] == 0x2E:
        return None
    return chunk[start : end + 2], end + 5


class DataReceiver:
    """Receives one message in chunks of any size; linear in its length, bounded in memory.

    All limits are octets, 0 means none. What exceeds one is dropped at once and no longer stored, but still
    followed to its end, so that the session stays in step; `hopeless` tells when even that is enough.
    """

    __slots__ = (
        "_carry",
        "_file",
        "_held",
        "_in_header",
        "_line",
        "_max_header",
        "_max_line",
        "_max_size",
        "_memory",
        "_parts",
        "_skip",
        "_temp_dir",
        "_window",
        "fault",
        "raw",
        "size",
    )

    def __init__(
        self,
        *,
        max_size: int = 0,
        max_header: int = 0,
        max_line: int = 0,
        temp_dir: Path | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._max_size = max_size
        self._max_header = max_header
        self._max_line = max_line
        self._temp_dir = temp_dir
        self._memory = memory or Memory()
        self._parts: list[bytes] = []
        self._held = 0
        self._file: IO[bytes] | None = None
        # The CR LF of the DATA command counts as the start of the first line, and is not content.
        self._carry = b"\r\n"
        self._skip = 2
        self._line = 0
        self._in_header = max_header > 0
        self._window = b"\r\n"
        self.fault: DataFault | None = None
        self.raw = 0
        """Octets received, with stuffed dots."""
        self.size = 0
        """Octets of content so far."""

    @property
    def hopeless(self) -> bool:
        """The client has sent more than twice what is allowed: do not wait for the end of the message."""
        return self._max_size > 0 and self.raw > 2 * self._max_size + FILE_ABOVE

    @property
    def in_memory(self) -> int:
        """Octets held in memory (not counting the chunk in hand)."""
        return self._held

    def feed(self, chunk: bytes, start: int = 0) -> int:
        """Take `chunk` from `start`; the position behind the terminator, or -1 when more is to come."""
        carry = self._carry
        data = carry + (chunk[start:] if start else chunk)
        end = data.find(TERMINATOR)
        if end >= 0:
            used = end + 5 - len(carry)
            self.raw += used
            self._carry = b""
            self._take(data[self._skip : end + 2])
            return start + used
        self.raw += len(data) - len(carry)
        # Keep the longest tail that may begin a terminator, so that no terminator and no stuffed dot is split
        # between two chunks. At most four octets are scanned twice.
        keep = 4
        while keep and not data.endswith(TERMINATOR[:keep]):
            keep -= 1
        split = len(data) - keep
        if split > self._skip:
            self._take(data[self._skip : split])
            self._skip = 0
        elif split:
            self._skip -= split
        self._carry = data[split:]
        return -1

    def finish(self) -> Content | DataFault:
        """The content after `feed` has found the end, or why there is none. Releases what was held."""
        file = self._file
        if self.fault is None and file is not None:
            try:
                self._flush(file)
                file.flush()
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except OSError:
                self._fail(DataFault.NO_SPACE)
            else:
                self.release()
                return content
        if self.fault is not None:
            self.release()
            return self.fault
        whole = b"".join(self._parts)
        self.release()
        return whole

    def release(self) -> None:
        """Free what is held: the message is complete, refused, or its client gone."""
        self._memory.used -= self._held
        self._held = 0
        self._parts = []
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                # Closing flushes; on a full disk that fails again, and the descriptor is closed anyway.
                self.fault = self.fault or DataFault.NO_SPACE

    def _take(self, piece: bytes) -> None:
        if b"\r\n." in piece:
            piece = piece.replace(b"\r\n.", b"\r\n")
        if self._skip and piece.startswith(b"."):
            piece = piece[1:]
        self.size += len(piece)
        if self.fault is not None:
            return
        if self._max_size and self.size > self._max_size:
            self._fail(DataFault.TOO_LARGE)
        elif self._in_header and self._header_is_too_large(piece):
            self._fail(DataFault.HEADER_TOO_LARGE)
        elif self._max_line and self._line_is_too_long(piece):
            self._fail(DataFault.LINE_TOO_LONG)
        else:
            self._store(piece)

    def _header_is_too_large(self, piece: bytes) -> bool:
        window = self._window + piece
        blank = _HEADER_END.search(window)
        if blank is not None:
            self._in_header = False
            header = self.size - len(window) + blank.start() + 1
            return header > self._max_header
        self._window = window[-3:]
        return self.size > self._max_header

    def _line_is_too_long(self, piece: bytes) -> bool:
        limit = self._max_line
        length = len(piece)
        if self._line + length > limit:
            # Jump to the last line end within the limit, again and again: one step for `limit` octets.
            begin = -self._line
            while length - begin > limit:
                end = piece.rfind(b"\n", max(begin, 0), begin + limit + 1)
                if end < 0:
                    return True
                begin = end + 1
        last = piece.rfind(b"\n")
        self._line = length - last - 1 if last >= 0 else self._line + length
        return False

    def _store(self, piece: bytes) -> None:
        self._parts.append(piece)
        self._held += len(piece)
        memory = self._memory
        memory.used += len(piece)
        above = FILE_ABOVE if memory.used <= MEMORY_BUDGET else FILE_ABOVE_UNDER_PRESSURE
        if self._held <= above:
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._temp_dir)  # noqa: SIM115 - outlives this call
            self._flush(self._file)
        except OSError:
            self._fail(DataFault.NO_SPACE)

    def _flush(self, file: IO[bytes]) -> None:
        if self._parts:
            file.write(b"".join(self._parts))
            self._parts = []
            self._memory.used -= self._held
            self._held = 0

    def _fail(self, fault: DataFault) -> None:
        self.release()
        self.fault = fault
