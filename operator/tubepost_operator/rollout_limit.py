"""Places of an operator upgrade: at most so many PushDomains are rolled at the same time. Pure."""

from __future__ import annotations

from tubepost_operator.observed import Key


class RolloutLimit:
    """Gives places to PushDomains whose pods differ by the operator's release alone.

    It is closed until `open`: after a start, those whose roll is still under way have to be known first. A
    PushDomain that does not get ready keeps its place, so that a release that does not work stops there.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._rolling: set[Key] = set()
        self._waiting: dict[Key, None] = {}
        self._open = False

    @property
    def rolling(self) -> frozenset[Key]:
        """Those that have a place."""
        return frozenset(self._rolling)

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether no place is given yet."""
        return not self._open

    def open(self) -> None:
        """All that are under way are known."""
        self._open = True

    def may(self, key: Key) -> bool:
        """Whether a PushDomain may roll now: it has a place, or one is free and it is next."""
        if key in self._rolling:
            return True
        if not self._open:
            return False
        free = self._places - len(self._rolling)
        ahead = next((index for index, other in enumerate(self._waiting) if other == key), len(self._waiting))
        return ahead < free

    def started(self, key: Key) -> None:
        """A PushDomain is being rolled."""
        self._waiting.pop(key, None)
        self._rolling.add(key)

    def queued(self, key: Key) -> None:
        """A PushDomain waits."""
        if key not in self._rolling:
            self._waiting[key] = None

    def finished(self, key: Key) -> tuple[Key, ...]:
        """A PushDomain is rolled out, is gone, or needs no roll; those to look at next are returned."""
        self._waiting.pop(key, None)
        if key not in self._rolling:
            return ()
        self._rolling.discard(key)
        return self.next()

    def next(self) -> tuple[Key, ...]:
        """Those who may roll now."""
        if not self._open:
            return ()
        return tuple(self._waiting)[: max(0, self._places - len(self._rolling))]
