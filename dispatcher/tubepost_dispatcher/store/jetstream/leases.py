"""What an owner has in memory, by the messages of the stream that say so. Pure; times are monotonic seconds.

A lease is a message that becomes anyone's at a time of the server's clock. Its owner writes it anew before
that, with what is left in it, or removes it. Once the owner cannot be sure any more it has nothing in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from tubepost_dispatcher.store.port import Entry

LENGTH: Final = 60.0
"""Seconds until a lease that is not renewed is anyone's."""
RENEWED: Final = 20.0
"""Seconds after which it is written anew."""
SURE: Final = 45.0
"""Seconds for which its owner relies on it: what comes to its end later may be delivered by another too."""
REWRITTEN: Final = 1.0
"""Seconds after which what has ended is taken out of a lease in which something is left."""
IDLE: Final = 5.0
"""Seconds after which what nobody has asked for leaves the memory of its owner."""


class Lease:
    """One message, and what is left in it."""

    __slots__ = (
        "changed",
        "doubtful",
        "entries",
        "free",
        "given_up",
        "moving",
        "numbers",
        "seq",
        "subject",
        "writing",
        "written",
    )  # fmt: skip

    def __init__(self, subject: str, seq: int, written: float) -> None:
        self.subject = subject
        self.seq = seq
        self.written = written
        """When the request was made by which it is in the stream."""
        self.entries: dict[int, Entry] = {}
        """By key."""
        self.numbers: dict[int, int] = {}
        """Their places among all that it had, by key: for pages."""
        self.doubtful: set[int] = set()
        """Those that may have been delivered before."""
        self.free: dict[int, float] = {}
        """Those that were given back, and since when."""
        self.moving: set[int] = set()
        """Those that are being written elsewhere."""
        self.changed = 0.0
        """Since when something is left in the message that has ended; 0: nothing is."""
        self.writing = False
        """It is being written anew."""
        self.given_up = False

    def add(self, key: int, entry: Entry, *, doubtful: bool = False) -> None:
        """This one is in it."""
        self.numbers[key] = len(self.numbers)
        self.entries[key] = entry
        if doubtful:
            self.doubtful.add(key)

    def drop(self, key: int, now: float) -> None:
        """It is not in it any more."""
        if self.entries.pop(key, None) is not None:
            self.free.pop(key, None)
            self.moving.discard(key)
            self.doubtful.discard(key)
            self.changed = self.changed or now

    def due(self, now: float) -> bool:
        """Whether it is to be written anew."""
        if self.writing or not self.entries:
            return False
        return now - self.written >= RENEWED or bool(self.changed and now - self.changed >= REWRITTEN)


class Leases:
    """All of one owner."""

    def __init__(self) -> None:
        self._by_key: dict[int, Lease] = {}
        self._by_seq: dict[int, Lease] = {}

    def __iter__(self) -> Iterator[Lease]:
        return iter(list(dict.fromkeys(self._by_seq.values())))

    def __len__(self) -> int:
        """Entries in all of them."""
        return len(self._by_key)

    @property
    def messages(self) -> int:
        """How many messages they are."""
        return len(self._by_seq)

    def of(self, key: int) -> Lease | None:
        """The one that has this entry."""
        return self._by_key.get(key)

    def at(self, seq: int) -> Lease | None:
        """The one that is this message."""
        return self._by_seq.get(seq)

    def add(self, lease: Lease) -> None:
        """It is in the stream, with its entries."""
        self._by_seq[lease.seq] = lease
        for key in lease.entries:
            self._by_key[key] = lease

    def renewed(self, lease: Lease, seq: int, written: float) -> None:
        """It is another message now."""
        self._by_seq.pop(lease.seq, None)
        lease.seq, lease.written = seq, written
        self._by_seq[seq] = lease

    def drop(self, key: int, now: float) -> Lease | None:
        """An entry is not in it any more. The lease, if nothing is left in it."""
        lease = self._by_key.pop(key, None)
        if lease is None:
            return None
        lease.drop(key, now)
        return None if lease.entries else lease

    def forget(self, lease: Lease) -> list[int]:
        """It is not ours any more. The keys that were left in it."""
        lease.given_up = True
        self._by_seq.pop(lease.seq, None)
        keys = list(lease.entries)
        for key in keys:
            self._by_key.pop(key, None)
        lease.entries.clear()
        return keys

    def free(self, keys: Iterable[int], now: float) -> list[int]:
        """These are given back. Those that are ours, and were not free."""
        given = []
        for key in keys:
            lease = self._by_key.get(key)
            if lease is not None and key not in lease.free and key not in lease.moving:
                lease.free[key] = now
                given.append(key)
        return given

    def unsure(self, now: float) -> list[Lease]:
        """Those that may be anyone's soon."""
        return [one for one in self if now - one.written >= SURE]
