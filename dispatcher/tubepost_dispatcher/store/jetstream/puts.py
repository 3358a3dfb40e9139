"""What comes from senders: few messages for one turn of the event loop, and all or none of a put."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Final

from tubepost_dispatcher.store.jetstream.api import PATIENCE, Written
from tubepost_dispatcher.store.jetstream.claims import TOGETHER
from tubepost_dispatcher.store.jetstream.holding import SHIFT, Holding
from tubepost_dispatcher.store.jetstream.leases import Lease
from tubepost_dispatcher.store.jetstream.subjects import PUT
from tubepost_dispatcher.store.port import Entry, Failure, FailureKind

_LOG = logging.getLogger("tubepost.store")

_OVERHEAD: Final = 256
"""Bytes of an entry beside its body, about."""


class Put:
    """Entries to store, all or none."""

    __slots__ = ("done", "entries", "failure", "keys", "mark", "open", "size", "written")

    def __init__(self, entries: Sequence[Entry], done: Callable[[Sequence[int] | Failure], None]) -> None:
        self.entries = entries
        self.done = done
        self.keys = [0] * len(entries)
        self.open = 0
        """Messages of it that are not answered."""
        self.failure: Failure | None = None
        self.mark = 0
        """Of this write."""
        self.written: list[str | Lease] = []
        """Where entries of it are: leases, or subjects of messages of its own."""
        self.size = sum(len(one.body) + _OVERHEAD for one in entries)


Part = tuple[Put, int, Entry]
"""An entry, and which one of its put it is."""


class _Message:
    """What becomes one message."""

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.size = 0


class Puts:
    """Lives on one event loop.

    Args:
        holding: writes.
        wrote: told of each message, with the seconds that it took until it was durable.
        over: told of each put when it was answered.
    """

    def __init__(self, holding: Holding, wrote: Callable[[float], None], over: Callable[[Put], None]) -> None:
        self._holding = holding
        self._wrote = wrote
        self._over = over

    def write(self, taken: Sequence[Put], left: Sequence[Put]) -> None:
        """Write those that stay in memory, and those that do not."""
        messages: list[_Message] = []
        for put in taken:
            self._add(messages, put, range(len(put.entries)))
        for message in messages:
            self._lease(message.parts)
        for put in left:
            by_lane: dict[tuple[int, bool], list[int]] = {}
            for number, one in enumerate(put.entries):
                by_lane.setdefault((one.lane, one.due == math.inf), []).append(number)
            messages = []
            for numbers in by_lane.values():
                mine: list[_Message] = []
                self._add(mine, put, numbers)
                messages += mine
            for message in messages:
                self._leave(message.parts, put)

    def _add(self, messages: list[_Message], put: Put, numbers: Sequence[int]) -> None:
        last: _Message | None = None
        for number in numbers:
            entry = put.entries[number]
            size = len(entry.body) + _OVERHEAD
            message = messages[-1] if messages else None
            if (
                message is None
                or len(message.parts) >= TOGETHER
                or message.size + size > self._holding.most_bytes
            ):
                message = _Message()
                messages.append(message)
            message.parts.append((put, number, entry))
            message.size += size
            if message is not last:
                last = message
                put.open += 1

    def _lease(self, parts: list[Part]) -> None:
        holding = self._holding
        started = holding.loop.time()

        def leased(lease: Lease | None, told: Written) -> None:
            if lease is not None:
                self._wrote(holding.loop.time() - started)
                for place, (put, number, entry) in enumerate(parts):
                    key = put.keys[number] = lease.seq << SHIFT | place
                    lease.add(key, entry)
                    if not put.written or put.written[-1] is not lease:
                        put.written.append(lease)
                holding.leases.add(lease)
            self._answered(parts, told)

        holding.write_lease([one for _, _, one in parts], (), leased, PATIENCE)

    def _leave(self, parts: list[Part], put: Put) -> None:
        holding = self._holding
        started = holding.loop.time()

        def written(told: Written, fires: float, subject: str) -> None:
            if told.seq:
                self._wrote(holding.loop.time() - started)
                for place, (_, number, entry) in enumerate(parts):
                    key = put.keys[number] = told.seq << SHIFT | place
                    holding.wait_for(key, entry, told.seq, fires, place)
            elif told.ambiguous:
                holding.clean(subject)
            if told.seq:
                put.written.append(subject)
            self._answered(parts, told)

        holding.write([one for _, _, one in parts], PUT, written, PATIENCE)

    def _answered(self, parts: list[Part], told: Written) -> None:
        for put in {id(put): put for put, _, _ in parts}.values():
            put.open -= 1
            if not told.seq:
                kind = FailureKind.FULL if told.full else FailureKind.AWAY
                put.failure = Failure(kind, told.problem)
            if put.open:
                continue
            if put.failure is not None:
                self._undo(put)
            try:
                put.done(put.keys if put.failure is None else put.failure)
            except Exception:  # noqa: BLE001 - one caller's fault must not keep the others from hearing
                _LOG.exception("queue: a callback failed")
            self._over(put)

    def _undo(self, put: Put) -> None:
        """Remove what was written of a put of which something was not."""
        for where in put.written:
            if isinstance(where, Lease):
                for key in put.keys:
                    if key in where.entries:
                        self._holding.drop(key)
            else:
                self._holding.clean(where)
        for key in put.keys:
            if key:
                self._holding.known.drop(key)
