from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tubepost_dispatcher.feeds.webhook.buffer import Buffer

MOST_EVENTS, MOST_BYTES = 5, 40


class BufferMachine(RuleBasedStateMachine):
    """The buffer against two plain lists of (serial number, line)."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = Buffer(MOST_EVENTS, MOST_BYTES)
        self.waiting: list[tuple[int, bytes]] = []
        self.sending: list[tuple[int, bytes]] = []
        self.added = 0

    def dropped(self, count: int) -> None:
        del self.waiting[:count]

    @rule(size=st.integers(1, 60))
    def add(self, size: int) -> None:
        self.waiting.append((self.added, b"x" * size))
        self.added += 1
        self.dropped(self.buffer.add(b"x" * size, float(self.added)))

    @precondition(lambda self: not self.sending)
    @rule(events=st.integers(1, 6), size=st.integers(1, 50))
    def take(self, events: int, size: int) -> None:
        taken = self.buffer.take(events, size)
        self.sending, self.waiting = self.waiting[: len(taken)], self.waiting[len(taken) :]
        assert taken == [line for _, line in self.sending]
        assert len(taken) <= events
        assert len(taken) <= 1 or sum(map(len, taken)) <= size
        assert taken or not self.waiting

    @rule()
    def done(self) -> None:
        self.buffer.done()
        self.sending = []

    @rule()
    def give_back(self) -> None:
        self.waiting = self.sending + self.waiting
        self.sending = []
        self.dropped(self.buffer.give_back())

    @invariant()
    def agrees(self) -> None:
        here = self.sending + self.waiting
        assert len(self.buffer) == len(here)
        assert self.buffer.size == sum(len(line) for _, line in here)
        assert self.buffer.floor == (here[0][0] if here else self.added)
        assert self.buffer.oldest == (here[0][0] + 1.0 if here else None)
        # The latest one stays, and so does what is being sent.
        if len(self.waiting) > 1:
            assert len(here) <= MOST_EVENTS
            assert self.buffer.size <= MOST_BYTES


TestBuffer = BufferMachine.TestCase
TestBuffer.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_room_is_what_can_be_added_before_anything_gives_way() -> None:
    buffer = Buffer(2, 10)
    assert buffer.room == 10
    buffer.add(b"abc", 0.0)
    assert buffer.room == 7
    buffer.add(b"abc", 0.0)
    assert buffer.room == 0
