from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.store.support import NOW, an_entry
from tubepost_dispatcher.store.bundle import pack
from tubepost_dispatcher.store.bundled import OLD, Bundled, Leaving
from tubepost_dispatcher.store.port import Filter, Page, Tally

ENTRIES = [an_entry(number) for number in range(4)]


def two() -> Bundled:
    bundled = Bundled()
    for first, since, entries in ((10, 100.0, ENTRIES[:2]), (20, 101.0, ENTRIES[2:])):
        packed = pack(entries)
        assert packed is not None
        bundled.add(first, len(entries), packed, since)
    return bundled


def test_a_bundle_is_over_when_nothing_is_left_in_it() -> None:
    bundled = two()
    assert bundled.leaving({1, 2}) is None
    leaving = bundled.leaving({10, 20, 99})
    assert leaving == Leaving(frozenset({10, 20}), [], [10, 20])
    assert len(bundled) == 4  # not before the commit
    bundled.left(leaving)
    assert sorted(bundled.all()) == [11, 21]
    leaving = bundled.leaving([11])
    assert leaving == Leaving(frozenset({11}), [10], [20])
    bundled.left(leaving)
    assert bundled.leaving({10, 11}) is None
    leaving = bundled.leaving({21})
    assert leaving == Leaving(frozenset({21}), [20], [])
    bundled.left(leaving)
    assert len(bundled) == 0
    assert bundled.lost() == set()


def test_what_has_left_is_told_when_the_file_is_lost() -> None:
    bundled = two()
    leaving = bundled.leaving({10, 20, 21})
    assert leaving is not None
    bundled.left(leaving)
    assert bundled.lost() == {10}
    assert len(bundled) == 0
    assert bundled.old(1e9) == {}


def test_old_ones_are_those_of_old_bundles_that_are_left() -> None:
    bundled = two()
    leaving = bundled.leaving({10})
    assert leaving is not None
    bundled.left(leaving)
    assert bundled.old(100.0 + OLD / 2) == {}
    assert bundled.old(100.0 + OLD) == {11: ENTRIES[1]}
    assert sorted(bundled.old(101.0 + OLD)) == [11, 20, 21]
    assert bundled.find([9, 10, 11]) == {11: ENTRIES[1]}


def test_pages_have_both() -> None:
    bundled = two()
    rows = Page((), None)
    assert [one.key for one in bundled.page(Filter(), None, 3, rows).kept] == [10, 11, 20]
    assert bundled.page(Filter(), None, 3, rows).following == 20
    assert [one.key for one in bundled.page(Filter(), 20, 3, rows).kept] == [21]
    assert bundled.page(Filter(), None, 9, Page((), 15)).following == 15
    assert len(bundled.page(Filter(), None, 9, Page((), 15)).kept) == 2
    assert bundled.page(Filter(message_ids=("m3",)), None, 9, rows).kept[0].key == 21
    assert bundled.page(Filter(domain="another"), None, 9, rows) is rows


def test_tallies_have_both() -> None:
    bundled = two()
    found = bundled.tally(Filter(), NOW, None, Tally((), 7, 20))
    assert (found.looked_at, found.following) == (10, 20)
    (count,) = found.counts
    assert (count.queued, count.due, count.oldest) == (3, 3, NOW)
    assert bundled.tally(Filter(), NOW, 20, Tally((), 7, None)).counts[0].queued == 1


@given(st.lists(st.tuples(st.sampled_from(["add", "leave"]), st.integers(1, 30)), max_size=30))
def test_what_is_kept_on_disk_is_what_a_successor_needs(steps: list[tuple[str, int]]) -> None:
    """Bundles without those that are over, less what is remembered as gone, are what is left."""
    bundled, living, disk, gone = Bundled(), set[int](), dict[int, int](), set[int]()
    first = 1
    for step, number in steps:
        if step == "add":
            bundled.add(first, number, (pack(ENTRIES[:1]) or b"") * number, 0.0)
            disk[first] = number
            living |= set(range(first, first + number))
            first += number
            continue
        keys = {key for key in living if key % number == 0}
        leaving = bundled.leaving(keys)
        assert (leaving is None) is not keys
        if leaving is not None:
            for over in leaving.over:
                del disk[over]
            gone = set(leaving.gone)
            bundled.left(leaving)
        living -= keys
        assert {k for f, n in disk.items() for k in range(f, f + n)} - gone == living == set(bundled.all())
