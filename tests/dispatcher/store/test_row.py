from __future__ import annotations

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.store.support import NOW, an_entry
from tubepost_dispatcher.store.database import Database
from tubepost_dispatcher.store.port import Entry, Filter, Kept, matches
from tubepost_dispatcher.store.row import COLUMNS, FRESH, condition, is_fresh, sound, values_of


def few(*values: object) -> st.SearchStrategy[object]:
    return st.sampled_from(values)


ENTRIES = st.lists(
    st.builds(
        lambda number, domain, sender, reason, route, hold: an_entry(
            number, domain=domain, sender=sender, reason=reason
        )._replace(route=route, hold=hold),
        st.integers(0, 5),
        few("a.example", "b.example"),
        few("", "a@b.example"),
        few("", "Shutdown"),
        few("", "blue"),
        few("", "alice: why"),
    ),
    max_size=12,
)
FILTERS = st.builds(
    Filter,
    domain=few(None, "a.example", "c.example"),
    sender=few(None, "", "a@b.example"),
    message_ids=few(None, (), ("m1",), ("m2", "m3")),
    reason=few(None, "", "Shutdown"),
    accepted_before=few(None, NOW, NOW + 3),
    accepted_after=few(None, NOW, NOW + 3),
    route=few(None, "", "blue"),
    held=few(None, True, False),
)


@given(ENTRIES, FILTERS)
def test_a_condition_means_what_the_port_says(entries: list[Entry], which: Filter) -> None:
    database = Database(Path(":memory:"))
    try:
        kept = [Kept(key, one) for key, one in enumerate(entries, 1)]
        with database.transaction():
            database.write(kept)
        wanted = [one for one in kept if matches(which, one.entry)]
        page, bad = database.page(which, None, 100)
        assert not bad
        assert list(page.kept) == wanted
        tally = database.tally(which, NOW, None)
        assert sum(one.queued for one in tally.counts) == len(wanted)
        assert sum(one.size for one in tally.counts) == sum(len(one.entry.body) for one in wanted)
        assert (tally.looked_at, tally.following) == (len(kept), None)
    finally:
        database.abandon()


def test_a_condition_bounds_the_keys() -> None:
    assert condition(Filter(), 3, None) == ("key > ?", [3])
    assert condition(Filter(domain="a.example"), 3, 9) == (
        "key > ? AND key <= ? AND domain = ?",
        [3, 9, "a.example"],
    )


def test_entries_that_were_not_tried_bind_fewer_values() -> None:
    fresh = [Kept(1, an_entry(1))]
    assert is_fresh(fresh)
    assert len(values_of(fresh, fresh=True)) == FRESH.count(",") + 1
    for other in (
        an_entry(2, reason="Shutdown"),
        an_entry(2)._replace(hold="alice"),
        an_entry(2)._replace(route="r"),
    ):
        rows = [*fresh, Kept(2, other)]
        assert not is_fresh(rows)
        assert len(values_of(rows, fresh=False)) == 2 * (COLUMNS.count(",") + 1)


def test_a_row_with_another_due_time_than_was_written_is_damaged() -> None:
    one = an_entry(1)._replace(due=math.inf, hold="alice: why")
    *head, reason, route, hold = values_of([Kept(7, one)], fresh=False)
    row = tuple(value.encode() if isinstance(value, str) else value for value in (*head, reason, route, hold))
    assert sound([row]) == ([Kept(7, one)], [])
    assert sound([(*row[:5], NOW, *row[6:])]) == ([], [7])
    assert sound([(*row[:1], None, *row[2:])]) == ([], [7])
