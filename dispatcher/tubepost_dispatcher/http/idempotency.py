"""Answers to requests with an Idempotency-Key, for those that come again. Pure: the time is an argument.

Kept in a worker's memory: what helps a client whose connection broke, not one that comes back after a day, or
to another pod. Those meet the same apns-ids, which are made from the key.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final, NamedTuple

KEPT: Final = 4_096
"""Keys that are remembered; the latest ones."""
KEPT_BYTES: Final = 8 * 1024 * 1024
"""Of answers that are remembered, in sum."""
KEPT_FOR: Final = 900.0
"""Seconds."""
MAX_KEY: Final = 255
"""Characters of the longest key."""


class Answer(NamedTuple):
    """What a request was answered with."""

    status: int
    kind: bytes
    body: bytes


class _Entry:
    __slots__ = ("answer", "at", "mark")

    def __init__(self, mark: bytes, at: float) -> None:
        self.mark = mark
        self.at = at
        self.answer: Answer | None = None


Key = tuple[str, bytes]
"""A client, and a key of its."""


def mark_of(body: bytes | bytearray) -> bytes:
    """What the same body has in common with itself only."""
    return hashlib.blake2b(body, digest_size=16).digest()


def apns_id(key: Key, index: int) -> bytes:
    """The apns-id of a request's notification that brings none; the same for the same key (RFC 9562, 5.8)."""
    named = b"\0".join((key[0].encode("utf-8"), key[1], b"%d" % index))
    digest = hashlib.blake2b(named, digest_size=16, person=b"tubepost-idempot").digest()
    digits = digest.hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}".encode()


class Remembered:
    """The keys of one listener."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._bytes = 0

    def begin(self, key: Key, mark: bytes, now: float) -> Answer | str | None:
        """A request has come: None if it is the first, its answer, or the reason why there is none."""
        self._forget_old(now)
        found = self._entries.get(key)
        if found is None:
            self._entries[key] = _Entry(mark, now)
            return None
        if found.mark != mark:
            return "IdempotencyKeyReused"
        return "RequestInProgress" if found.answer is None else found.answer

    def end(self, key: Key, answer: Answer | None) -> None:
        """It was answered; None: with something that says nothing about the next time."""
        found = self._entries.get(key)
        if found is None or found.answer is not None:
            return
        if answer is None:
            del self._entries[key]
            return
        found.answer = answer
        self._bytes += len(answer.body)
        while self._bytes > KEPT_BYTES or len(self._entries) > KEPT:
            self._drop(next(iter(self._entries)))

    def _forget_old(self, now: float) -> None:
        while self._entries:
            key = next(iter(self._entries))
            if now - self._entries[key].at < KEPT_FOR:
                return
            self._drop(key)

    def _drop(self, key: Key) -> None:
        answer = self._entries.pop(key).answer
        self._bytes -= len(answer.body) if answer is not None else 0
