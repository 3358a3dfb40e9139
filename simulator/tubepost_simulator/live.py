"""What happens to the journal, as it happens: server-sent events for the page and for other people's tests.

| event | data |
| --- | --- |
| `hello` | `{"instance": ..., "first": M, "last": N}`: this run, the oldest and the newest number kept |
| `notification` | a notification that passes the filters: a new one, or one whose answer has gone out since |
| `answered` | `{"number": N}`: the answer has gone out of one that does not pass the filters (any more) |
| `skipped` | `{}`: so many came that some are left out; `GET /api/v1/notifications` has them |
| `cleared` | `{}`: all notifications have been forgotten |
| `switches` | all switches, after a change of them |
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, Final

import orjson

from tubepost_simulator.filters import Criteria, newest
from tubepost_simulator.journal import Journal, Notification

BATCH: Final = 300
"""Notifications that are sent at a time; of more, the newest."""
MAX_LATE: Final = 1_000
"""Late answers that wait for a reader."""


class Feed:
    """One reader's view of the journal: what it has not been told yet, which the journal keeps.

    Args:
        journal: what is watched, from `open` to `close`.
        criteria: what the reader wants to see; `limit` of those that are there already come first, but none
            that is not newer than `after`.
        instance: names this run of the simulator.
        switches: all switches at present.
    """

    def __init__(
        self, journal: Journal, criteria: Criteria, instance: str, switches: Callable[[], dict[str, Any]]
    ) -> None:
        self._journal = journal
        self._criteria = criteria
        self._instance = instance
        self._switches = switches
        self._cursor = criteria.after
        self._limit = criteria.limit
        self._late: dict[int, Notification] = {}
        self._greeted = False
        self._cleared = False
        self._switched = False
        self._closing = False
        self._news = asyncio.Event()
        self._news.set()

    @property
    def closing(self) -> bool:
        """The simulator stops."""
        return self._closing

    def open(self) -> None:
        """Begin to watch."""
        self._journal.watch(self)

    def close(self) -> None:
        """Watch no more."""
        self._journal.unwatch(self)

    def stop(self) -> None:
        """Tell the reader that the simulator stops."""
        self._closing = True
        self._news.set()

    def added(self) -> None:
        """See `journal.Watcher`."""
        self._news.set()

    def answered(self, record: Notification) -> None:
        """See `journal.Watcher`."""
        if record.number <= self._cursor and len(self._late) < MAX_LATE:
            self._late[record.number] = record
            self._news.set()

    def cleared(self) -> None:
        """See `journal.Watcher`."""
        self._late.clear()
        self._cursor = self._journal.last_number
        self._cleared = True
        self._news.set()

    def switched(self) -> None:
        """The switches have been changed."""
        self._switched = True
        self._news.set()

    async def wait(self, timeout: float) -> bool:
        """Wait for something to tell; False when there was nothing for so many seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def take(self) -> bytes:
        """What the reader is to be told now, as an event stream."""
        self._news.clear()
        parts: list[bytes] = []
        if not self._greeted:
            self._greeted = True
            numbers = {"first": self._journal.first_number, "last": self._journal.last_number}
            parts.append(_event("hello", {"instance": self._instance, **numbers}))
            parts.append(_event("switches", self._switches()))
            self._switched = False
        if self._cleared:
            self._cleared = False
            parts.append(_event("cleared", {}))
        parts += self._new()
        late, self._late = self._late, {}
        for record in late.values():
            if self._criteria.hold(record):
                parts.append(_event("notification", record.as_dict()))
            else:
                parts.append(_event("answered", {"number": record.number}))
        if self._switched:
            self._switched = False
            parts.append(_event("switches", self._switches()))
        return b"".join(parts)

    def _new(self) -> list[bytes]:
        criteria = dataclasses.replace(self._criteria, after=self._cursor)
        found = list(itertools.islice(newest(self._journal, criteria), self._limit + 1))
        self._cursor = max(self._cursor, self._journal.last_number)
        parts = []
        if len(found) > self._limit:
            del found[self._limit :]
            parts.append(_event("skipped", {}))
        self._limit = BATCH
        parts += (
            _event("notification", record.as_dict(), f"{self._instance}-{record.number}")
            for record in reversed(found)
        )
        return parts


def resumed(criteria: Criteria, last_event_id: str, instance: str) -> Criteria:
    """`criteria` of a reader that comes back with the id of the last event it has got."""
    name, _, number = last_event_id.rpartition("-")
    if name != instance or not number.isascii() or not number.isdecimal() or len(number) > 15:
        return criteria
    return dataclasses.replace(criteria, after=max(criteria.after, int(number)), limit=BATCH)


def _event(name: str, data: Any, identity: str | None = None) -> bytes:
    head = b"" if identity is None else b"id: %b\n" % identity.encode()
    # orjson writes no line break, so that the data is one line.
    return b"%bevent: %b\ndata: %b\n\n" % (head, name.encode(), orjson.dumps(data))
