"""The limits of a pod whose workers are all in this process."""

from __future__ import annotations

from weakref import WeakValueDictionary

from tubepost_api.config import Throttle
from tubepost_dispatcher.pod_limits.bucket import TokenBucket


class LocalLimits:
    """Implements `PodLimits`; workers in one process share one object."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._buckets: WeakValueDictionary[tuple[str, Throttle], TokenBucket] = WeakValueDictionary()

    def take(self, name: str, limit: int) -> bool:
        """Take a place, as `PodLimits.take` says."""
        taken = self._taken.get(name, 0)
        if limit and taken >= limit:
            return False
        self._taken[name] = taken + 1
        return True

    def give(self, name: str) -> None:
        """Give a place back."""
        taken = self._taken.get(name, 0) - 1
        if taken > 0:
            self._taken[name] = taken
        else:
            self._taken.pop(name, None)

    def taken(self, name: str) -> int:
        """How many places are taken."""
        return self._taken.get(name, 0)

    def bucket(self, name: str, limit: Throttle) -> TokenBucket:
        """The bucket for `name` and `limit`: the same one for as long as somebody has it."""
        key = (name, limit)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(limit)
        return bucket
