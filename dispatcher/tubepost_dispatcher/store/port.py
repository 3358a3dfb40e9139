"""What a queue needs of a store: notifications in, told when they are safe, and out again when they are due.

Times are unix seconds, since they outlive a process. Every method is called on the event loop and returns
at once; every callback is called on the event loop, once, in a later turn.

A notification is *taken* while its owner has it in memory (from `put` with `take`, or from `due`) and the
store does not hand it out again. `ended` removes it, `again` and `release` give it back. What was taken when
a process died is not taken any more when its successor opens the store.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from tubepost_dispatcher.notification import Notification, encode


class FailureKind(enum.Enum):
    """Why a store cannot do what it was asked to. Nothing that is answered so was acknowledged."""

    FULL = "full"
    """No space, or less than the reserve. Passes by itself when there is space again."""
    BUSY = "busy"
    """Too much waits for the disk. Passes by itself."""
    READ_ONLY = "read-only"
    """The volume or the file cannot be written to. The store looks again by itself."""
    FAILED = "failed"
    """The disk reported an error, or the store had a fault. The store tries to recover by itself."""
    AWAY = "away"
    """The servers that have it do not answer, or refuse. The store looks again by itself."""
    LOCKED = "locked"
    """Another process owns it. The store looks again by itself."""
    NEWER = "newer"
    """A later release wrote it. This release leaves it alone."""
    CLOSED = "closed"
    """`close` was called."""


REMEDIES: Final = {
    FailureKind.FULL: ". Remedy: make space on its volume, or a larger one",
    FailureKind.READ_ONLY: ". Remedy: make it writable for the user that the dispatcher runs as",
    FailureKind.NEWER: ". Remedy: let the later release empty it, or use another directory",
}
"""What a log line says of failures that do not pass by themselves."""


class Failure(NamedTuple):
    """A failure, in words for a log line."""

    kind: FailureKind
    text: str


CLOSED: Final = Failure(FailureKind.CLOSED, "the queue is closed")
"""What a store, or its queue, answers after `close`."""


class Entry(NamedTuple):
    """What is stored of a notification: its encoded form, and what operations look for."""

    body: bytes
    """As `notification.encode` wrote it."""
    message_id: str
    domain: str
    sender: str
    accepted: float
    due: float
    """When it is to be tried next; the same for all routes. Infinite: not before somebody says so."""
    expires: float
    """When it is to end if nothing else has ended it. The store ends nothing by itself."""
    attempt: int
    reason: str = ""
    """Of the last attempt, empty before there was one."""
    route: str = ""
    """The one of the last attempt, empty before there was one."""
    hold: str = ""
    """Who holds it, and why: an operator. Empty: nobody. What is held is due at no time."""
    lane: int = 0
    """A number for what takes turns with the rest: `due` hands out one lane at a time."""


class Kept(NamedTuple):
    """An entry in a store. The key is the store's own; a store never gives it to another entry."""

    key: int
    entry: Entry


class LaneHead(NamedTuple):
    """A lane that has entries, and the one of them that is due first, taken or not."""

    lane: int
    due: float
    domain: str
    """Of that entry."""


class Filter(NamedTuple):
    """Which entries a page shows, or a tally counts. None: any."""

    domain: str | None = None
    sender: str | None = None
    message_ids: tuple[str, ...] | None = None
    reason: str | None = None
    accepted_before: float | None = None
    """Accepted earlier than this."""
    accepted_after: float | None = None
    """Accepted at this time or later."""
    route: str | None = None
    held: bool | None = None
    """True: only what an operator holds; False: only what nobody holds."""


class Page(NamedTuple):
    """Entries in the order in which they were put."""

    kept: tuple[Kept, ...]
    following: int | None
    """The `after` of the next page, None: this was the last. One before the last may be short, or empty."""


class Count(NamedTuple):
    """How many entries have these in common."""

    domain: str
    route: str
    reason: str
    hold: str
    queued: int
    due: int
    """How many of them could be tried now."""
    oldest: float
    """When the oldest of them was accepted."""
    size: int
    """Bytes of their bodies."""


class Tally(NamedTuple):
    """Entries counted in one step, by what they have in common; what has the same may be told twice."""

    counts: tuple[Count, ...]
    looked_at: int
    """Entries that this step passed over, whether they are counted or not."""
    following: int | None
    """The `after` of the next step, None: this was the last."""


class Figures(NamedTuple):
    """What a store has done since it was made, and its size. For metrics; read at any time."""

    size: int = 0
    """Bytes that it takes up, unused space inside its files included."""
    unused: int = 0
    """Bytes inside its files that it uses again before they grow."""
    entries: int = 0
    """Entries in it, taken or not, as of the last commit."""
    commits: int = 0
    commit_seconds: float = 0.0
    """Spent in commits, until they were durable."""
    checkpoints: int = 0
    quarantined: int = 0
    """Files set aside since they could not be trusted, those of earlier processes included."""
    damaged: int = 0
    """Entries set aside since they were not what had been written."""
    failure: Failure | None = None
    """Why it takes nothing at present, None: it does, as far as it knows."""
    stream: tuple[str, ...] = ()
    """Of one on JetStream what is to be said of its stream (`STREAM_STATES`), `ok` where there is nothing."""


STREAM_STATES: Final = (
    "ok",
    "unreachable",
    "old_server",
    "foreign_stream",
    "unusable",
    "memory_storage",
    "one_replica",
)
"""Labels of metrics. From the second to the fifth it cannot be used; by the last two a 250 is worth less."""

Done = Callable[[Failure | None], None]
"""Told None when what was asked for is durable."""


class Store(Protocol):
    """One store, as one event loop of one process has it.

    It is that process's alone, or shared; a taken entry is with one process at a time in any case.
    """

    @property
    def figures(self) -> Figures:
        """The latest figures."""

    @property
    def shared(self) -> bool:
        """Whether other processes have it too: then what was never put here may become due."""

    def doubtful(self, key: int) -> bool:
        """Whether a taken entry was with another process that may have delivered it before it was lost."""

    def start(self, done: Done) -> None:
        """Open it; called once, first. After a failure the store tries again by itself."""

    def put(
        self, entries: Sequence[Entry], done: Callable[[Sequence[int] | Failure], None], *, take: bool = True
    ) -> None:
        """Store entries, all or none.

        Args:
            entries: what to store.
            done: told their keys, in order, when they are durable, or why none of them was stored.
            take: whether the caller keeps them in memory; else `due` hands them out.
        """

    def ended(self, key: int) -> None:
        """Remove a taken entry, with the next commit. A process that dies before that will meet it again."""

    def again(self, key: int, entry: Entry) -> None:
        """Write a taken entry anew, with the next commit, and give it back to be handed out at its time."""

    def release(self, keys: Iterable[int]) -> None:
        """Give entries back as they are."""

    def due(
        self, now: float, limit: int, done: Callable[[Sequence[Kept] | Failure], None], *, lane: int = 0
    ) -> None:
        """Take at most `limit` entries of a lane that are due, in the order of their due time."""

    def next_due(self, done: Callable[[float | Failure | None], None], *, lane: int = 0) -> None:
        """When the lane's earliest entry is due that is not taken; None: there is none but what is held."""

    def lanes(
        self, after: int | None, limit: int, done: Callable[[Sequence[LaneHead] | Failure], None]
    ) -> None:
        """The lanes that have entries, at most `limit` of those behind `after`, in order.

        Those may be left out of which all entries have been taken since they were put.
        """

    def expired(self, now: float, limit: int, done: Callable[[Sequence[Kept] | Failure], None]) -> None:
        """Take at most `limit` entries whose `expires` has passed; none of those that are held.

        Looks at a bounded number and remembers where it stopped: a round takes many calls, then it starts
        anew.
        """

    def page(
        self,
        which: Filter,
        after: int | None,
        limit: int,
        done: Callable[[Page | Failure], None],
        *,
        patience: float = 0.0,
    ) -> None:
        """Read at most `limit` entries, taken or not, without taking them.

        Looks at a bounded number, some milliseconds long; at more of them for `patience` seconds, for which
        everything else waits.
        """

    def tally(
        self,
        which: Filter,
        now: float,
        after: int | None,
        done: Callable[[Tally | Failure], None],
        *,
        patience: float = 0.0,
    ) -> None:
        """Count entries, taken or not, that the filter names. Looks at as many as `page` does."""

    def take(self, keys: Sequence[int], done: Callable[[Sequence[Kept] | Failure], None]) -> None:
        """Take entries by key; those that are taken already, or have ended, are left out."""

    def close(self, done: Callable[[], None]) -> None:
        """Write what waits, and close; what comes later is answered CLOSED."""


def entry(
    notification: Notification,
    *,
    due: float,
    expires: float,
    reason: str = "",
    route: str = "",
    lane: int = 0,
) -> Entry:
    """What is stored of a notification as it is now."""
    return Entry(
        encode(notification),
        notification.message_id,
        notification.domain,
        notification.sender,
        notification.accepted_at,
        due,
        expires,
        notification.attempt,
        reason,
        route,
        "",
        lane,
    )


def matches(which: Filter, found: Entry) -> bool:
    """Whether an entry is one that the filter names."""
    return (
        (which.domain is None or found.domain == which.domain)
        and (which.sender is None or found.sender == which.sender)
        and (which.message_ids is None or found.message_id in which.message_ids)
        and (which.reason is None or found.reason == which.reason)
        and (which.accepted_before is None or found.accepted < which.accepted_before)
        and (which.accepted_after is None or found.accepted >= which.accepted_after)
        and (which.route is None or found.route == which.route)
        and (which.held is None or bool(found.hold) is which.held)
    )


def counted(entries: Iterable[Entry], now: float) -> tuple[Count, ...]:
    """Entries counted by what they have in common; `now` in unix seconds."""
    groups: dict[tuple[str, str, str, str], list[Entry]] = {}
    for one in entries:
        groups.setdefault((one.domain, one.route, one.reason, one.hold), []).append(one)
    return tuple(
        Count(
            *group,
            len(found),
            sum(one.due <= now for one in found),
            min(one.accepted for one in found),
            sum(len(one.body) for one in found),
        )
        for group, found in sorted(groups.items())
    )
