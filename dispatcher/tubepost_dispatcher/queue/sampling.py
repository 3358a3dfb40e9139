"""The gauges of a worker's queue, brought up to date once a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, NamedTuple, Protocol

from tubepost_api.config import DeliveryMode
from tubepost_dispatcher.delivery.domain import Domains
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.queue.groups import RELAY
from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.store.port import (
    STREAM_STATES,
    Count,
    Failure,
    FailureKind,
    Figures,
    Filter,
    Store,
    Tally,
)

INTERVAL: Final = 1.0
"""Seconds between two samples."""
REST: Final = 20
"""Counting a queue takes at most one part in so many of its stores' time,"""
MOST_REST: Final = 60.0
"""or so many seconds between two counts: a count that took long says how it was long ago."""
_EVERYTHING: Final = Filter()
_OPEN: Final = frozenset({FailureKind.FULL, FailureKind.BUSY})
"""What a partition that is open and delivered may have to answer."""


class SampledQueue(Protocol):
    """What is sampled."""

    slots: dict[int, Slot]
    """The partitions by number, the own one first."""

    @property
    def active(self) -> int:
        """Notifications that delivery has."""


class Held(NamedTuple):
    """Notifications that are held back, by cause."""

    operator: int = 0
    suspend: int = 0
    routes: int = 0


class Sum:
    """Notifications of one domain entry and route of the last attempt."""

    __slots__ = ("domain", "due", "held", "mails", "oldest", "queued")

    def __init__(self, domain: str, *, mails: bool = False) -> None:
        self.domain = domain
        """One of the entry's."""
        self.mails = mails
        """They are mails for the relay, whatever the routes of the domain do."""
        self.queued = 0
        self.due = 0
        self.held = 0
        """By an operator."""
        self.oldest = float("inf")
        """Unix seconds."""

    def add(self, other: Count | Sum, held: int) -> None:
        """Count these too, `held` of them held by an operator."""
        self.queued += other.queued
        self.due += other.due
        self.held += held
        self.oldest = min(self.oldest, other.oldest)


Sums = dict[tuple[str, str], Sum]
"""By label of the domain, and route: only so many, however many domains a pattern stands for."""


def state_of(figures: Figures, *, own: bool) -> str:
    """The state of a partition, as a label of metrics."""
    failure = figures.failure
    if failure is None or failure.kind in _OPEN:
        return "owned" if own else "adopted"
    return "locked" if failure.kind is FailureKind.LOCKED else "failed"


def tells_of_all(slot: int, store: Store) -> bool:
    """Whether this worker tells what is in a store: of one that all share the first of each pod does."""
    return not store.shared or slot == 0


def sum_up(sums: Sums, counts: Iterable[Count], label: Callable[[str], str]) -> None:
    """Add counts to sums."""
    for one in counts:
        key = (label(one.domain), one.route)
        found = sums.get(key)
        if found is None:
            found = sums[key] = Sum(one.domain, mails=one.route == RELAY)
        found.add(one, one.queued if one.hold else 0)


def held(sums: Iterable[Sum], domains: Domains, now: float) -> Held:
    """How many notifications are held back: each by one cause, the most lasting one.

    Args:
        sums: of the queue.
        domains: in force.
        now: monotonic seconds.
    """
    operator = suspend = routes = 0
    for one in sums:
        domain = domains.find(one.domain)
        operator += one.held
        if domain is None or one.mails:
            continue
        if domain.options.mode is DeliveryMode.SUSPEND:
            suspend += one.queued - one.held
        elif domain.routes and all(route.pool.held_until > now for route in domain.routes):
            routes += one.queued - one.held
    return Held(operator, suspend, routes)


class QueueSampler:
    """Sets the metrics of one queue until `close`. Lives on one event loop.

    Sizes, commits and states are those of each second. Counts by domain and route are read in steps between
    commits, as often as is cheap: every second in a small queue, less often in a large one.

    Args:
        queue: the queue.
        metrics: where to set them.
        domains: those in force, asked for at each sample.
        loop: schedules; the running loop by default.
        clock: monotonic seconds.
        wall: unix seconds.
    """

    def __init__(
        self,
        queue: SampledQueue,
        metrics: Metrics,
        domains: Callable[[], Domains],
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._queue = queue
        self._metrics = metrics
        self._domains = domains
        self._loop = loop or asyncio.get_running_loop()
        self._clock = clock
        self._wall = wall
        self._counted: dict[int, Sums] = {}
        """What each partition had when it was last counted."""
        self._seen: dict[int, tuple[Store, Figures]] = {}
        self._counting = False
        self._count_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def start(self) -> None:
        """Take the first sample, and go on."""
        self._tick()

    def close(self) -> None:
        """Take no more samples."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(INTERVAL, self._tick)
        partitions = {number: slot.store for number, slot in self._queue.slots.items()}
        self._sample_figures(partitions)
        for gone in self._counted.keys() - partitions.keys():
            del self._counted[gone]
        for number, store in partitions.items():
            if store.figures.commits and not store.figures.entries:
                self._counted[number] = {}  # that is known without counting
        now = self._clock()
        if not self._counting and now >= self._count_at:
            self._counting = True
            counted = [(number, store) for number, store in partitions.items() if tells_of_all(number, store)]
            self._count(counted, now, None, {})
        self._sample_counts()

    def _sample_figures(self, partitions: Mapping[int, Store]) -> None:
        metrics = self._metrics
        states = dict.fromkeys(("owned", "adopted", "locked", "failed"), 0)
        own = next(iter(partitions), None)
        entries = size = unused = quarantined = damaged = 0
        stream = {state for store in partitions.values() for state in store.figures.stream}
        for state in STREAM_STATES if stream else ():
            metrics.queue_stream_state.labels(state).set(state in stream)
        for slot, store in partitions.items():
            figures = store.figures
            states[state_of(figures, own=slot == own)] += 1
            if tells_of_all(slot, store):
                entries += figures.entries
                size += figures.size
            unused += figures.unused
            quarantined += figures.quarantined
            damaged += figures.damaged
            before = self._seen.get(slot)
            earlier = before[1] if before is not None and before[0] is store else Figures()
            metrics.queue_commits.inc(figures.commits - earlier.commits)
            metrics.queue_commit_seconds.inc(figures.commit_seconds - earlier.commit_seconds)
            self._seen[slot] = (store, figures)
        metrics.queue_active.set(self._queue.active)
        metrics.queue_entries.set(entries)
        metrics.queue_size_bytes.set(size)
        metrics.queue_unused_bytes.set(unused)
        metrics.queue_quarantined_files.set(quarantined)
        metrics.queue_damaged_entries.set(damaged)
        for state, count in states.items():
            metrics.queue_partitions.labels(state).set(count)

    def _count(self, left: list[tuple[int, Store]], begun: float, after: int | None, sums: Sums) -> None:
        """Count one stretch of the first partition of `left`, then the next."""
        if not left:
            self._counting = False
            self._count_at = self._clock() + min(MOST_REST, (self._clock() - begun) * REST)
            return
        left[0][1].tally(_EVERYTHING, self._wall(), after, partial(self._counted_some, left, begun, sums))

    def _counted_some(
        self, left: list[tuple[int, Store]], begun: float, sums: Sums, answer: Tally | Failure
    ) -> None:
        if self._closed:
            return
        slot = left[0][0]
        if isinstance(answer, Failure):
            # What it had last is still there, as far as anybody knows.
            self._count(left[1:], begun, None, {})
            return
        sum_up(sums, answer.counts, self._domains().label)
        if answer.following is not None:
            self._count(left, begun, answer.following, sums)
            return
        if slot in self._queue.slots:
            self._counted[slot] = sums
            self._sample_counts()
        self._count(left[1:], begun, None, {})

    def _sample_counts(self) -> None:
        metrics, domains, wall = self._metrics, self._domains(), self._wall()
        for gauge in (metrics.queue_notifications, metrics.queue_due, metrics.queue_oldest_age):
            gauge.clear()
        sums: Sums = {}
        for counted in self._counted.values():
            for labels, found in counted.items():
                sums.setdefault(labels, Sum(found.domain, mails=found.mails)).add(found, found.held)
        for labels, found in sums.items():
            metrics.queue_notifications.labels(*labels).set(found.queued)
            metrics.queue_due.labels(*labels).set(found.due)
            metrics.queue_oldest_age.labels(*labels).set(max(0.0, wall - found.oldest))
        for cause, count in held(sums.values(), domains, self._clock())._asdict().items():
            metrics.queue_held.labels(cause).set(count)
