"""How much a worker's queue may hold: its share of the pod's bounds. What is above them is not taken."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tubepost_api.config import QueueConfig
from tubepost_dispatcher.delivery.domain import Checked, Domain
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.store.port import Failure, FailureKind, Figures
from tubepost_runtime.words import counted

_LOG = logging.getLogger("tubepost.queue")

RECOVERED: Final = 0.95
"""Part of the bounds below which a queue that was full takes notifications again."""

Items = Sequence[tuple[Notification, Domain]]
Checks = Sequence[Checked | None]
Done = Callable[[Failure | None], None]


class Abandonable(Protocol):
    """Notifications on their way into the queue."""

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""


class UnboundedQueue(Protocol):
    """The queue that is bounded."""

    slots: dict[int, Slot]

    def put(self, items: Items, done: Done, checked: Checks = ()) -> Abandonable:
        """Take notifications over."""

    def take_over(self, delivery: Delivery, outcome: Outcome, done: Done) -> Abandonable | None:
        """Take over one that was tried already."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one worker. 0: no bound."""

    notifications: int = 0
    size: int = 0
    """Bytes of files, unused space in them not counted."""

    @property
    def none(self) -> bool:
        """Whether there is no bound."""
        return not (self.notifications or self.size)

    @classmethod
    def of(cls, config: QueueConfig | None, workers: int) -> Bounds:
        """A worker's share of the pod's bounds, rounded up; none without a queue.

        A stream that all share has one bound for all, and keeps that of its bytes itself.
        """
        if config is None:
            return cls()
        if config.jet_stream is not None:
            return cls(config.max_messages)
        return cls(-(-config.max_messages // workers), -(-config.max_bytes // workers))

    def exceeded(self, figures: Iterable[Figures], more: int, part: float = 1.0) -> Failure | None:
        """Why `more` notifications are too many beside what the figures tell of; None: they are not.

        `part` of the bounds counts, rounded up.
        """
        queued = size = 0
        for one in figures:
            queued += one.entries
            size += one.size - one.unused
        if self.notifications and queued + more > math.ceil(self.notifications * part):
            share = f"{self.notifications} is this worker's share of maxMessages"
            return Failure(
                FailureKind.FULL, f"{counted(queued, 'notification is', 'notifications are')} queued, {share}"
            )
        if self.size and size >= self.size * part:
            share = f"{self.size} is this worker's share of maxSize"
            return Failure(FailureKind.FULL, f"the queue has {size} bytes, {share}")
        return None


class _Refused:
    """What was not taken."""

    __slots__ = ("_done", "_failure")

    def __init__(self, done: Done, failure: Failure) -> None:
        self._done: Done | None = done
        self._failure = failure

    def abandon(self) -> None:
        self._done = None

    def tell(self) -> None:
        if self._done is not None:
            self._done(self._failure)


class BoundedQueue:
    """Takes notifications over for a queue, as long as it is within its bounds.

    The figures are those of the last commits, and sizes up to a second old: a little more may come in.

    Args:
        queue: the queue.
        bounds: of this worker; may be set anew.
        loop: calls back; the running loop by default.
    """

    def __init__(
        self, queue: UnboundedQueue, bounds: Bounds, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._queue = queue
        self._loop = loop or asyncio.get_running_loop()
        self.bounds = bounds
        self._full = False

    def put(self, items: Items, done: Done, checked: Checks = ()) -> Abandonable:
        """As the queue's own; told FULL where a bound would be exceeded."""
        if self.bounds.none:
            return self._queue.put(items, done, checked)
        return self._refused(len(items), done) or self._queue.put(items, done, checked)

    def take_over(self, delivery: Delivery, outcome: Outcome, done: Done) -> Abandonable | None:
        """The same."""
        return self._refused(1, done) or self._queue.take_over(delivery, outcome, done)

    def _refused(self, more: int, done: Done) -> Abandonable | None:
        if not self.bounds.none:
            figures = [slot.store.figures for slot in self._queue.slots.values()]
            part = RECOVERED if self._full else 1.0
            failure = self.bounds.exceeded(figures, more, part)
            # One message for many is no reason to refuse those for one.
            self._say(failure and self.bounds.exceeded(figures, 1, part))
            if failure is not None:
                refused = _Refused(done, failure)
                self._loop.call_soon(refused.tell)
                return refused
        return None

    def _say(self, failure: Failure | None) -> None:
        """Once when it begins to refuse, once when it ends."""
        if (failure is not None) is not self._full:
            self._full = failure is not None
            if failure is not None:
                _LOG.warning("queue: messages are answered 452: %s", failure.text)
            else:
                _LOG.info("queue: within its bounds, messages are taken again")
