"""Repeated lines of one kind are limited, and counted. Pure; the time is passed in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

KindT = TypeVar("KindT", bound=Hashable)

BURST = 30
"""Lines of one kind that are let through in each window."""
WINDOW = 10.0
"""Seconds of a window."""
MAX_KINDS = 1_000
"""Kinds that are remembered; the one that was longest unused is forgotten first."""


class RepeatLimit(Generic[KindT]):
    """Lets the first lines of each kind through, and counts the rest of a window.

    Lines are of one kind when they were logged at one level with one format string by one logger: one message
    each for a thousand clients is one kind.
    """

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: OrderedDict[KindT, _Window] = OrderedDict()

    def admit(self, kind: KindT, now: float) -> tuple[bool, int]:
        """Ask for one line.

        Args:
            kind: what it is.
            now: monotonic seconds.

        Returns:
            Whether it is let through, and how many lines of the kind were held back in the window that has
            ended with this call, to be said beside it (0: none).
        """
        window = self._kinds.get(kind)
        if window is None:
            window = self._kinds[kind] = _Window(now)
            if len(self._kinds) > MAX_KINDS:
                self._kinds.popitem(last=False)
        else:
            self._kinds.move_to_end(kind)
        held_back = 0
        if now - window.begun >= WINDOW:
            held_back, window.held_back = window.held_back, 0
            window.begun, window.passed = now, 0
        if window.passed < BURST:
            window.passed += 1
            return True, held_back
        window.held_back += 1
        return False, held_back

    def due(self, now: float) -> list[tuple[KindT, int]]:
        """Kinds whose window has ended with lines held back that nobody has heard of yet, and how many."""
        found = []
        for kind, window in self._kinds.items():
            if window.held_back and now - window.begun >= WINDOW:
                found.append((kind, window.held_back))
                window.held_back = 0
                window.begun, window.passed = now, 0
        return found


class _Window:
    __slots__ = ("begun", "held_back", "passed")

    def __init__(self, now: float) -> None:
        self.begun = now
        self.passed = 0
        self.held_back = 0
