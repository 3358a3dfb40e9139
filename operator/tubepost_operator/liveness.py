"""Liveness of the watches: when each last received something. Thread-safe: some run in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

SILENT_AFTER: Final = 180.0
"""Seconds without an event, a bookmark or an orderly end after which a watch counts as dead. Servers end
every watch request within a minute, since they are asked to."""


class Liveness:
    """Remembers by the name of the watch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def note(self, name: str) -> None:
        """The watch is alive; from now on it is expected to stay so."""
        with self._lock:
            self._seen[name] = self._clock()

    def forget(self) -> None:
        """All watches were stopped."""
        with self._lock:
            self._seen.clear()

    def ages(self) -> dict[str, float]:
        """Seconds since each watch last received something."""
        now = self._clock()
        with self._lock:
            return {name: now - seen for name, seen in sorted(self._seen.items())}

    def silent(self) -> list[str]:
        """Names of the watches that count as dead."""
        return [name for name, age in self.ages().items() if age > SILENT_AFTER]
