"""When each watch last gave a sign of life. Thread-safe: some watches run in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

SILENT_AFTER: Final = 180.0
"""Seconds without event, bookmark and orderly end after which a watch counts as dead. Servers end every watch
request in less than a minute, since they are asked to."""


class Liveness:
    """Remembers signs of life by the name of the watch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def note(self, name: str) -> None:
        """The watch is alive; from now on it is expected to stay so."""
        with self._lock:
            self._seen[name] = self._clock()

    def forget(self) -> None:
        """No watch runs any more, on purpose."""
        with self._lock:
            self._seen.clear()

    def ages(self) -> dict[str, float]:
        """Seconds since the last sign of life of each watch."""
        now = self._clock()
        with self._lock:
            return {name: now - seen for name, seen in sorted(self._seen.items())}

    def silent(self) -> list[str]:
        """Names of the watches that count as dead."""
        return [name for name, age in self.ages().items() if age > SILENT_AFTER]
