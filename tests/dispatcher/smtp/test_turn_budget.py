from __future__ import annotations

from tests.dispatcher.smtp.support import ENVELOPE, Wire
from tests.support.loop import FakeLoop
from tubepost_dispatcher.smtp.turn_budget import RESUMED_PER_TURN, TURN_BUDGET, TurnBudget


def test_large_messages_share_the_turns_of_the_loop() -> None:
    first = Wire().hello()
    wires = [first]
    for _ in range(9):
        wire = Wire(beside=first)
        wires.append(wire.hello())
    for wire in wires:
        wire.send(ENVELOPE)
    for wire in wires:
        wire.session.data_received(b"x" * 262_144)
    assert [wire.transport.paused for wire in wires] == [False] * 4 + [True] * 6
    paused = []
    while first.loop.turn():
        paused.append(sum(wire.transport.paused for wire in wires))
    assert paused == [2, 0]


def test_those_over_the_budget_wait_for_the_next_turns() -> None:
    loop, turns = FakeLoop(), TurnBudget()
    resumed: list[int] = []
    assert turns.charge(loop, TURN_BUDGET, lambda: resumed.append(-1))
    for number in range(RESUMED_PER_TURN + 1):
        assert not turns.charge(loop, 1, lambda number=number: resumed.append(number))  # type: ignore[misc]
    loop.turn()
    assert resumed == [0, 1, 2, 3]
    assert turns.spent == 0
    loop.turn()
    assert resumed == [0, 1, 2, 3, 4]
    loop.turn()
    assert not loop.timers
