"""A bundle: fresh entries that one commit stored together, as one value. Pure.

    record   crc32, lane, accepted, due, expires, attempt, sizes of three texts and the body;
             the texts, the body

Most notifications end before anybody looks for them. As a row each they cost ten times as much. The crc is
of what follows it and of the entry's key, so that one that is not as it was written is set aside alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tubepost_dispatcher.store.port import Entry, Kept

MOST: Final = 500
"""Entries of one bundle."""
_FIXED: Final = struct.Struct("<qdddqIIII")
_CRC: Final = struct.Struct("<I")
_START: Final = _CRC.size + _FIXED.size
_MASK: Final = 0xFFFFFFFF


class Unpacked(NamedTuple):
    """What is in a bundle."""

    good: list[Kept]
    bad: list[tuple[int, bytes]]
    """Keys of records that are not as they were written, and their octets; the last has all that follows it,
    where its end cannot be found."""


def fits(entries: Iterable[Entry]) -> bool:
    """Whether there is nothing in them that a bundle has no place for: a reason, a route, a hold."""
    for _, _, _, _, _, _, _, _, reason, route, hold, _ in entries:  # noqa: SIM110 - a generator costs more
        if reason or route or hold:
            return False
    return True


def pack(first: int, entries: Sequence[Entry]) -> bytes:
    """The stored form of entries, whose keys are `first` and those that follow it."""
    # This is done for every message of a queue.
    parts: list[bytes] = []
    for key, one in enumerate(entries, first):
        body, message_id, domain, sender, accepted, due, expires, attempt, _, _, _, lane = one
        texts = message_id.encode(), domain.encode(), sender.encode()
        head = _FIXED.pack(lane, accepted, due, expires, attempt, *map(len, texts), len(body))
        head = b"".join((head, *texts))
        parts += (_CRC.pack(zlib.crc32(body, zlib.crc32(head, key & _MASK))), head, body)
    return b"".join(parts)


def unpack(first: int, count: int, data: bytes) -> Unpacked:
    """The entries of a bundle, as far as they are what was written."""
    found = Unpacked([], [])
    start = 0
    for key in range(first, first + count):
        if start + _START > len(data):
            found.bad.append((key, data[start:]))
            break
        *_, m, d, s, b = _FIXED.unpack_from(data, start + _CRC.size)
        end = start + _START + m + d + s + b
        if end > len(data):
            found.bad.append((key, data[start:]))
            break
        record = data[start:end]
        entry = _entry(key, record, (m, d, s, b))
        if entry is None:
            found.bad.append((key, record))
        else:
            found.good.append(Kept(key, entry))
        start = end
    return found


def _entry(key: int, record: bytes, sizes: Sequence[int]) -> Entry | None:
    """The entry of a record; None: it is not as it was written."""
    (crc,) = _CRC.unpack_from(record)
    if zlib.crc32(record[_CRC.size :], key & _MASK) != crc:
        return None
    lane, accepted, due, expires, attempt, *_ = _FIXED.unpack_from(record, _CRC.size)
    parts, at = [], _START
    for size in sizes:
        parts.append(record[at : at + size])
        at += size
    message_id, domain, sender, body = parts
    return Entry(
        body,
        message_id.decode(),
        domain.decode(),
        sender.decode(),
        accepted,
        due,
        expires,
        attempt,
        lane=lane,
    )
