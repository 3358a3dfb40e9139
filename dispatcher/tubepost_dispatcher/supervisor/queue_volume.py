"""The space on the volume that the queue is on, looked at every few seconds."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from tubepost_api.config import AcceptanceMode, DispatcherConfig
from tubepost_dispatcher.metrics import Metrics
from tubepost_runtime.threads import in_thread

INTERVAL: Final = 5.0
"""Seconds between two looks."""

_LOG = logging.getLogger("tubepost.supervisor")


class Space(NamedTuple):
    """Bytes of a volume."""

    total: int
    free: int
    """What is left for this process."""


def space(directory: Path) -> Space:
    """The space on the volume of a directory. May wait for the disk; raises OSError."""
    found = os.statvfs(directory)
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


class QueueVolume:
    """Keeps the space on a volume up to date; a volume that hangs delays nothing else.

    Args:
        directory: on the volume.
        metrics: where to set it.
        measure: looks at it, in a thread of its own.
        interval: seconds between two looks.
    """

    def __init__(
        self,
        directory: Path,
        metrics: Metrics,
        *,
        measure: Callable[[Path], Space] = space,
        interval: float = INTERVAL,
    ) -> None:
        self._directory = directory
        self._metrics = metrics
        self._measure = measure
        self._interval = interval
        self.space: Space | None = None
        """As it was last seen; None: not yet, or it cannot be looked at."""

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._interval)

    async def look(self) -> None:
        """Look once. What cannot be looked at is said once, and has no figures."""
        known = self.space is not None
        try:
            found = await in_thread(lambda: self._measure(self._directory), "queue volume")
        except OSError as error:
            if known:
                _LOG.warning("queue volume %s: its space cannot be looked at: %s", self._directory, error)
            self.space = None
            return
        self.space = found
        self._metrics.queue_volume_bytes.set(found.total)
        self._metrics.queue_volume_free_bytes.set(found.free)

    def obstacle(self, config: DispatcherConfig) -> str:
        """Why messages should go to other replicas; empty: nothing that is known of the volume."""
        if self.space is None or config.queue is None or config.acceptance.mode is AcceptanceMode.DIRECT:
            return ""
        if self.space.free >= config.queue.reserve:
            return ""
        return (
            f"queue: {self.space.free} bytes free on its volume, {config.queue.reserve} are kept in reserve"
        )
