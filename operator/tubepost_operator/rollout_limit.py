"""Limits how many PushDomains are rolled out at the same time after an upgrade of the operator. Pure."""

from __future__ import annotations

from tubepost_operator.observed import Key


class RolloutLimit:
    """Decides which PushDomains, whose pods differ only by the operator's release, may be rolled out.

    It is closed until `open`: after a start, the rollouts in progress have to be known first. A PushDomain
    that does not become ready is never finished, so that a broken release stops there.

    Args:
        places: PushDomains at the same time.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._rolling: set[Key] = set()
        self._waiting: dict[Key, None] = {}
        self._open = False

    @property
    def rolling(self) -> frozenset[Key]:
        """Those whose rollout is in progress."""
        return frozenset(self._rolling)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether no rollout may start yet."""
        return not self._open

    def open(self) -> None:
        """All rollouts in progress are known."""
        self._open = True

    def may(self, key: Key) -> bool:
        """Whether a PushDomain may be rolled out now: it is already, or there is room and it is next."""
        if key in self._rolling:
            return True
        if not self._open:
            return False
        free = self._places - len(self._rolling)
        ahead = next((index for index, other in enumerate(self._waiting) if other == key), len(self._waiting))
        return ahead < free

    def started(self, key: Key) -> None:
        """The rollout of a PushDomain is in progress."""
        self._waiting.pop(key, None)
        self._rolling.add(key)

    def queued(self, key: Key) -> None:
        """A PushDomain waits."""
        if key not in self._rolling:
            self._waiting[key] = None

    def finished(self, key: Key) -> tuple[Key, ...]:
        """A PushDomain is rolled out, deleted, or needs no rollout; those to enqueue next are returned."""
        self._waiting.pop(key, None)
        if key not in self._rolling:
            return ()
        self._rolling.discard(key)
        return self.next()

    def next(self) -> tuple[Key, ...]:
        """Those that may start now."""
        if not self._open:
            return ()
        return tuple(self._waiting)[: max(0, self._places - len(self._rolling))]
