"""The requests of a pool that wait for a stream: first in, first out, but for those moved to the front."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from tubepost_dispatcher.apns.request import ApnsRequest


class Waiting:
    """A queue in which a request can be withdrawn without looking for it.

    A withdrawn request stays in the queue as a ghost until its turn comes. `ApnsRequest.queue` is this object
    for as long as a request waits here.
    """

    __slots__ = ("_ghosts", "_queue", "next_give_up")

    def __init__(self) -> None:
        self._queue: deque[ApnsRequest[object]] = deque()
        self._ghosts: set[ApnsRequest[object]] = set()
        self.next_give_up = math.inf
        """No request is to be given up before; monotonic seconds."""

    def __len__(self) -> int:
        return len(self._queue) - len(self._ghosts)

    def append(self, request: ApnsRequest[object]) -> None:
        """Add a request at the end."""
        if self._ghosts and request in self._ghosts:
            # It is still in the queue: without this, it would be there twice.
            self._ghosts.discard(request)
            self._queue.remove(request)
        request.queue = self
        self._queue.append(request)
        self.next_give_up = min(self.next_give_up, request.give_up_at)

    def push_front(self, requests: list[ApnsRequest[object]]) -> None:
        """Put requests, none of which waits here, before all others, in their order."""
        for request in reversed(requests):
            request.queue = self
            self._queue.appendleft(request)
            self.next_give_up = min(self.next_give_up, request.give_up_at)

    def withdraw(self, request: ApnsRequest[object]) -> bool:
        """Take a request out; False when it does not wait here."""
        if request.queue is not self:
            return False
        request.queue = None
        self._ghosts.add(request)
        if len(self._ghosts) == len(self._queue):
            self.clear()
        return True

    def pop(self) -> ApnsRequest[object] | None:
        """Take the first request out; None when there is none."""
        queue = self._queue
        while queue:
            request = queue.popleft()
            if request.queue is self:
                request.queue = None
                return request
            self._ghosts.discard(request)
        self.next_give_up = math.inf
        return None

    def take_late(self, now: float) -> list[ApnsRequest[object]]:
        """Take out those whose `give_up_at` has come."""
        late: list[ApnsRequest[object]] = []
        stay: deque[ApnsRequest[object]] = deque()
        for request in self._queue:
            if request.queue is self:
                (late if request.give_up_at <= now else stay).append(request)
        self._replace(stay, late)
        return late

    def take_all(self, keep: int = 0) -> list[ApnsRequest[object]]:
        """Take out all but the first `keep`."""
        live = [request for request in self._queue if request.queue is self]
        self._replace(deque(live[:keep]), live[keep:])
        return live[keep:]

    def take_where(
        self, wanted: Callable[[ApnsRequest[object]], bool], keep: int = 0
    ) -> list[ApnsRequest[object]]:
        """Take out those for which `wanted` is true, but for the first `keep` of them."""
        stay: deque[ApnsRequest[object]] = deque()
        taken: list[ApnsRequest[object]] = []
        for request in self._queue:
            if request.queue is not self:
                continue
            if not wanted(request):
                stay.append(request)
            elif keep:
                keep -= 1
                stay.append(request)
            else:
                taken.append(request)
        self._replace(stay, taken)
        return taken

    def clear(self) -> None:
        """Forget the ghosts of an otherwise empty queue."""
        self._queue.clear()
        self._ghosts.clear()
        self.next_give_up = math.inf

    def _replace(self, stay: deque[ApnsRequest[object]], taken: list[ApnsRequest[object]]) -> None:
        for request in taken:
            request.queue = None
        self._queue = stay
        self._ghosts.clear()
        self.next_give_up = min((request.give_up_at for request in stay), default=math.inf)
