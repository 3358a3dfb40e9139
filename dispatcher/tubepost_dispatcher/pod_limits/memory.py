"""Memory that the workers of a pod share, and the locks on it.

Every worker has a row of its own and writes there alone; all read all rows. So a worker that dies half-way
through, or is stopped, leaves nothing that others would trip over. A word is written by one store of eight
bytes, and is read whole.

A row belongs to the process that holds the lock on its byte. Locks are record locks (`fcntl`), never waited
for: the kernel takes them back when a process ends, however it ends. A process' own locks do not exclude
each other, and closing any descriptor of the file drops all of them: a process attaches once.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import secrets
import sys
import tempfile
from typing import Final

ROWS: Final = 256
"""Most workers at a time, those that are draining included."""
WAYS: Final = 16
"""Cells in which a key may be; a set of them is read at once."""
COUNT_CELLS: Final = 4_096 * WAYS
BUCKET_CELLS: Final = 4_096 * WAYS

_MFD_NOEXEC_SEAL = 8
_SECRET = 16
_EPOCHS = _SECRET // 8
"""First of the words, one a row, that say how often the row was taken; 0: never."""
_HEADER = 512
_ROW = 2 * (COUNT_CELLS + BUCKET_CELLS)
SIZE: Final = (_HEADER + ROWS * _ROW) * 8
"""Bytes; pages that nobody touches take no memory."""

# Where the locks are. Nothing is read or written there, and most of it is past the end of the file.
_KEY_LOCKS = 1 << 62
RANGE_LOCKS: Final = 1 << 61
"""First byte of the 2**61 that are for ranges, as their users divide them up."""


def create() -> int:
    """Make the memory; the descriptor of it, for workers to inherit. It lives as long as anybody has it.

    Raises:
        OSError: there is no room for it.
    """
    fd = _anonymous()
    os.ftruncate(fd, SIZE)
    # Clients choose their addresses: without the secret they could choose ones that share a set.
    os.pwrite(fd, secrets.token_bytes(_SECRET), 0)
    return fd


def _anonymous() -> int:
    if sys.platform == "linux":
        # Some kernels insist on the flag (sysctl vm.memfd_noexec), those before 6.3 do not know it.
        for flags in (os.MFD_CLOEXEC | _MFD_NOEXEC_SEAL, os.MFD_CLOEXEC):
            with contextlib.suppress(OSError):
                return os.memfd_create("tubepost-limits", flags)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Table:
    """Cells of every row, found by key: a key is in one of `WAYS` cells that follow from it.

    A key in memory is a hash of 64 bits, never 0.
    """

    __slots__ = ("_offset", "_sets", "_size", "_words")

    def __init__(self, words: memoryview[int], offset: int, size: int) -> None:
        self._words = words
        self._offset = offset
        self._size = size
        self._sets = size // WAYS

    def first(self, row: int, key: int) -> int:
        """The first of the cells in which row `row` may have `key`."""
        return _HEADER + row * _ROW + self._offset + key % self._sets * WAYS

    def find(self, row: int, key: int) -> int:
        """The cell in which the row has `key`, -1 when it has none."""
        first = self.first(row, key)
        keys = self._words[first : first + WAYS].tolist()
        return first + keys.index(key) if key in keys else -1

    def value(self, cell: int, key: int) -> int:
        """What a row has for `key` in that cell; 0 when the cell has become another key's."""
        words = self._words
        value = words[cell + self._size]
        # Only now: the value is the key's if the key is still there after it was read.
        return value if words[cell] == key else 0

    def raw(self, cell: int) -> int:
        """What is in a cell, whatever its key."""
        return self._words[cell + self._size]

    def set(self, cell: int, value: int) -> None:
        """Write a value, in one's own row."""
        self._words[cell + self._size] = value

    def assign(self, cell: int, key: int) -> None:
        """Make a cell of one's own row the one of `key`, with the value 0."""
        self._words[cell + self._size] = 0
        self._words[cell] = key


class Memory:
    """The shared memory in one worker.

    Args:
        fd: from `create`, inherited; never to be closed while the process lives.

    Raises:
        OSError: it cannot be mapped, or every row is a live worker's.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._map = mmap.mmap(fd, SIZE)
        self._secret = self._map[:_SECRET]
        self._words = words = memoryview(self._map).cast("Q")
        self.counts = Table(words, 0, COUNT_CELLS)
        self.buckets = Table(words, 2 * COUNT_CELLS, BUCKET_CELLS)
        self._known = 0
        self.row = self._take_row()
        """This worker's."""
        self.epoch = words[_EPOCHS + self.row]
        """Which one of the workers that had the row this one is."""
        self.others: list[int] = []
        """Rows that are or were other workers', as of the last `look`."""
        self.look()

    def _take_row(self) -> int:
        for row in range(ROWS):
            # The lowest that is free, so that those in use are together.
            if self.lock(row, 1):
                self._words[_EPOCHS + row] += 1
                return row
        raise OSError(f"there are {ROWS} workers already")

    def look(self) -> list[int]:
        """See which rows there are, besides this worker's."""
        words = self._words
        while self._known < ROWS and words[_EPOCHS + self._known]:
            if self._known != self.row:
                self.others.append(self._known)
            self._known += 1
        return self.others

    def epoch_of(self, row: int) -> int:
        """Which of its workers has the row now; counts of earlier ones are void."""
        return self._words[_EPOCHS + row]

    def void_if_dead(self, row: int) -> bool:
        """Make the counts of another row void if its worker has ended; whether it had."""
        if not self.lock(row, 1):
            return False
        self._words[_EPOCHS + row] += 1
        self.unlock(row, 1)
        return True

    def key(self, name: str) -> int:
        """A name's key."""
        digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8, key=self._secret)
        return int.from_bytes(digest.digest(), "little") or 1

    def lock_key(self, key: int) -> bool:
        """Take the lock of a key, if that is possible at once."""
        return self.lock(_KEY_LOCKS | key >> 2, 1)

    def unlock_key(self, key: int) -> None:
        """Give it back."""
        self.unlock(_KEY_LOCKS | key >> 2, 1)

    def lock(self, start: int, length: int) -> bool:
        """Lock bytes against other processes, if that is possible at once."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        except OSError:
            return False
        return True

    def unlock(self, start: int, length: int) -> None:
        """Give them back."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN, length, start)
