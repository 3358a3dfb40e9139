"""A worker's queue with what belongs to it: its samples, and what is told of it at the end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tubepost_api.config import QueueConfig
from tubepost_dispatcher.bounces.relay_sender import RelaySender
from tubepost_dispatcher.bounces.reports import Reports
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Domains
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.partitions import partition_path
from tubepost_dispatcher.queue.bounds import BoundedQueue, Bounds
from tubepost_dispatcher.queue.journal import Journal
from tubepost_dispatcher.queue.leaving import report_rest
from tubepost_dispatcher.queue.queue import Queue
from tubepost_dispatcher.queue.sampling import QueueSampler
from tubepost_dispatcher.store.directory import FILE
from tubepost_dispatcher.store.disk import DiskStore
from tubepost_dispatcher.store.jetstream.settings import JetStreamSettings
from tubepost_dispatcher.store.partition import RESERVE
from tubepost_dispatcher.store.port import Filter, Page, Store, Tally
from tubepost_runtime.words import counted

if TYPE_CHECKING:
    from tubepost_dispatcher.store.jetstream.store import JetStreamStore

_LOG = logging.getLogger("tubepost.queue")

T = TypeVar("T")

LOOK: Final = 0.05
"""Seconds between two looks at what is waited for."""
CLOSE_PATIENCE: Final = 2.5
"""Seconds that the disk has at the end, within those that a supervisor waits beyond its grace period."""
NAMED: Final = 100
"""Message ids that are named of what is left behind."""
REPORT_PART: Final = 0.2
"""Part of the time of an end that is kept for reports of what could not be delivered in the rest."""
_LAST_LOOK: Final = 2.0
"""Seconds for reading what is left behind."""
_DOMAINS: Final = 20
"""Domains that are named of it."""
_EVERYTHING: Final = Filter()
_LEFT: Final = 1_000
"""Added to the number of a partition that is emptied beside the stream: that has the worker's own."""


class WorkerQueue:
    """Lives on one event loop; every method is called on it.

    Args:
        directory: of the partitions; None: there are none on disk.
        slot: of this worker.
        deliverer: delivers.
        domains: in force.
        metrics: where to count.
        journal: told what is put off and what is discarded.
        config: in force.
        workers: of the pod.
        reports: what senders are told.
        sender: hands mails to the relay.
        before_removal: what must be durable before a notification leaves the disk; called in a thread.
        jet_stream: the stream that has this worker's notifications; None: its partition has.
    """

    def __init__(
        self,
        directory: Path | None,
        slot: int,
        deliverer: Deliverer,
        domains: Domains,
        metrics: Metrics,
        journal: Journal,
        config: QueueConfig | None,
        workers: int,
        reports: Reports,
        sender: RelaySender,
        before_removal: Callable[[], None] | None = None,
        jet_stream: JetStreamSettings | None = None,
    ) -> None:
        self._directory = directory
        self._slot = slot
        self._jet_stream = jet_stream
        self._stream: JetStreamStore | None = None
        self._before_removal = before_removal
        self._domains = domains
        self._config = config
        self._sender = sender
        self._stores: dict[int, DiskStore] = {}
        self.queue = Queue(
            deliverer,
            domains,
            metrics,
            slot=slot,
            journal=journal,
            reports=reports,
            sender=sender,
            open_store=self._open_store,
        )
        self.bounded = BoundedQueue(self.queue, Bounds.of(config, workers))
        """What acceptance puts into."""
        self._closing = False
        self._adopted: tuple[int, ...] = ()
        self._left: tuple[int, ...] = ()
        if jet_stream is not None and directory is not None:
            there = (partition_path(directory, slot) / "current" / FILE).exists
            asyncio.get_running_loop().run_in_executor(None, there).add_done_callback(self._looked)
        self._sampler = QueueSampler(self.queue, metrics, lambda: self._domains)
        self._sampler.start()

    def swap(
        self,
        domains: Domains,
        config: QueueConfig | None,
        workers: int,
        jet_stream: JetStreamSettings | None = None,
    ) -> None:
        """Put another configuration in force; another stream is taken by the next worker only."""
        before = self._jet_stream
        if self._stream is not None and before is not None and jet_stream is not None:
            if (jet_stream.stream, jet_stream.prefix) == (before.stream, before.prefix):
                self._stream.renew(jet_stream)
            else:
                _LOG.error("queue: it stays on stream %s until this pod is replaced", before.stream)
        self._domains = domains
        self._config = config
        self.bounded.bounds = Bounds.of(config, workers)
        for store in self._stores.values():
            store.set_reserve(self._reserve)
        self.queue.swap(domains)

    def adopt(self, slots: Sequence[int]) -> None:
        """Empty the partitions of these slots too; and the own one, where the queue was on disk before."""
        self._adopted = tuple(slots)
        self.queue.adopt((*self._adopted, *self._left))

    def _looked(self, found: asyncio.Future[bool]) -> None:
        """It is known whether this worker's own partition is there beside its stream."""
        # One that cannot be looked at is opened all the same, and says why.
        if not found.cancelled() and not self._closing and (found.exception() or found.result()):
            self._left = (_LEFT + self._slot,)
            self.adopt(self._adopted)

    @property
    def _reserve(self) -> int:
        """Bytes; without a queue in force the last ones are left."""
        return RESERVE if self._config is None else self._config.reserve

    def _open_store(self, slot: int) -> Store:
        if self._jet_stream is not None and slot == self._slot:
            # A worker without a stream does not need its client, nor what that imports: 9 MiB.
            from tubepost_dispatcher.store.jetstream.store import JetStreamStore  # noqa: PLC0415

            self._stream = JetStreamStore(
                self._jet_stream,
                asyncio.get_running_loop(),
                before_removal=self._before_removal,
                lost=lambda keys: self.queue.recall(self.queue.slots[slot], keys),
            )
            return self._stream
        assert self._directory is not None
        store = self._stores[slot] = DiskStore(
            partition_path(self._directory, slot % _LEFT),
            asyncio.get_running_loop(),
            reserve=self._reserve,
            before_removal=self._before_removal,
        )
        return store

    @property
    def problems(self) -> Mapping[int, str]:
        """What is wrong with each partition that this worker has or wants; empty where nothing is."""
        return {
            number: failure.text if (failure := slot.store.figures.failure) is not None else ""
            for number, slot in self.queue.slots.items()
        }

    @property
    def warnings(self) -> tuple[str, ...]:
        """By what a 250 is worth less than it could be, in words."""
        return () if self._stream is None else self._stream.warnings

    def status(self) -> dict[str, Any]:
        """Live facts, for /status; without addresses."""
        return {
            "queued": self.queue.queued,
            "active": self.queue.active,
            "partitions": {f"{number:02d}": text or "ok" for number, text in self.problems.items()},
            "routes": self.queue.describe(),
            "warnings": list(self.warnings),
        }

    async def opened(self, patience: float) -> None:
        """Wait until notifications can be put, at most `patience` seconds."""
        end = time.monotonic() + patience
        while self.queue.failure is not None and time.monotonic() < end:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(LOOK)

    async def drain(self, grace: float, *, last: bool) -> None:
        """Come to an end; nothing more is put.

        What is on a volume that is left to a successor is left to it. On one that may go with the pod, all is
        delivered that can be in time.

        Args:
            grace: seconds.
            last: the volume goes with the dispatcher; else what is in the queue has a successor.
        """
        end = time.monotonic() + grace
        last = last and self._stream is None  # others have the stream too
        if last:
            told = REPORT_PART * grace if self._sender.configured else 0.0
            await self._deliver_until(end - told)
            if self.queue.queued and told:
                await self._report_rest(end)
        left = await self.queue.drain(max(0.0, end - time.monotonic()))
        if left and last:
            await self._tell_what_is_left()

    async def _report_rest(self, end: float) -> None:
        """Tell the senders of what is left, as far as there is time and a relay."""

        def in_time() -> bool:
            now = time.monotonic()
            return now < end and self._sender.held_until <= now

        ended = await report_rest(self.queue, in_time)
        if ended:
            text = "queue: %s not delivered, since the volume goes; the senders are told"
            _LOG.warning(text, counted(ended, "notification"))

    async def _deliver_until(self, end: float) -> None:
        """Wait until nothing more can be delivered for now."""
        idle = 0
        while idle < 3 and self.queue.queued and time.monotonic() < end:
            # Between two batches nothing is with delivery for a moment.
            idle = 0 if self.queue.active else idle + 1
            await asyncio.sleep(LOOK)

    async def _tell_what_is_left(self) -> None:
        domains: Counter[str] = Counter()
        ids: dict[str, None] = {}
        try:
            async with asyncio.timeout(_LAST_LOOK):
                for store in self.queue.partitions.values():
                    await _look_through(store, domains, ids)
            so_far = ""
        except TimeoutError:
            so_far = " counted so far"
        by_domain = ", ".join(f"{name}: {count}" for name, count in domains.most_common(_DOMAINS))
        # With a claim in force this is a pod that retires, or a sidecar.
        on_claim = self._config is not None and self._config.persistent
        _LOG.error(
            "queue: %s left on a volume that goes with its pod (%s%s), to be delivered if this container "
            "starts again. Remedy: %s",
            counted(self.queue.queued, "notification"),
            by_domain,
            so_far,
            "give pods more time to end" if on_claim else "give spec.queue.disk a claim",
        )
        named = list(ids)[:NAMED]
        _LOG.warning("queue: left behind, the first %s: %s", counted(len(named), "message"), ", ".join(named))

    async def close(self) -> None:
        """Write what waits, and close the partitions; a disk that does not answer is not waited for."""
        self._closing = True
        self._sampler.close()
        try:
            async with asyncio.timeout(CLOSE_PATIENCE):
                await self.queue.close()
        except TimeoutError:
            _LOG.error(
                "queue: its disk has not answered for %.1f s. What was acknowledged is on it; what was "
                "delivered in the last seconds may be delivered once more",
                CLOSE_PATIENCE,
            )


async def _look_through(store: Store, domains: Counter[str], ids: dict[str, None]) -> None:
    """Count what a store has by domain, and collect its first message ids."""
    page = await _asked(partial(store.page, _EVERYTHING, None, NAMED))
    if isinstance(page, Page):
        ids.update(dict.fromkeys(one.entry.message_id for one in page.kept))
    after: int | None = None
    while True:
        tally = await _asked(partial(store.tally, _EVERYTHING, 0.0, after))
        if not isinstance(tally, Tally):
            return
        for count in tally.counts:
            domains[count.domain] += count.queued
        after = tally.following
        if after is None:
            return


async def _asked(ask: Callable[[Callable[[T], None]], None]) -> T:
    """What a store answers."""
    answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    ask(lambda answer: None if answered.done() else answered.set_result(answer))
    return await answered
