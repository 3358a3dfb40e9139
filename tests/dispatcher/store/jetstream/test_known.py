"""What an owner knows of what waits in the stream: in order, once, and forgotten with its message."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.store.jetstream.known import Known, Waiting


def waiting(key: int, due: float, seq: int = 0) -> Waiting:
    return Waiting(due, key, seq or key, due + 10)


def test_a_lane_is_in_the_order_of_its_times() -> None:
    known = Known()
    for key, due in ((1, 3.0), (2, 1.0), (3, 2.0), (4, math.inf)):
        known.add(7, "d", waiting(key, due))
    assert known.lanes() == [(7, 1.0, "d")]
    assert known.pop(7, 0.5) is None
    assert [known.pop(7, 9.0).key for _ in range(3)] == [2, 3, 1]  # type: ignore[union-attr]
    assert known.pop(7, 1e12) is None
    assert known.first(7) is not None
    assert known.first(8) is None


def test_what_is_written_anew_is_where_it_was_written_last() -> None:
    known = Known()
    known.add(1, "d", waiting(5, 9.0, seq=50))
    known.add(2, "d", waiting(5, 1.0, seq=60))
    assert known.first(1) is None
    assert known.seq(5) == 60
    known.forget(50)  # late: it is not there any more
    assert known.seq(5) == 60
    assert known.key(60, 0) == 5
    known.forget(60)
    assert known.seq(5) is None
    assert len(known) == known.messages == 0


def test_entries_of_one_message_have_names_by_number() -> None:
    known = Known()
    known.add(1, "d", waiting(100, 1.0, seq=9), 0)
    known.add(1, "d", waiting(101, 2.0, seq=9), 1)
    assert known.pop(1, 5.0) == waiting(100, 1.0, seq=9)._replace(lane=1)
    assert known.key(9, 0) == 100  # until its message is claimed
    assert known.key(9, 1) == 101
    assert known.key(9, 2) is None
    known.drop(101)
    assert known.key(9, 1) is None
    assert known.messages == 1
    known.forget(9)
    assert known.messages == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.floats(0, 100)), max_size=60))
def test_what_was_added_last_comes_out_once_and_in_order(adds: list[tuple[int, int, float]]) -> None:
    known = Known()
    last: dict[int, tuple[int, float]] = {}
    for key, lane, due in adds:
        known.add(lane, "d", waiting(key, due, seq=key + 1))
        last[key] = lane, due
    assert len(known) == len(last)
    for lane in range(6):
        found = []
        while (one := known.pop(lane, 100.0)) is not None:
            found.append((one.due, one.key))
        assert found == sorted((due, key) for key, (where, due) in last.items() if where == lane)
