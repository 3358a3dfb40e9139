"""The journal's file: lines appended, two generations kept, searched by message id. For one thread.

    journal.jsonl       the lines of late
    journal.1.jsonl     those before

Nothing is synced: after a power cut the last lines may be missing, and the queue itself is not.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

NAME: Final = "journal.jsonl"
BEFORE: Final = "journal.1.jsonl"
MOST_BYTES: Final = 32 * 1024 * 1024
"""Size at which a file becomes the one before; there are two of them."""
LEAST_FREE: Final = 32 * 1024 * 1024
"""Bytes of the volume that the journal leaves to the queue itself: below, lines are lost."""
MOST_FOUND: Final = 1_000
"""Lines that a search returns, the latest: more than any message has."""
_CHUNK: Final = 256 * 1024
"""Bytes that are searched while the interpreter's lock is held: well below a millisecond."""
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class JournalFile:
    """Appends to the journal of a partition; opened when there is something to write.

    Args:
        directory: of the partition; made when it does not exist.
        most_bytes: of one file.
    """

    def __init__(self, directory: Path, most_bytes: int = MOST_BYTES) -> None:
        self._directory = directory
        self._most_bytes = most_bytes
        self._descriptor = -1

    def append(self, data: bytes) -> None:
        """Write whole lines.

        Raises:
            OSError: they were not written, or not all of them.
        """
        path = self._directory / NAME
        try:
            if self._descriptor < 0:
                self._open(path)
            self._leave_room(len(data))
            found = os.fstat(self._descriptor)
            if found.st_size and found.st_size + len(data) > self._most_bytes:
                self._rotate(path)
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close it; `append` opens it again."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def _open(self, path: Path) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self.close()
        self._descriptor = os.open(path, _FLAGS, 0o600)

    def _leave_room(self, size: int) -> None:
        volume = os.fstatvfs(self._descriptor)
        if volume.f_bavail * volume.f_frsize < LEAST_FREE + size:
            raise OSError(errno.ENOSPC, "the volume is nearly full, the queue needs what is left")

    def _rotate(self, path: Path) -> None:
        # A predecessor that drains may write the same file: whoever has the lock, and the file of that name,
        # renames it.
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours, named = os.fstat(self._descriptor), path.stat()
            if (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino):
                path.replace(path.with_name(BEFORE))
        self._open(path)


def search(directories: Sequence[Path], message_id: str) -> list[list[Any]]:
    """The lines of one message in the journals of some partitions, the latest `MOST_FOUND` in order of time.

    A line is a list; its first value is the time, its second the message id. What cannot be read is passed
    over.
    """
    found: list[list[Any]] = []
    needle = orjson.dumps(message_id)
    for directory in directories:
        for name in (BEFORE, NAME):
            with contextlib.suppress(OSError):
                for line in _lines_with(directory / name, needle):
                    with contextlib.suppress(ValueError):
                        values = orjson.loads(line)
                        if isinstance(values, list) and _is_of(values, message_id):
                            found.append(values)
                    del found[: -2 * MOST_FOUND]
    found.sort(key=_time)
    return found[-MOST_FOUND:]


def _time(values: list[Any]) -> float:
    return float(values[0])


def _is_of(values: list[Any], message_id: str) -> bool:
    return values[1:2] == [message_id] and isinstance(values[0], int | float)


def _lines_with(path: Path, needle: bytes) -> Iterator[bytes]:
    with path.open("rb") as file:
        rest = b""
        while chunk := file.read(_CHUNK):
            chunk = rest + chunk
            whole, _, rest = chunk.rpartition(b"\n")
            if len(rest) > _CHUNK:
                rest = b""  # no line of ours is that long
            at = whole.find(needle)
            while at >= 0:
                begin = whole.rfind(b"\n", 0, at) + 1
                end = whole.find(b"\n", at)
                yield whole[begin:] if end < 0 else whole[begin:end]
                at = whole.find(needle, len(whole) if end < 0 else end)
