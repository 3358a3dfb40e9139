from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.apns.pool.policy import MOST_DIALS, PATIENCE, Demand, dials_wanted, spread

counts = st.integers(0, 2000)


@given(st.lists(st.tuples(counts, counts), max_size=40), st.integers(0, 100_000))
def test_spread_places_what_fits_and_levels(loads: list[tuple[int, int]], count: int) -> None:
    shares = spread(loads, count)
    assert len(shares) == len(loads)
    assert all(0 <= share <= free for share, (_, free) in zip(shares, loads, strict=True))
    assert sum(shares) == min(count, sum(free for _, free in loads))
    # Nobody who got one is fuller than somebody who could have taken it.
    got = [used + share for share, (used, _) in zip(shares, loads, strict=True) if share]
    could = [used + share for share, (used, free) in zip(shares, loads, strict=True) if share < free]
    if got and could:
        assert max(got) <= min(could) + 1


def test_the_emptiest_is_filled_first() -> None:
    assert spread([(10, 100), (0, 100), (4, 100)], 10) == [0, 7, 3]
    assert spread([], 5) == []


BASE = Demand(
    left=1, usable=0, unproven=0, dialling=0, most=32, starved_for=1.0, stream_limit=0, by_token=False
)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, 1),
        ({"starved_for": 0.0}, 1),
        ({"left": 0}, 0),
        ({"left": 100_000}, 1),
        ({"dialling": 1}, 0),
        ({"usable": 1, "stream_limit": 1000, "starved_for": 0.0}, 0),
        ({"usable": 1, "stream_limit": 1000, "starved_for": PATIENCE}, 1),
        ({"usable": 1, "stream_limit": 1000, "left": 2500}, 3),
        ({"usable": 1, "stream_limit": 1, "left": 250}, 3),
        ({"usable": 1, "stream_limit": 1000, "left": 10**6}, MOST_DIALS),
        ({"usable": 1, "stream_limit": 1000, "left": 10**6, "dialling": 3}, MOST_DIALS - 3),
        ({"usable": 31, "stream_limit": 1000, "left": 10**6}, 1),
        ({"usable": 32, "stream_limit": 1000, "left": 10**6}, 0),
        ({"usable": 40, "stream_limit": 1000, "left": 10**6}, 0),
        ({"by_token": True, "left": 10**6}, 1),
        ({"by_token": True, "usable": 1, "unproven": 1, "stream_limit": 1, "left": 10**6}, 0),
        ({"by_token": True, "usable": 1, "stream_limit": 1000, "left": 10**6}, 1),
        ({"by_token": True, "usable": 1, "stream_limit": 1000, "left": 10**6, "dialling": 1}, 0),
    ],
)
def test_when_to_open_another_connection(change: dict[str, int], wanted: int) -> None:
    assert dials_wanted(replace(BASE, **change)) == wanted  # type: ignore[arg-type]


@given(
    counts, counts, counts, st.integers(0, 40), st.integers(1, 64), st.floats(0, 10), counts, st.booleans()
)
def test_never_above_the_maximum(
    left: int,
    usable: int,
    unproven: int,
    dialling: int,
    most: int,
    starved: float,
    limit: int,
    by_token: bool,
) -> None:
    wanted = dials_wanted(Demand(left, usable, unproven, dialling, most, starved, limit, by_token))
    assert 0 <= wanted <= MOST_DIALS
    if wanted:
        assert usable + dialling + wanted <= most
        assert left
