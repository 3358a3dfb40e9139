from __future__ import annotations

from typing import Any

from tubepost_simulator.chaos import GoAway
from tubepost_simulator.open_connections import OpenConnections


class Fake:
    def __init__(self) -> None:
        self.number = 0
        self.open_streams = 0
        self.aborted = False

    def as_dict(self) -> dict[str, Any]:
        return {"number": self.number}

    def chaos_changed(self) -> None: ...

    def goaway(self, how: GoAway) -> None: ...

    def drop(self) -> None: ...

    def abort(self) -> None:
        self.aborted = True


async def test_numbers_are_never_used_again_and_the_limit_holds() -> None:
    connections = OpenConnections(2)
    one, two, three = Fake(), Fake(), Fake()
    assert connections.add(one)
    assert connections.add(two)
    assert not connections.add(three)
    connections.remove(one)
    assert connections.add(three)
    assert [connection.number for connection in connections] == [2, 3]


async def test_removing_one_that_was_never_taken_in_is_no_matter() -> None:
    connections = OpenConnections(1)
    connections.add(Fake())
    connections.remove(Fake())
    assert len(connections) == 1


async def test_at_the_end_all_are_cut_and_none_is_taken() -> None:
    connections = OpenConnections(5)
    fakes = [Fake(), Fake()]
    for fake in fakes:
        connections.add(fake)
    connections.abort()
    assert all(fake.aborted for fake in fakes)
    assert not connections.add(Fake())
    for fake in fakes:
        connections.remove(fake)
    await connections.all_gone()
