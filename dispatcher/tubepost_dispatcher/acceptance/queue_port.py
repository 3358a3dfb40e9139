"""What acceptance asks of a queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.store.port import Failure


class Putting(Protocol):
    """Notifications on their way to the disk."""

    def abandon(self) -> None:
        """Nobody waits for the answer any more: what is not durable yet is never delivered."""


class NotificationQueue(Protocol):
    """A queue that takes notifications over."""

    def put(
        self, items: Sequence[tuple[Notification, Domain]], done: Callable[[Failure | None], None]
    ) -> Putting:
        """Store all of them or none; `done` hears None when they are durable, and the queue's to deliver."""
