"""The log of a database (SQLite's write-ahead log): whether what was acknowledged in it can be read.

SQLite reads a log up to the first frame whose checksum is wrong, and takes that for the end: such is what a
power cut leaves of the commit under way. Damage in the middle looks the same to it, and what follows would
be gone in silence. Each commit is synced before the next begins, so behind a true end there is one at most.
A log that was cut off cannot be told from one that ends there.
Format: https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path
from typing import BinaryIO, Final

_HEADER: Final = struct.Struct(">8I")
"""Magic, version, page size, number of the checkpoint, two salts, two checksums."""
_FRAME: Final = struct.Struct(">4I")
"""Page, size of the database after a commit (else 0), two salts. Two checksums and the page follow."""
_FRAME_HEADER: Final = 24
_MAGIC: Final = 0x377F0682
"""Its lowest bit says that checksums are made of big-endian words."""
_PAGE: Final = 4_096


def lost_commits(database: Path, frames: int) -> int:
    """Count the commits behind the frames that SQLite has read, if there are more than a crash can leave.

    Args:
        database: its path; it need not have a log. What cannot be read has been SQLite's error before.
        frames: how many SQLite has read.
    """
    try:
        with database.with_name(f"{database.name}-wal").open("rb") as log:
            found = _commits(log, frames)
    except OSError:
        return 0
    return found if found > 1 else 0


def _commits(log: BinaryIO, frames: int) -> int:
    header = log.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return 0
    sound = _sound(header)
    _, _, page, _, *salts = _HEADER.unpack(header)[:6]
    step = _FRAME_HEADER + (page if sound else _PAGE)
    at = _HEADER.size + frames * step
    commits: Counter[tuple[int, int]] = Counter()
    while log.seek(at) == at and len(frame := log.read(_FRAME.size)) == _FRAME.size:
        _, size, *salt = _FRAME.unpack(frame)
        # Others are of the time before the log last began anew.
        if size and (not sound or salt == salts):
            commits[salt[0], salt[1]] += 1
        at += step
    return max(commits.values(), default=0)


def _sound(header: bytes) -> bool:
    magic, *_, first, second = _HEADER.unpack(header)
    if magic & ~1 != _MAGIC:
        return False
    one = two = 0
    words = struct.unpack(">6I" if magic & 1 else "<6I", header[:24])
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return (one, two) == (first, second)
