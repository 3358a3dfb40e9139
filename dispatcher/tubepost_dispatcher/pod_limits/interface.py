"""What listener and delivery need of the limits that are the pod's."""

from __future__ import annotations

from typing import Protocol

from tubepost_api.config import Throttle


class Bucket(Protocol):
    """The throttle of one domain entry."""

    def reserve(self, now: float, not_after: float) -> float:
        """Reserve one message.

        Args:
            now: monotonic seconds.
            not_after: the latest acceptable turn, monotonic seconds.

        Returns:
            The turn: the time at which the message may leave (`now` means at once), or -1.0 when its turn
            would come after `not_after`; then nothing is reserved.
        """


class PodLimits(Protocol):
    """The limits of one pod, as one of its workers sees them. No call waits."""

    def take(self, name: str, limit: int) -> bool:
        """Take one of the `limit` places that the pod has under `name`; 0: as many as are asked for.

        Returns:
            Whether there was one. It is this worker's until `give`, or until the worker's process ends.
        """

    def give(self, name: str) -> None:
        """Give back a place that this worker took under `name`."""

    def taken(self, name: str) -> int:
        """How many places the pod has given away under `name`; may be out of date when it is read."""

    def bucket(self, name: str, limit: Throttle) -> Bucket:
        """The bucket of the pod for `name`; another limit is another bucket, and starts full."""
