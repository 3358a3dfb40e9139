"""A bundle: fresh entries that one commit stored together, as one value. Pure.

    record   crc32, lane, accepted, due, expires, attempt, characters of message id and domain,
             octets of the texts and of the body; message id, domain and sender; the body

Most notifications end before anybody looks for them. As a row each they cost several times as much. The crc
is of what follows it, so that an entry that is not as it was written is set aside alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from tubepost_dispatcher.store.port import Entry, Kept

MOST: Final = 500
"""Entries of one bundle, or those of one put."""
_FIXED: Final = struct.Struct("<qdddqIIII")
_CRC: Final = struct.Struct("<I")
_START: Final = _CRC.size + _FIXED.size


class Unpacked(NamedTuple):
    """What is in a bundle."""

    good: list[Kept]
    bad: list[tuple[int, bytes]]
    """Keys of records that are not as they were written, and their octets; the last has all that follows it,
    where its end cannot be found."""


def pack(entries: Iterable[Entry]) -> bytes | None:
    """The stored form of entries; None: they have a reason, a route or a hold, which is only for rows."""
    # This is done for every message of a queue.
    parts: list[bytes] = []
    for (
        body,
        message_id,
        domain,
        sender,
        accepted,
        due,
        expires,
        attempt,
        reason,
        route,
        hold,
        lane,
    ) in entries:
        if reason or route or hold:
            return None
        texts = f"{message_id}{domain}{sender}".encode("utf-8", "surrogatepass")
        head = _FIXED.pack(
            lane, accepted, due, expires, attempt, len(message_id), len(domain), len(texts), len(body)
        )
        crc = zlib.crc32(body, zlib.crc32(texts, zlib.crc32(head)))
        parts += (_CRC.pack(crc), head, texts, body)
    return b"".join(parts)


def unpack(first: int, count: int, data: bytes) -> Unpacked:
    """The entries of a bundle, as far as they are what was written."""
    found = Unpacked([], [])
    start = 0
    for key in range(first, first + count):
        if start + _START > len(data):
            found.bad.append((key, data[start:]))
            break
        *_, texts, body = _FIXED.unpack_from(data, start + _CRC.size)
        end = start + _START + texts + body
        if end > len(data):
            found.bad.append((key, data[start:]))
            break
        record = data[start:end]
        entry = _entry(record)
        if entry is None:
            found.bad.append((key, record))
        else:
            found.good.append(Kept(key, entry))
        start = end
    return found


def _entry(record: bytes) -> Entry | None:
    """The entry of a record; None: it is not as it was written."""
    (crc,) = _CRC.unpack_from(record)
    if zlib.crc32(record[_CRC.size :]) != crc:
        return None
    lane, accepted, due, expires, attempt, ids, domains, size, _ = _FIXED.unpack_from(record, _CRC.size)
    texts = record[_START : _START + size].decode("utf-8", "surrogatepass")
    message_id, domain, sender = texts[:ids], texts[ids : ids + domains], texts[ids + domains :]
    return Entry(
        record[_START + size :], message_id, domain, sender, accepted, due, expires, attempt, lane=lane
    )
