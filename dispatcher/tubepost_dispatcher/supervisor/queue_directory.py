"""The directory of the queue, as the supervisor sees it: which partitions there are, and which nobody has."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.partitions import existing
from tubepost_runtime.threads import in_thread

_LOG = logging.getLogger("tubepost.supervisor")

INTERVAL: Final = 2.0
"""Seconds between two looks."""
ORPHANED_AFTER: Final = 15.0
"""Seconds for which a partition may be without a worker: one is being started, or gives it back."""

Owners = Mapping[int, tuple[int, str]]
"""Worker, and what is wrong (empty: nothing), by partition."""


class QueueDirectory:
    """Looks at the directory; one that hangs delays nothing else.

    Args:
        directory: of the queue.
        metrics: where orphaned partitions are counted.
        owners: which worker has, or wants, which partition.
        found: told which partitions there are, when that has changed.
        look: reads the directory, in a thread of its own.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        directory: Path,
        metrics: Metrics,
        owners: Callable[[], Owners],
        found: Callable[[tuple[int, ...]], None],
        *,
        look: Callable[[Path], tuple[int, ...]] = existing,
        clock: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._orphaned_metric = metrics.queue_partitions.labels("orphaned")
        self._owners = owners
        self._found = found
        self._look = look
        self._clock = clock
        self._partitions: tuple[int, ...] = ()
        self._alone_since: dict[int, float] = {}
        """Partitions without a worker, since when."""
        self._told: frozenset[int] = frozenset()
        self._problem = ""

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL)

    async def look(self) -> None:
        """Look once, and say what has changed."""
        try:
            partitions = await in_thread(lambda: self._look(self._directory), "queue directory")
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
            if problem != self._problem:
                _LOG.error("queue %s: %s", self._directory, problem)
            self._problem = problem
        else:
            self._problem = ""
            if partitions != self._partitions:
                self._partitions = partitions
                self._found(partitions)
        self._find_orphans()

    def _find_orphans(self) -> None:
        now, owners = self._clock(), self._owners()
        alone = [slot for slot in self._partitions if slot not in owners]
        self._alone_since = {slot: self._alone_since.get(slot, now) for slot in alone}
        orphaned = frozenset(self.orphaned)
        self._orphaned_metric.set(len(orphaned))
        for slot in sorted(orphaned - self._told):
            _LOG.error(
                "queue %02d: no worker has this partition, what is in it is not delivered. Remedy: see why "
                "its worker does not start",
                slot,
            )
        for slot in sorted(self._told - orphaned):
            _LOG.info("queue %02d: has a worker again", slot)
        self._told = orphaned

    @property
    def orphaned(self) -> tuple[int, ...]:
        """Partitions that no worker has had for some time."""
        now = self._clock()
        return tuple(slot for slot, since in self._alone_since.items() if now - since >= ORPHANED_AFTER)

    def status(self) -> dict[str, Any]:
        """Its part of /status: JSON values."""
        owners = self._owners()
        partitions = []
        for slot in sorted({*self._partitions, *owners}):
            worker, problem = owners.get(slot, (None, ""))
            partitions.append({"partition": slot, "worker": worker, "problem": problem or None})
        return {
            "directory": str(self._directory),
            "problem": self._problem or None,
            "partitions": partitions,
            "orphaned": list(self.orphaned),
        }
