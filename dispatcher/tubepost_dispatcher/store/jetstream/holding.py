"""What one owner has of a stream, and what it knows of the rest; how both are written and removed.

At any time an entry is in one message at least; it is in two only between two writes of one step, the second
of which says that it may have been delivered. Who dies in between leaves both, and the later one is counted.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from tubepost_dispatcher.store.jetstream.api import Api, Found, Removed, Written
from tubepost_dispatcher.store.jetstream.codec import Stored, decode, encode
from tubepost_dispatcher.store.jetstream.known import Known, Waiting
from tubepost_dispatcher.store.jetstream.leases import IDLE, LENGTH, SURE, Lease, Leases
from tubepost_dispatcher.store.jetstream.subjects import AGAIN, Subjects
from tubepost_dispatcher.store.port import Entry

_LOG = logging.getLogger("tubepost.store")

SHIFT: Final = 10
"""Bits of a key for the number of an entry in its message."""
GRACE: Final = 10.0
"""Seconds after its due time at which an entry that its owner has not taken is anyone's."""
SOON: Final = 0.5
"""Seconds until what a closed owner leaves behind is anyone's."""
LOOKS: Final = 5
"""How often what should not be there is looked for, a second apart."""
AGREE: Final = 2.0
"""Seconds that two clocks may differ by and be taken for the same."""
RETRY: Final = 1.0
"""Seconds until a write that failed is tried again."""
UNHELD: Final = "it is too large for the server's max_payload"


class Holding:
    """Lives on one event loop; every method is called on it.

    Args:
        api: of the stream.
        subjects: of the stream and this owner.
        loop: schedules.
        wall: unix seconds.
    """

    def __init__(
        self, api: Api, subjects: Subjects, loop: asyncio.AbstractEventLoop, wall: Callable[[], float]
    ) -> None:
        self.api = api
        self.subjects = subjects
        self.loop = loop
        self._wall = wall
        self.leases = Leases()
        self.known = Known()
        self.skew = 0.0
        """Seconds by which the server's clock is ahead of ours."""
        self.most_bytes = 512 * 1024
        """Of one message with several entries."""
        self.max_payload = 1024 * 1024
        self.messages = 0
        """In the stream, as far as is known."""
        self.size = 0
        """Their bytes."""
        self.acknowledged = 0
        """The latest message of ours that the stream had."""
        self.closing = False
        self._numbers = itertools.count(1)
        self._open = itertools.count(1)
        self._writes: set[int] = set()
        self._following: list[int] | None = None
        """What the work of an end has begun; None: there is none at work."""
        self._waiters: list[tuple[set[int], Callable[[], None]]] = []

    # -- times and names ------------------------------------------------------------------------------

    def ident(self, kind: str = AGAIN) -> str:
        """A new one."""
        return f"{kind}{next(self._numbers):x}"

    def server_time(self, wait: float) -> float:
        """In so many seconds, by the server's clock."""
        return self._wall() + self.skew + wait

    def fires(self, due: float) -> float:
        """When what is due then becomes anyone's, by the server's clock."""
        return self.server_time(max(0.0, due - self._wall())) + (SOON if self.closing else GRACE)

    # -- what a message says: its times are the server's, since whoever reads it may have another clock ----

    def encode(self, entries: Sequence[Entry], doubtful: Sequence[int] = ()) -> bytes:
        """The stored form of entries with times of our clock."""
        return encode(self._shifted(entries, self.skew), doubtful)

    def decode(self, data: bytes) -> Stored:
        """What a message says, in times of our clock.

        Raises:
            ValueError: it cannot be read.
        """
        stored = decode(data)
        return stored._replace(entries=tuple(self._shifted(stored.entries, -self.skew)))

    def _shifted(self, entries: Sequence[Entry], by: float) -> Sequence[Entry]:
        if abs(by) < AGREE:
            return entries
        return [one._replace(due=one.due + by, expires=one.expires + by) for one in entries]

    # -- what has to be durable before somebody is answered -------------------------------------------

    def begin(self) -> int:
        """A write is under way."""
        number = next(self._open)
        self._writes.add(number)
        if self._following is not None:
            self._following.append(number)
        return number

    def end(self, number: int, work: Callable[[], None] | None = None) -> None:
        """It is over, and so is its work; who waits for it waits for the writes that this begins, too."""
        begun: list[int] = []
        before, self._following = self._following, begun
        try:
            if work is not None:
                work()
        finally:
            self._following = before
        self._writes.discard(number)
        following = self._writes.intersection(begun)
        over = []
        for waiter in self._waiters:
            if number in waiter[0]:
                waiter[0].discard(number)
                waiter[0].update(following)
                if not waiter[0]:
                    over.append(waiter)
        if over:
            self._waiters = [waiter for waiter in self._waiters if waiter[0]]
            for _, then in over:
                then()

    def after_writes(self, then: Callable[[], None]) -> None:
        """Call when what is under way now is over; at once where nothing is."""
        if self._writes:
            self._waiters.append((set(self._writes), then))
        else:
            then()

    def fail_waiters(self) -> None:
        """Nobody answers for now: call those who wait, who will see that."""
        waiters, self._waiters = self._waiters, []
        for _, then in waiters:
            then()

    # -- writing --------------------------------------------------------------------------------------

    def write_lease(
        self,
        entries: Sequence[Entry],
        doubtful: Sequence[int],
        done: Callable[[Lease | None, Written], None],
        patience: float,
    ) -> None:
        """Write entries that are to be in memory; told the lease, still without entries."""
        subject, started = self.subjects.lease(self.ident()), self.loop.time()
        body = self.encode(entries, doubtful)

        def written(told: Written) -> None:
            if not told.seq:
                if told.ambiguous:
                    self.clean(subject)
                done(None, told)
                return
            self._count(1, len(body), told.seq)
            done(Lease(subject, told.seq, started), told)

        self._publish(subject, body, written, (self.server_time(LENGTH), self._target(entries)), patience)

    def _publish(
        self,
        subject: str,
        body: bytes,
        done: Callable[[Written], None],
        fires: tuple[float, str] | None,
        patience: float,
    ) -> None:
        self.api.publish(subject, body, subject, done, fires=fires, patience=patience)

    def write(
        self,
        entries: Sequence[Entry],
        kind: str,
        done: Callable[[Written, float, str], None],
        patience: float,
        doubtful: Sequence[int] = (),
    ) -> None:
        """Write entries of one lane, due or held; told when they become anyone's, and their subject."""
        first, ident = entries[0], self.ident(kind)
        body = self.encode(entries, doubtful)
        if first.due == math.inf:
            subject, fires, target = self.subjects.held(first.lane, ident), math.inf, None
        else:
            subject, fires = (
                self.subjects.later(first.lane, ident),
                self.fires(min(one.due for one in entries)),
            )
            target = (fires, self.subjects.ready(first.lane))

        def written(told: Written) -> None:
            if told.seq:
                self._count(1, len(body), told.seq)
            done(told, fires, subject)

        self._publish(subject, body, written, target, patience)

    def _target(self, entries: Sequence[Entry]) -> str:
        lanes = {one.lane for one in entries}
        return self.subjects.ready(lanes.pop() if len(lanes) == 1 else None)

    def renew(self, lease: Lease, *, shortly: bool = False) -> None:
        """Write a lease anew, with what is left in it; `shortly`: it is anyone's soon."""
        now = self.loop.time()
        keys = list(lease.entries)
        body = self.encode([lease.entries[key] for key in keys],
                           [number for number, key in enumerate(keys) if key in lease.doubtful])  # fmt: skip
        lease.writing, mark = True, self.begin()
        changed, lease.changed = lease.changed, 0.0

        def written(told: Written) -> None:
            lease.writing = False
            if not told.seq:
                lease.changed = lease.changed or changed
            elif lease.given_up:
                self.clean(lease.subject)
            else:
                self._count(0, len(body), told.seq)
                self.leases.renewed(lease, told.seq, now)
            self.end(mark, lambda: self.remove(lease) if not lease.entries else None)

        # Each time by another id: it may say something else.
        ident = f"{lease.subject}.{self.ident()}"
        fires = (
            self.server_time(SOON if shortly else LENGTH),
            self._target([lease.entries[key] for key in keys]),
        )
        patience = max(1.0, SURE - (now - lease.written))
        self.api.publish(lease.subject, body, ident, written, fires=fires, patience=patience)

    def move(self, key: int, entry: Entry, *, untried: bool = False) -> None:
        """Write an entry of a lease elsewhere, and take it out of the lease."""
        lease = self.leases.of(key)
        if lease is None:
            return  # it is anyone's meanwhile, and comes back as it was
        lease.moving.add(key)
        lease.free.pop(key, None)
        self.known.drop(key)
        if len(entry.body) + 4096 > self.max_payload and entry.body != lease.entries[key].body:
            _LOG.error("queue: message %s: what follows it is held, %s", entry.message_id, UNHELD)
            entry = lease.entries[key]._replace(due=math.inf, hold=UNHELD)
        mark = self.begin()

        def written(told: Written, fires: float, subject: str) -> None:
            ours = self.leases.of(key) is lease and not lease.given_up
            if told.seq and ours:
                self.wait_for(key, entry, told.seq, fires)
                self.end(mark, partial(self.drop, key))
                return
            if told.seq or told.ambiguous:
                # The lease is anyone's, or what was written is written once more.
                self.clean(subject)
            if ours and not self.closing:
                self.loop.call_later(RETRY, partial(self.move, key, entry, untried=untried))
            self.end(mark)

        doubtful = [0] if untried and key in lease.doubtful else []
        patience = max(1.0, SURE - (self.loop.time() - lease.written))
        self.write([entry], AGAIN, written, patience, doubtful)

    def wait_for(self, key: int, entry: Entry, seq: int, fires: float, number: int = 0) -> None:
        """An entry is in the stream, and ours to take when it is due."""
        if not self.known.full or not seq:
            self.known.add(entry.lane, entry.domain, Waiting(entry.due, key, seq, fires), number)

    # -- now and then ---------------------------------------------------------------------------------

    def give_up(self) -> list[int]:
        """The keys of what may be anyone's soon: NATS was away for too long. They are not ours any more."""
        lost: list[int] = []
        for lease in self.leases.unsure(self.loop.time()):
            lost += self.leases.forget(lease)
        for key in lost:
            self.known.drop(key)
        if lost:
            text = "queue: NATS was away for too long: %d entries may be delivered by another as well"
            _LOG.warning(text, len(lost))
        return lost

    def keep(self) -> None:
        """Write leases anew that are due to be; what nobody has asked for for a while leaves the memory."""
        now = self.loop.time()
        for lease in self.leases:
            for key in [key for key, since in lease.free.items() if now - since >= IDLE]:
                self.move(key, lease.entries[key], untried=True)
            if lease.due(now):
                self.renew(lease)

    # -- removing -------------------------------------------------------------------------------------

    def drop(self, key: int) -> None:
        """An entry is not in its lease any more."""
        lease = self.leases.drop(key, self.loop.time())
        if lease is not None:
            self.remove(lease)

    def remove(self, lease: Lease) -> None:
        """Remove the message of a lease with nothing in it."""
        if lease.writing or lease.given_up:
            return
        lease.given_up = True
        mark = self.begin()

        def removed(told: Removed) -> None:
            self.leases.forget(lease)
            if told is Removed.BY_US:
                self._count(-1, 0)
            else:
                self.clean(lease.subject)
            self.end(mark)

        self.api.delete(lease.seq, removed, max(1.0, SURE - (self.loop.time() - lease.written)))

    def clean(self, subject: str, looks: int = LOOKS, until: float = 0.0) -> None:
        """Remove what is in the stream of a subject of our own by which nobody knows an entry any more.

        It is looked for several times: a write that was not answered may still be on its way.
        """
        until = until or self.loop.time() + LENGTH

        def found(one: Found | None) -> None:
            if one is not None:
                self.api.delete(one.seq, lambda told: again(looks if told is Removed.UNSURE else looks - 1))
            else:
                again(looks - 1)

        def again(left: int) -> None:
            if left and self.loop.time() < until and not self.closing:
                self.loop.call_later(RETRY, self.clean, subject, left, until)

        self.api.last(subject, found, partial(again, looks))

    def _count(self, messages: int, size: int, seq: int = 0) -> None:
        self.acknowledged = max(self.acknowledged, seq)
        self.messages = max(0, self.messages + messages)
        self.size += size
