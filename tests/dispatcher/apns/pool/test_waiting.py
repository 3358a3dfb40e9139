from __future__ import annotations

import math

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.dispatcher.apns.support import Outcomes, request
from tubepost_dispatcher.apns.pool.waiting import Waiting
from tubepost_dispatcher.apns.request import ApnsRequest


class Queue(RuleBasedStateMachine):
    """Against a plain list: nothing is lost, nothing comes twice, the order holds."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = Waiting()
        self.model: list[ApnsRequest] = []
        self.outside = [request(Outcomes, number) for number in range(12)]  # type: ignore[arg-type]

    def _leave(self, gone: list[ApnsRequest]) -> None:
        for item in gone:
            item.queue = None
        self.outside += gone

    @rule(pick=st.integers(0, 100), give_up_at=st.floats(0, 100))
    def append(self, pick: int, give_up_at: float) -> None:
        if self.outside:
            item = self.outside.pop(pick % len(self.outside))
            item.give_up_at = give_up_at
            self.waiting.append(item)
            self.model.append(item)

    @rule(pick=st.integers(0, 100))
    def withdraw(self, pick: int) -> None:
        if self.model:
            item = self.model.pop(pick % len(self.model))
            assert self.waiting.withdraw(item)
            assert not self.waiting.withdraw(item)
            self.outside.append(item)

    @rule()
    def move(self) -> None:
        """Two are sent, were never seen, and come back in front."""
        sent = [item for item in (self.waiting.pop(), self.waiting.pop()) if item is not None]
        assert sent == self.model[:2]
        self.waiting.push_front(sent)

    @rule()
    def pop(self) -> None:
        item = self.waiting.pop()
        assert item is (self.model.pop(0) if self.model else None)
        if item is not None:
            self._leave([item])

    @rule(now=st.floats(0, 100))
    def late(self, now: float) -> None:
        late = self.waiting.take_late(now)
        assert late == [item for item in self.model if item.give_up_at <= now]
        self.model = [item for item in self.model if item.give_up_at > now]
        self._leave(late)

    @rule(keep=st.integers(0, 2))
    def all(self, keep: int) -> None:
        taken = self.waiting.take_all(keep)
        assert taken == self.model[keep:]
        del self.model[keep:]
        self._leave(taken)

    @rule(now=st.floats(0, 100), keep=st.integers(0, 2))
    def some(self, now: float, keep: int) -> None:
        taken = self.waiting.take_where(lambda item: item.give_up_at <= now, keep)
        assert taken == [item for item in self.model if item.give_up_at <= now][keep:]
        self.model = [item for item in self.model if item not in taken]
        self._leave(taken)

    @invariant()
    def agrees(self) -> None:
        assert len(self.waiting) == len(self.model)
        assert self.waiting.next_give_up <= min((item.give_up_at for item in self.model), default=math.inf)


TestQueue = Queue.TestCase
