"""Shares of a bounded memory: late comers find room, and nobody gets more than there is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.queue.shares import group_room, lane_room

COUNTS = st.integers(0, 10_000)


def test_a_lane_alone_has_two_thirds_of_its_group() -> None:
    active = 0
    while room := lane_room(90 - active, active, 0, fresh=True, backlog=False):
        active += room
    assert active == 60


def test_one_of_one_is_for_whoever_comes_first() -> None:
    for fresh in (True, False):
        for backlog in (True, False):
            assert lane_room(1, 0, 0, fresh=fresh, backlog=backlog) == 1


def test_a_group_alone_leaves_half_of_the_memory() -> None:
    assert group_room(10_000, 0, 8_000) == 8_000
    assert group_room(10_000, 4_000, 4_000) == 0
    assert group_room(10, 4, 4_000) == 6


@given(COUNTS, COUNTS, COUNTS, st.booleans(), st.booleans())
def test_nobody_gets_more_than_there_is(
    group: int, active: int, part: int, fresh: bool, backlog: bool
) -> None:
    assert 0 <= lane_room(group, active, min(part, active), fresh=fresh, backlog=backlog) <= group


@given(st.integers(1, 5_000), st.data())
def test_with_a_backlog_both_sides_keep_a_part(most: int, data: st.DataObject) -> None:
    """Whoever takes all that it can get: the other side still gets something."""
    first = data.draw(st.booleans())
    counts = {True: 0, False: 0}
    for side in (first, not first):
        while room := lane_room(
            most - sum(counts.values()), sum(counts.values()), counts[side], fresh=side, backlog=True
        ):
            counts[side] += room
    if most >= 8:
        assert all(counts.values()), counts
    assert sum(counts.values()) <= most
