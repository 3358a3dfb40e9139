from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tubepost_operator.observed import Key
from tubepost_operator.workqueue import WorkQueue

KEYS = [Key("PushDomain", "default", name) for name in "abc"]
A, B, _ = KEYS


def test_ten_changes_in_a_second_are_one() -> None:
    queue = WorkQueue(0.5, 2.0)
    for tenth in range(10):
        queue.add(A, tenth / 10)
    assert queue.take(1.39) is None
    assert queue.take(1.4) == A
    assert queue.take(100.0) is None


def test_a_stream_of_changes_does_not_hold_it_up() -> None:
    queue = WorkQueue(0.5, 2.0)
    now = 0.0
    while queue.take(now) is None:
        queue.add(A, now)
        now += 0.1
        assert now < 2.5


def test_what_changes_while_it_is_worked_on_is_worked_on_again() -> None:
    queue = WorkQueue(0.5, 2.0)
    queue.add(A, 0.0)
    assert queue.take(1.0) == A
    queue.add(A, 1.1)
    assert queue.take(10.0) is None
    queue.done(A, 2.0)
    assert queue.take(2.0) == A


def test_a_later_look_gives_way_to_a_change() -> None:
    queue = WorkQueue(0.5, 2.0)
    queue.add_at(A, 1000.0, 0.0)
    assert queue.depth(0.0) == 0
    queue.add(A, 500.0)
    assert queue.depth(500.0) == 1
    assert queue.take(500.4) is None
    assert queue.take(500.5) == A
    queue.done(A, 501.0, again=7.0)
    assert queue.next_due() == 508.0


def test_back_off_doubles_and_ends() -> None:
    queue = WorkQueue(0.5, 2.0, first_delay=1.0, most_delay=8.0)
    now, delays = 0.0, []
    for _ in range(6):
        queue.add_at(A, now, now)
        assert queue.take(now) == A
        queue.add(A, now)
        delays.append(queue.failed(A, now))
        assert queue.take(now + delays[-1] - 0.01) is None
        now += delays[-1]
    assert delays == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert queue.take(now) == A
    queue.done(A, now)
    queue.add(A, now)
    assert queue.take(now + 0.5) == A
    assert queue.failed(A, now) == 1.0


class QueueMachine(RuleBasedStateMachine):
    """Nothing gets lost, nothing is handed out twice."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = WorkQueue(0.5, 2.0)
        self.now = 0.0
        self.working: set[Key] = set()
        self.waiting: set[Key] = set()

    @rule(key=st.sampled_from(KEYS))
    def add(self, key: Key) -> None:
        self.queue.add(key, self.now)
        self.waiting.add(key)

    @rule(seconds=st.floats(0.0, 3.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        key = self.queue.take(self.now)
        if key is not None:
            assert key in self.waiting
            assert key not in self.working
            self.waiting.discard(key)
            self.working.add(key)

    @rule(again=st.one_of(st.none(), st.floats(0.0, 5.0)))
    def done(self, again: float | None) -> None:
        if self.working:
            key = min(self.working)
            self.working.discard(key)
            self.queue.done(key, self.now, again)
            if again is not None:
                self.waiting.add(key)

    @rule()
    def failed(self) -> None:
        if self.working:
            key = min(self.working)
            self.working.discard(key)
            self.queue.failed(key, self.now)
            self.waiting.add(key)

    @invariant()
    def what_waits_comes_up(self) -> None:
        idle = self.waiting - self.working
        due = self.queue.next_due()
        assert (due is not None) == bool(idle)
        assert len(self.queue) == len(idle)


TestQueue = QueueMachine.TestCase


@given(st.lists(st.floats(0.0, 0.49), min_size=1, max_size=30))
def test_the_wait_is_bounded(gaps: list[float]) -> None:
    queue = WorkQueue(0.5, 2.0)
    now = 0.0
    queue.add(A, now)
    for gap in gaps:
        now += gap
        if queue.take(now) == A:
            assert now <= 2.0 + 0.5
            return
        queue.add(A, now)
    assert queue.next_due() is not None
    assert queue.next_due() <= 2.0 + 1e-9  # type: ignore[operator]  # checked above
