"""Liveness of the watches: when each last received something, or tried to. Thread-safe: some run in threads.

A restart mends a watch that does nothing any more. It mends none that the API server answers with a refusal,
or does not answer at all, as long as it goes on trying: that is not the fault of this process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

SILENT_AFTER: Final = 180.0
"""Seconds without an event, a bookmark, an orderly end or a failed attempt after which a watch counts as
dead. Servers end every watch request within a minute, since they are asked to, and attempts time out."""


class Liveness:
    """Remembers by the name of the watch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._tried: dict[str, float] = {}
        self._lock = threading.Lock()

    def note(self, name: str) -> None:
        """The watch is alive; from now on it is expected to stay so."""
        with self._lock:
            self._seen[name] = self._clock()

    def tried(self, name: str) -> None:
        """An attempt of the watch has failed, in a way that a restart does not mend."""
        with self._lock:
            self._tried[name] = self._clock()

    def drop(self, name: str) -> None:
        """The watch was stopped."""
        with self._lock:
            self._seen.pop(name, None)
            self._tried.pop(name, None)

    def forget(self) -> None:
        """All watches were stopped."""
        with self._lock:
            self._seen.clear()
            self._tried.clear()

    def ages(self) -> dict[str, float]:
        """Seconds since each watch last received something."""
        now = self._clock()
        with self._lock:
            return {name: now - seen for name, seen in sorted(self._seen.items())}

    def silent(self) -> list[str]:
        """Names of the watches that count as dead."""
        now = self._clock()
        with self._lock:
            last = {name: max(seen, self._tried.get(name, seen)) for name, seen in self._seen.items()}
        return sorted(name for name, moment in last.items() if now - moment > SILENT_AFTER)
