"""What a message of the stream says: entries, and which of them may have been delivered already. Pure.

message   version, octets of the notes, the notes, the records of `bundle.pack`
notes     JSON: how many records; by number of the record: reason, route, hold; numbers of doubtful ones
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import orjson

from tubepost_dispatcher.store.bundle import pack, unpack
from tubepost_dispatcher.store.port import Entry

VERSION: Final = 1
_HEAD: Final = struct.Struct("<BI")


class NewerMessage(ValueError):
    """A later release wrote it."""


class Stored(NamedTuple):
    """What was in a message."""

    entries: tuple[Entry, ...]
    doubtful: frozenset[int]
    """Numbers of those that may have been delivered."""
    damaged: int
    """Records that are not as they were written."""


def encode(entries: Sequence[Entry], doubtful: Collection[int] = ()) -> bytes:
    """The stored form; `doubtful`: numbers of entries that may have been delivered."""
    packed = pack(entries)
    notes: list[Any] = [len(entries), {}, sorted(doubtful)]
    if packed is None:
        notes[1] = {
            str(number): (one.reason, one.route, one.hold)
            for number, one in enumerate(entries)
            if one.reason or one.route or one.hold
        }
        packed = pack([one._replace(reason="", route="", hold="") for one in entries])
        assert packed is not None
    head = orjson.dumps(notes)
    return b"".join((_HEAD.pack(VERSION, len(head)), head, packed))


def decode(data: bytes) -> Stored:
    """What a message says.

    Raises:
        NewerMessage: a later release wrote it.
        ValueError: it is not one of ours.
    """
    try:
        version, size = _HEAD.unpack_from(data)
        if version > VERSION:
            raise NewerMessage(f"version {version}")
        count, texts, doubtful = orjson.loads(data[_HEAD.size : _HEAD.size + size])
        found = unpack(0, count, data[_HEAD.size + size :])
        numbers = {one.key: place for place, one in enumerate(found.good)}
        entries = [one.entry for one in found.good]
        for number, (reason, route, hold) in texts.items():
            place = numbers.get(int(number))
            if place is not None:
                entries[place] = entries[place]._replace(reason=reason, route=route, hold=hold)
        unsure = frozenset(numbers[one] for one in doubtful if one in numbers)
    except (struct.error, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a message of a queue: {error}") from error
    return Stored(tuple(entries), unsure, len(found.bad))
