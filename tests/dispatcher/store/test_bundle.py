from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.store.support import an_entry
from tubepost_dispatcher.store.bundle import fits, pack, unpack
from tubepost_dispatcher.store.port import Entry, Kept

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
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


@given(st.lists(ENTRIES, max_size=8), st.integers(0, 2**62))
def test_what_is_packed_is_unpacked(entries: list[Entry], first: int) -> None:
    good, bad = unpack(first, len(entries), pack(first, entries))
    assert good == [Kept(key, one) for key, one in enumerate(entries, first)]
    assert bad == []


@given(st.lists(ENTRIES, min_size=1, max_size=6), st.data())
def test_a_flipped_bit_is_found_and_costs_what_it_is_in(entries: list[Entry], data: st.DataObject) -> None:
    packed = bytearray(pack(FIRST, entries))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= 1 << data.draw(st.integers(0, 7))
    good, bad = unpack(FIRST, len(entries), bytes(packed))
    assert bad
    for one in good:
        assert one.entry == entries[one.key - FIRST]
    before = [number for number in range(len(entries)) if len(pack(FIRST, entries[: number + 1])) <= place]
    assert [one.key - FIRST for one in good][: len(before)] == before


@given(st.lists(ENTRIES, min_size=1, max_size=6), st.data())
def test_what_is_cut_off_gives_back_what_is_whole(entries: list[Entry], data: st.DataObject) -> None:
    packed = pack(FIRST, entries)
    good, bad = unpack(FIRST, len(entries), packed[: data.draw(st.integers(0, len(packed) - 1))])
    assert [one.entry for one in good] == entries[: len(good)]
    assert len(good) < len(entries)
    assert [key for key, _ in bad] == [FIRST + len(good)]


def test_one_damaged_record_leaves_the_others() -> None:
    entries = [an_entry(number) for number in range(5)]
    packed = pack(FIRST, entries).replace(b"m2", b"m9")
    good, bad = unpack(FIRST, 5, packed)
    assert [one.key - FIRST for one in good] == [0, 1, 3, 4]
    ((key, octets),) = bad
    assert key == FIRST + 2
    assert b"m9" in octets


def test_an_entry_under_another_key_is_not_what_was_written() -> None:
    assert unpack(FIRST + 1, 1, pack(FIRST, [an_entry()])).good == []


@dataclass(frozen=True)
class Case:
    reason: str = ""
    route: str = ""
    hold: str = ""
    fits: bool = False


@pytest.mark.parametrize("case", [Case(fits=True), Case(reason="x"), Case(route="x"), Case(hold="x")])
def test_only_what_is_fresh_fits(case: Case) -> None:
    entry = an_entry(due=math.inf)._replace(reason=case.reason, route=case.route, hold=case.hold)
    assert fits([an_entry(), entry]) is case.fits
