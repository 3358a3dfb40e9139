"""What the simulator has received and answered: a bounded record, and counts that are never cut."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import orjson


@dataclass(slots=True, eq=False)
class Notification:
    """One request that the simulator has processed, accepted or not.

    `number` counts from 1 and is never used again. `received_at` is in unix seconds. `push_type` and `topic`
    are resolved; `priority`, `expiration` and `collapse_id` are None where the request had none. `status` and
    `reason` are the verdict; `answered` says whether it has been written to the connection, `behaviour` why
    it was not or not at once. `attempt` is 1 for the first record of an apns-id, counting what is retained.
    """

    number: int
    received_at: float
    apns_id: str
    token: str
    topic: str
    push_type: str
    priority: int | None
    expiration: int | None
    collapse_id: str | None
    payload: bytes
    auth: str
    identity: str
    connection: int
    stream: int
    status: int
    reason: str
    detail: str
    behaviour: str = ""
    channel_id: str = ""
    """Of a broadcast, whose `token` is empty."""
    answered: bool = False
    attempt: int = 1

    @property
    def accepted(self) -> bool:
        """Whether the verdict was 200."""
        return self.status == 200

    def json(self) -> Any:
        """The payload as JSON; None if it is not JSON."""
        try:
            return orjson.loads(self.payload)
        except orjson.JSONDecodeError:
            return None

    def as_dict(self) -> dict[str, Any]:
        """The record as the API shows it."""
        return {
            "number": self.number,
            "receivedAt": self.received_at,
            "apnsId": self.apns_id,
            "token": self.token,
            "channelId": self.channel_id,
            "topic": self.topic,
            "pushType": self.push_type,
            "priority": self.priority,
            "expiration": self.expiration,
            "collapseId": self.collapse_id,
            "payload": self.json(),
            "payloadBase64": base64.b64encode(self.payload).decode(),
            "auth": self.auth,
            "identity": self.identity,
            "connection": self.connection,
            "stream": self.stream,
            "status": self.status,
            "reason": self.reason,
            "detail": self.detail,
            "behaviour": self.behaviour,
            "answered": self.answered,
            "attempt": self.attempt,
        }


@dataclass(slots=True)
class Counts:
    """Totals since the start; `clear` does not touch them."""

    requests: int = 0
    """Processed, that is recorded."""
    accepted: int = 0
    duplicates: int = 0
    """Accepted pushes whose apns-id had been accepted before, as far as the record reaches back."""
    connections_total: int = 0
    connections_refused: int = 0
    """Over the connection limit, or without ALPN h2."""
    streams_peak: int = 0
    """Most streams open at one time on one connection."""
    goaways: int = 0
    refused: int = 0
    """REFUSED_STREAM sent, by switch or magic token."""
    resets: int = 0
    """RST_STREAM sent otherwise."""
    client_resets: int = 0
    limit_violations: int = 0
    """Streams opened over a limit that the client had acknowledged."""
    protocol_errors: int = 0
    stalled: int = 0
    dropped_connections: int = 0
    after_goaway: int = 0
    """Streams above a GOAWAY's last stream id; ignored."""


class Watcher(Protocol):
    """Is told what happens to a journal, at once and on the same event loop; must not raise, and be quick."""

    def added(self) -> None:
        """A notification has been recorded."""

    def answered(self, record: Notification) -> None:
        """The verdict of a recorded notification has been written to its connection."""

    def cleared(self) -> None:
        """All notifications have been forgotten."""


class Journal:
    """The record of notifications, newest last, within bounds of number and bytes."""

    def __init__(self, retain: int, retain_bytes: int) -> None:
        """Keep at most `retain` notifications, with payloads of at most `retain_bytes` in sum."""
        self.counts = Counts()
        self.verdicts: Counter[str] = Counter()
        """Verdicts as `200` or `400 BadDeviceToken`."""
        self._retain = retain
        self._retain_bytes = retain_bytes
        self._records: deque[Notification] = deque()
        self._bytes = 0
        self._attempts: dict[str, int] = {}
        self._accepted_ids: dict[str, int] = {}
        self._next_number = 1
        self._since_clear = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._watchers: list[Watcher] = []

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Notification]:
        return iter(self._records)

    def __reversed__(self) -> Iterator[Notification]:
        return reversed(self._records)

    def find(self, number: int) -> Notification | None:
        """The notification of this number, None if it is not kept."""
        if not self._records:
            return None
        # Numbers have no gaps: what is forgotten is the oldest, or all.
        place = number - self._records[0].number
        return self._records[place] if 0 <= place < len(self._records) else None

    @property
    def first_number(self) -> int:
        """Number of the oldest notification that is kept; of the next one where none is."""
        return self._records[0].number if self._records else self._next_number

    @property
    def last_number(self) -> int:
        """Number of the notification recorded last, 0 before the first."""
        return self._next_number - 1

    @property
    def count(self) -> int:
        """How many were recorded since the start or the last `clear`, dropped ones included."""
        return self._since_clear

    def add(self, record: Notification) -> None:
        """Record one notification; sets its `number` and `attempt`."""
        record.number = self._next_number
        self._next_number += 1
        self._since_clear += 1
        counts = self.counts
        counts.requests += 1
        self.verdicts[f"{record.status} {record.reason}" if record.reason else str(record.status)] += 1
        record.attempt = self._attempts.get(record.apns_id, 0) + 1
        self._attempts[record.apns_id] = record.attempt
        if record.accepted:
            counts.accepted += 1
            before = self._accepted_ids.get(record.apns_id, 0)
            counts.duplicates += before > 0
            self._accepted_ids[record.apns_id] = before + 1
        self._records.append(record)
        self._bytes += len(record.payload)
        while len(self._records) > self._retain or self._bytes > self._retain_bytes:
            self._forget(self._records.popleft())
        if self._waiters:
            self._wake()
        for watcher in self._watchers:
            watcher.added()

    def answered(self, record: Notification) -> None:
        """Note that the verdict of `record` has been written to its connection."""
        record.answered = True
        if record.number:
            for watcher in self._watchers:
                watcher.answered(record)

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` what happens, until `unwatch`."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """Tell it no more; ignores one that is not told."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def clear(self) -> int:
        """Forget all notifications, not the counts; returns how many were forgotten."""
        forgotten = len(self._records)
        self._records.clear()
        self._attempts.clear()
        self._accepted_ids.clear()
        self._bytes = 0
        self._since_clear = 0
        for watcher in self._watchers:
            watcher.cleared()
        return forgotten

    async def wait_for(self, count: int, timeout: float) -> None:
        """Return once `count` notifications have been recorded since the start or the last `clear`.

        Raises:
            TimeoutError: not within `timeout` seconds.
        """
        if self._since_clear >= count:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (count, future)
        self._waiters.append(waiter)
        try:
            await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise TimeoutError(f"{self._since_clear} of {count} notifications after {timeout:g} s") from None
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _wake(self) -> None:
        for waiter in [item for item in self._waiters if item[0] <= self._since_clear]:
            self._waiters.remove(waiter)
            if not waiter[1].done():
                waiter[1].set_result(None)

    def _forget(self, record: Notification) -> None:
        self._bytes -= len(record.payload)
        _decrement(self._attempts, record.apns_id)
        if record.accepted:
            _decrement(self._accepted_ids, record.apns_id)


def _decrement(counts: dict[str, int], key: str) -> None:
    left = counts.get(key, 0) - 1
    if left > 0:
        counts[key] = left
    else:
        counts.pop(key, None)
