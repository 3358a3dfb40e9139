"""What acceptance asks of a queue, and what it says when that cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from tubepost_dispatcher.delivery.domain import Checked, Domain
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.store.port import Failure, FailureKind

REASONS_OF_FAILURES: Final[Mapping[FailureKind, str]] = MappingProxyType(
    {
        FailureKind.FULL: "QueueFull",
        FailureKind.BUSY: "QueueBusy",
        FailureKind.READ_ONLY: "QueueReadOnly",
        FailureKind.FAILED: "QueueFailed",
        FailureKind.AWAY: "QueueAway",
        FailureKind.LOCKED: "QueueLocked",
        FailureKind.NEWER: "QueueNewer",
        FailureKind.CLOSED: "QueueClosed",
    }
)
"""Words of the catalogue; all are transient: a fault of the disk is never the message's."""


class Putting(Protocol):
    """Notifications on their way to the disk."""

    def abandon(self) -> None:
        """Nobody waits for the answer any more: what is not durable yet is never delivered."""


class NotificationQueue(Protocol):
    """A queue that takes notifications over."""

    def put(
        self,
        items: Sequence[tuple[Notification, Domain]],
        done: Callable[[Failure | None], None],
        checked: Sequence[Checked | None] = (),
    ) -> Putting:
        """Store all of them or none; `done` hears None when they are durable, and the queue's to deliver.

        `checked` is what `Domain.check` has found of each.
        """

    def take_over(
        self, delivery: Delivery, outcome: Outcome, done: Callable[[Failure | None], None]
    ) -> Putting | None:
        """Store a notification that was tried while its sender waited, and `outcome` came of it.

        None: the schedule has no further attempt for it, nothing is stored, and `done` is not called.
        """


def failure_reply(failure: Failure) -> Reply:
    """What a sender is told whose message was not stored."""
    return refusal(REASONS_OF_FAILURES[failure.kind])
