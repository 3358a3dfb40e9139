"""Turns: whatever happens, counts add up, memory is bounded, and what is due gets its turn."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tubepost_dispatcher.queue.lanes import Group, Lane, Turns
from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.queue.window import Window

SLOT = Slot(0, None)  # type: ignore[arg-type] - no store is asked here


def lanes_of(group: Group, count: int) -> list[Lane]:
    return [Lane(number, "d.example", SLOT, group) for number in range(count)]


def fill(turns: Turns, lanes: list[Lane], now: float = 0.0) -> None:
    for lane in lanes:
        turns.stored(lane, now, now)


def test_lanes_take_turns() -> None:
    turns, group = Turns(), Group(Window())
    group.window.restart(0.0)
    lanes = lanes_of(group, 3)
    fill(turns, lanes)
    order = []
    for _ in range(6):
        ((lane, count),) = turns.reads([group])
        order.append(lane.ident)
        assert count == 1
        turns.read(lane, 1, 1, more=True)
        assert turns.gone(lane, fresh=False)
    assert order == [0, 1, 2, 0, 1, 2]


def test_a_window_of_one_lets_one_through_and_then_nobody() -> None:
    turns, group = Turns(), Group(Window())
    group.window.restart(0.0)
    fill(turns, lanes_of(group, 5))
    assert len(turns.reads([group])) == 1
    assert turns.reads([group]) == []


def test_a_closed_group_is_not_read_and_keeps_nobody_waiting() -> None:
    turns, closed, other = Turns(), Group(Window()), Group(Window())
    closed.closed = True
    (held,), (free,) = lanes_of(closed, 1), lanes_of(other, 1)
    fill(turns, [held, free])
    assert [lane for lane, _ in turns.reads([closed, other])] == [free]
    assert not turns.reserve(held)


def test_lanes_come_when_they_are_due() -> None:
    turns, group = Turns(), Group(Window())
    first, second = lanes_of(group, 2)
    assert turns.stored(first, 50.0, 0.0)
    assert turns.stored(second, 20.0, 0.0)
    assert not turns.stored(second, 30.0, 0.0)
    assert turns.next_due() == 20.0
    assert turns.stored(first, 10.0, 0.0)
    assert turns.next_due() == 10.0
    turns.line_up(15.0)
    assert [lane for lane, _ in turns.reads([group])] == [first]
    assert turns.next_due() == 20.0
    turns.read(first, turns.active, 0, more=False)
    turns.following(first, math.inf, 15.0)
    assert first.idle
    turns.line_up(50.0)
    assert [lane for lane, _ in turns.reads([group])] == [second]


def test_what_is_put_back_while_a_lane_is_read_is_not_forgotten() -> None:
    turns, group = Turns(), Group(Window())
    (lane,) = lanes_of(group, 1)
    fill(turns, [lane])
    ((_, count),) = turns.reads([group])
    assert not turns.stored(lane, 7.0, 0.0)
    turns.read(lane, count, 0, more=False)
    turns.following(lane, math.inf, 0.0)
    assert turns.next_due() == 7.0


def test_one_group_leaves_room_for_another_and_one_lane_for_another() -> None:
    turns = Turns(most=1_000)
    groups = [Group(Window()), Group(Window())]
    lanes = [lanes_of(group, 2) for group in groups]
    for group in groups:
        group.window._resize(10_000.0)
    taken = {}
    for one in (lanes[0][0], lanes[0][1], lanes[1][0], lanes[1][1]):
        taken[one] = 0
        while turns.reserve(one):
            taken[one] += 1
    assert sum(taken.values()) == turns.active <= 1_000
    assert all(count > 30 for count in taken.values()), taken.values()


def test_a_group_that_waits_for_anothers_memory_is_told() -> None:
    turns = Turns(most=100)
    busy, waiting = Group(Window()), Group(Window())
    (first,), (second,) = lanes_of(busy, 1), lanes_of(waiting, 1)
    turns._count(first, 100)
    fill(turns, [second])
    assert turns.reads([busy, waiting]) == []
    told = [turns.gone(first, fresh=False) for _ in range(100)]
    assert any(told)
    assert turns.reads([busy, waiting])


class TurnsMachine(RuleBasedStateMachine):
    """A store of numbers beside the turns: what is in it is read, all of it, and once."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = Turns(most=30)
        self.groups = [Group(Window()) for _ in range(2)]
        for group in self.groups:
            group.window.restart(0.0)
        self.lanes = [Lane(n, "d.example", SLOT, self.groups[n % 2]) for n in range(5)]
        self.now = 0.0
        self.store: dict[Lane, list[float]] = {lane: [] for lane in self.lanes}
        self.memory: list[tuple[Lane, bool]] = []
        self.reading: list[tuple[Lane, int]] = []
        self.asking: list[Lane] = []

    @rule(lane=st.integers(0, 4))
    def comes_from_its_sender(self, lane: int) -> None:
        one = self.lanes[lane]
        room = 0 if one.group.closed else self.turns.room(one, fresh=True)
        assert self.turns.reserve(one) is (room > 0)
        if room:
            self.turns.gone(one, fresh=True)
        if self.turns.reserve(one):
            self.memory.append((one, True))
        else:
            self.put_back(one, self.now)

    def put_back(self, lane: Lane, due: float) -> None:
        self.store[lane].append(due)
        self.turns.stored(lane, due, self.now)

    @precondition(lambda self: self.memory)
    @rule(data=st.data(), wait=st.none() | st.floats(0, 50), fails=st.booleans())
    def is_answered(self, data: Any, wait: float | None, fails: bool) -> None:
        lane, fresh = self.memory.pop(data.draw(st.integers(0, len(self.memory) - 1)))
        if fails:
            lane.group.window.failed(self.now, self.now)
        else:
            lane.group.window.succeeded()
        self.turns.gone(lane, fresh=fresh)
        if wait is not None:
            self.put_back(lane, self.now + wait)

    @rule(seconds=st.floats(0.1, 60))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(group=st.integers(0, 1), closed=st.booleans())
    def routes_change(self, group: int, closed: bool) -> None:
        self.groups[group].closed = closed

    @rule()
    def reads(self) -> None:
        self.turns.line_up(self.now)
        self.reading += self.turns.reads(self.groups)

    @precondition(lambda self: self.reading)
    @rule(data=st.data())
    def is_read(self, data: Any) -> None:
        lane, count = self.reading.pop(data.draw(st.integers(0, len(self.reading) - 1)))
        due = sorted(one for one in self.store[lane] if one <= self.now)[:count]
        for one in due:
            self.store[lane].remove(one)
        self.memory += [(lane, False)] * len(due)
        more = len(due) == count
        self.turns.read(lane, count, len(due), more=more)
        if not more:
            self.asking.append(lane)

    @precondition(lambda self: self.asking)
    @rule(data=st.data())
    def is_told_what_follows(self, data: Any) -> None:
        lane = self.asking.pop(data.draw(st.integers(0, len(self.asking) - 1)))
        self.turns.following(lane, min(self.store[lane], default=math.inf), self.now)

    @rule()
    def groups_are_made_anew(self) -> None:
        self.groups = [Group(group.window) for group in self.groups]
        by_lane = {lane.ident: self.groups[lane.ident % 2] for lane in self.lanes}
        numbers = iter(self.lanes)
        self.turns.regroup(self.lanes, lambda _: by_lane[next(numbers).ident])

    @invariant()
    def counts_add_up(self) -> None:
        turns = self.turns
        assert turns.active == sum(group.active for group in self.groups) <= turns.most
        for group in self.groups:
            assert group.active == sum(lane.active for lane in self.lanes if lane.group is group)
            assert len(group.ready) == len(set(group.ready))
            assert all(lane.place and not lane.reading for lane in group.ready)
        for lane in self.lanes:
            pending = sum(count for one, count in self.reading if one is lane)
            assert lane.active == sum(one is lane for one, _ in self.memory) + pending
            assert lane.fresh == sum(one is lane and fresh for one, fresh in self.memory)

    def teardown(self) -> None:
        """Everything ends: nothing is left in the store."""
        for group in self.groups:
            group.closed = False
        for _ in range(2_000):
            while self.asking:
                lane = self.asking.pop()
                self.turns.following(lane, min(self.store[lane], default=math.inf), self.now)
            while self.memory:
                lane, fresh = self.memory.pop()
                lane.group.window.succeeded()
                self.turns.gone(lane, fresh=fresh)
            if not any(self.store.values()) and not self.reading:
                break
            self.now = max(self.now, min(self.turns.next_due(), self.now + 100.0))
            self.reads()
            assert self.reading, "something is in the store, and nothing is read"
            while self.reading:
                lane, count = self.reading.pop()
                due = sorted(one for one in self.store[lane] if one <= self.now)[:count]
                for one in due:
                    self.store[lane].remove(one)
                self.memory += [(lane, False)] * len(due)
                self.turns.read(lane, count, len(due), more=len(due) == count)
                if len(due) < count:
                    self.asking.append(lane)
        assert not any(self.store.values())


TurnsMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTurns = TurnsMachine.TestCase
