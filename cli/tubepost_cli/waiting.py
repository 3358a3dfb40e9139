"""Saying that an answer takes its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

FIRST = 2.0
"""Seconds of silence before the first line."""
AGAIN = 5.0
"""Seconds between two lines."""


class Waiting:
    """Says from time to time that something is still waited for. A context manager.

    Args:
        say: takes the seconds that have passed; called by a thread of its own.
        first: seconds before the first call.
        again: seconds between two calls.
    """

    def __init__(self, say: Callable[[float], None], first: float = FIRST, again: float = AGAIN) -> None:
        self._say, self._first, self._again = say, first, again
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        began, wait = time.monotonic(), self._first
        while not self._over.wait(wait):
            self._say(time.monotonic() - began)
            wait = self._again
