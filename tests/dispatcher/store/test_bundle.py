from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.store.support import an_entry
from tubepost_dispatcher.store.bundle import pack, unpack
from tubepost_dispatcher.store.port import Entry, Kept

TEXTS = st.text(max_size=40)
TIMES = st.floats(allow_nan=False)
ENTRIES = st.builds(
    Entry,
    st.binary(max_size=80),
    TEXTS,
    TEXTS,
    TEXTS,
    TIMES,
    TIMES,
    TIMES,
    st.integers(0, 2**40),
    reason=st.just(""),
    route=st.just(""),
    hold=st.just(""),
    lane=st.integers(0, 2**63 - 1),
)
FIRST = 1_800_000_000_000_000


def packed_of(entries: list[Entry]) -> bytes:
    packed = pack(entries)
    assert packed is not None
    return packed


@given(st.lists(ENTRIES, max_size=8), st.integers(0, 2**62))
def test_what_is_packed_is_unpacked(entries: list[Entry], first: int) -> None:
    good, bad = unpack(first, len(entries), packed_of(entries))
    assert good == [Kept(key, one) for key, one in enumerate(entries, first)]
    assert bad == []


@given(st.lists(ENTRIES, min_size=1, max_size=6), st.data())
def test_a_flipped_bit_is_found_and_costs_what_it_is_in(entries: list[Entry], data: st.DataObject) -> None:
    packed = bytearray(packed_of(entries))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= 1 << data.draw(st.integers(0, 7))
    good, bad = unpack(FIRST, len(entries), bytes(packed))
    assert bad
    for one in good:
        assert one.entry == entries[one.key - FIRST]
    before = [number for number in range(len(entries)) if len(packed_of(entries[: number + 1])) <= place]
    assert [one.key - FIRST for one in good][: len(before)] == before


@given(st.lists(ENTRIES, min_size=1, max_size=6), st.data())
def test_what_is_cut_off_gives_back_what_is_whole(entries: list[Entry], data: st.DataObject) -> None:
    packed = packed_of(entries)
    good, bad = unpack(FIRST, len(entries), packed[: data.draw(st.integers(0, len(packed) - 1))])
    assert [one.entry for one in good] == entries[: len(good)]
    assert len(good) < len(entries)
    assert [key for key, _ in bad] == [FIRST + len(good)]


def test_one_damaged_record_leaves_the_others() -> None:
    entries = [an_entry(number) for number in range(5)]
    packed = packed_of(entries).replace(b"m2", b"m9")
    good, bad = unpack(FIRST, 5, packed)
    assert [one.key - FIRST for one in good] == [0, 1, 3, 4]
    ((key, octets),) = bad
    assert key == FIRST + 2
    assert b"m9" in octets


@dataclass(frozen=True)
class Case:
    reason: str = ""
    route: str = ""
    hold: str = ""
    fits: bool = False


@pytest.mark.parametrize("case", [Case(fits=True), Case(reason="x"), Case(route="x"), Case(hold="x")])
def test_only_what_is_fresh_fits(case: Case) -> None:
    entry = an_entry(due=math.inf)._replace(reason=case.reason, route=case.route, hold=case.hold)
    assert (pack([an_entry(), entry]) is not None) is case.fits
