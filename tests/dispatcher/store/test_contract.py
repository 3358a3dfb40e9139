"""What every store promises: in memory, on disk, and on JetStream."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.dispatcher.store.support import NAME, NOW, all_of, an_entry, closed, told
from tubepost_dispatcher.notification import decode
from tubepost_dispatcher.store.disk import DiskStore
from tubepost_dispatcher.store.memory import MemoryStore
from tubepost_dispatcher.store.port import Count, Entry, Failure, FailureKind, Filter, LaneHead, Store, Tally

# nats-py leaves the socket of a connection to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("own_litter"),
]


@pytest.fixture(params=["memory", "disk", "jetstream"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store
    if request.param == "jetstream":
        made = await request.getfixturevalue("nats").store()
    else:
        made = MemoryStore() if request.param == "memory" else DiskStore(tmp_path / "p", reserve=0)
        assert await told(made.start) is None
    yield made
    await closed(made)


async def put(store: Store, *numbers: int, take: bool = True, due: float = NOW) -> list[int]:
    keys = await told(store.put, [an_entry(number, due=due) for number in numbers], take=take)
    assert isinstance(keys, list), keys
    assert len(set(keys)) == len(numbers)
    return keys


async def test_what_was_put_is_there_until_it_ends(store: Store) -> None:
    first, second = await put(store, 1, 2)
    found = await all_of(store)
    assert [one.key for one in found] == [first, second]
    assert found[0].entry == an_entry(1)
    assert decode(found[0].entry.body).message_id == "m1"
    store.ended(first)
    assert [one.key for one in await all_of(store)] == [second]
    store.ended(second)
    assert await all_of(store) == []


async def test_nothing_is_told_before_the_next_turn(store: Store) -> None:
    answers: list[object] = []
    store.put([an_entry()], answers.append)
    store.due(NOW, 1, answers.append)
    assert answers == []


async def test_an_empty_put_is_answered(store: Store) -> None:
    assert await told(store.put, []) == []


async def test_many_puts_of_one_turn_are_each_answered(store: Store) -> None:
    answers: list[object] = []
    for number in range(50):
        store.put([an_entry(number)], answers.append)
    await put(store, 99)
    assert len(answers) == 50
    assert len({key for keys in answers for key in keys}) == 50  # type: ignore[attr-defined]


async def test_what_is_taken_is_not_handed_out(store: Store) -> None:
    await put(store, 1, 2)
    assert await told(store.due, NOW + 10, 10) == []
    assert await told(store.next_due) is None


async def test_what_is_due_comes_in_the_order_of_its_time_and_once(store: Store) -> None:
    for number, due in ((1, 30.0), (2, 10.0), (3, 20.0), (4, 99.0), (5, 10.0)):
        await put(store, number, take=False, due=NOW + due)
    assert await told(store.next_due) == NOW + 10.0
    first = await told(store.due, NOW + 50, 3)
    assert [one.entry.message_id for one in first] == ["m2", "m5", "m3"]
    second = await told(store.due, NOW + 50, 3)
    assert [one.entry.message_id for one in second] == ["m1"]
    assert await told(store.due, NOW + 50, 3) == []
    assert await told(store.next_due) == NOW + 99.0


async def test_again_gives_it_back_for_its_new_time_and_state(store: Store) -> None:
    (key,) = await put(store, 1)
    anew = an_entry(1, due=NOW + 60, reason="ServiceUnavailable", attempt=2)
    store.again(key, anew)
    assert await told(store.due, NOW + 59, 10) == []
    (found,) = await told(store.due, NOW + 60, 10)
    assert (found.key, found.entry) == (key, anew)


async def test_again_for_an_earlier_time_than_what_was_read_is_found(store: Store) -> None:
    late, early = await put(store, 1, 2, take=False, due=NOW + 50)
    assert len(await told(store.due, NOW + 50, 10)) == 2
    store.again(early, an_entry(2, due=NOW + 1))
    store.again(late, an_entry(1, due=NOW + 1))
    await put(store, 3, take=False, due=NOW)
    found = await told(store.due, NOW + 1, 10)
    assert [one.entry.message_id for one in found] == ["m3", "m1", "m2"]


async def test_a_lane_hands_out_its_own_and_no_others(store: Store) -> None:
    assert await told(store.lanes, None, 10) == []
    entries = [an_entry(n, due=NOW + n)._replace(lane=lane) for n, lane in enumerate((7, 3, 7, 2**62, 3))]
    keys = await told(store.put, entries, take=False)
    heads = await told(store.lanes, None, 10)
    assert heads == [LaneHead(3, NOW + 1, NAME), LaneHead(7, NOW, NAME), LaneHead(2**62, NOW + 3, NAME)]
    assert await told(store.lanes, None, 2) == heads[:2]
    assert await told(store.lanes, 3, 10) == heads[1:]
    assert [one.key for one in await told(store.due, NOW + 9, 1, lane=7)] == [keys[0]]
    assert await told(store.next_due, lane=7) == NOW + 2
    assert [one.key for one in await told(store.due, NOW + 9, 9, lane=7)] == [keys[2]]
    assert await told(store.due, NOW + 9, 9, lane=1) == []
    assert await told(store.next_due, lane=7) is None
    store.again(keys[0], entries[0]._replace(due=NOW - 5))
    (found,) = await told(store.due, NOW, 9, lane=7)
    assert (found.key, found.entry.lane) == (keys[0], 7)
    assert len(await told(store.due, NOW + 9, 9, lane=3)) == 2


async def test_what_has_expired_is_found_whatever_its_lane_and_due_time(store: Store) -> None:
    def made(number: int, lane: int, due: float, expires: float) -> Entry:
        return an_entry(number, due=due)._replace(lane=lane, expires=expires)

    entries = [
        made(1, 0, NOW + 900, NOW + 10),
        made(2, 5, NOW - 900, NOW + 5),
        made(3, 5, NOW, NOW + 99),
        made(4, 9, NOW, NOW + 7),
        made(5, 9, math.inf, NOW + 7),
    ]
    keys = await told(store.put, entries, take=False)
    (taken,) = await told(store.put, [made(6, 9, NOW, NOW + 7)])
    found: set[int] = set()
    for _ in range(9):
        some = await told(store.expired, NOW + 10, 2)
        assert len(some) <= 2
        assert not found & {one.key for one in some}
        found |= {one.key for one in some}
    assert found == {keys[0], keys[1], keys[3]}
    for key in found:
        store.ended(key)
    assert len(await all_of(store)) == 3
    store.release([taken])
    assert [one.key for _ in range(3) for one in await told(store.expired, NOW + 10, 2)] == [taken]


async def test_what_is_released_is_handed_out_as_it_was(store: Store) -> None:
    keys = await put(store, 1, 2)
    store.release(keys)
    assert [one.key for one in await told(store.due, NOW, 10)] == keys


async def test_entries_are_taken_by_key(store: Store) -> None:
    first, second = await put(store, 1, 2, take=False)
    (third,) = await put(store, 3)
    store.ended(third)
    assert [one.key for one in await told(store.take, [second, third])] == [second]
    assert await told(store.take, [second]) == []
    assert [one.key for one in await told(store.due, NOW, 10)] == [first]


async def test_pages_go_through_everything_in_order(store: Store) -> None:
    keys = await put(store, *range(25))
    assert [one.key for one in await all_of(store, limit=10)] == keys
    assert [one.key for one in await all_of(store, limit=25)] == keys


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (Filter(domain="other.example"), ["m2"]),
        (Filter(sender="c@d.example"), ["m3"]),
        (Filter(message_ids=("m1",)), ["m1"]),
        (Filter(message_ids=("m4", "m9", "m1")), ["m1", "m4"]),
        (Filter(message_ids=()), []),
        (Filter(reason="TooManyRequests"), ["m4"]),
        (Filter(accepted_before=NOW + 3), ["m1", "m2"]),
        (Filter(domain=NAME, accepted_before=NOW + 4), ["m1", "m3"]),
        (Filter(accepted_after=NOW + 3), ["m3", "m4"]),
        (Filter(route="blue"), ["m4"]),
        (Filter(held=True), ["m3"]),
        (Filter(held=False, accepted_before=NOW + 3), ["m1", "m2"]),
        (Filter(domain="nowhere.example"), []),
    ],
)
async def test_a_page_shows_what_its_filter_names(store: Store, which: Filter, expected: list[str]) -> None:
    entries = [
        an_entry(1),
        an_entry(2, domain="other.example"),
        an_entry(3, sender="c@d.example")._replace(hold="alice: why"),
        an_entry(4, reason="TooManyRequests")._replace(route="blue"),
    ]
    await told(store.put, entries)
    for limit in (1, 100):
        assert [one.entry.message_id for one in await all_of(store, which, limit)] == expected


async def test_what_is_held_is_due_at_no_time_until_it_is_released(store: Store) -> None:
    first, second = await put(store, 1, 2, take=False)
    (one,) = await told(store.take, [first])
    store.again(first, one.entry._replace(due=math.inf, hold="alice: why"))
    assert [found.key for found in await told(store.due, NOW + 1e9, 10)] == [second]
    store.ended(second)
    assert await told(store.next_due) is None
    assert [found.entry.hold for found in await all_of(store)] == ["alice: why"]
    (held,) = await told(store.take, [first])
    assert held.entry.due == math.inf
    store.again(first, held.entry._replace(due=NOW, hold=""))
    assert await told(store.next_due) == NOW
    assert [found.entry.hold for found in await told(store.due, NOW, 10)] == [""]


async def test_a_tally_counts_by_what_entries_have_in_common(store: Store) -> None:
    entries = [
        an_entry(1),
        an_entry(2, due=NOW + 60, reason="Shutdown")._replace(route="blue"),
        an_entry(3, domain="other.example"),
        an_entry(4, due=NOW + 60)._replace(hold="alice: why", due=math.inf),
        an_entry(5),
    ]
    keys = await told(store.put, entries, take=False)
    size = len(entries[0].body)
    tally = await told(store.tally, Filter(), NOW, None)
    assert tally == Tally(
        (
            Count(NAME, "", "", "", 2, 2, NOW + 1, size * 2),
            Count(NAME, "", "", "alice: why", 1, 0, NOW + 4, size),
            Count(NAME, "blue", "Shutdown", "", 1, 0, NOW + 2, size),
            Count("other.example", "", "", "", 1, 1, NOW + 3, len(entries[2].body)),
        ),
        5,
        None,
    )
    narrow = await told(store.tally, Filter(domain=NAME, held=False), NOW + 60, None)
    assert [(one.queued, one.due) for one in narrow.counts] == [(2, 2), (1, 1)]
    assert (await told(store.tally, Filter(), NOW, max(keys))).counts == ()


async def test_what_ended_twice_or_never_was_harms_nothing(store: Store) -> None:
    (key,) = await put(store, 1)
    store.ended(key)
    store.ended(key)
    store.ended(12345)
    store.release([12345])
    assert await all_of(store) == []


async def test_a_closed_store_says_so(store: Store) -> None:
    await put(store, 1)
    await closed(store)
    await closed(store)
    questions = (
        told(store.put, [an_entry(2)]),
        told(store.due, NOW, 1),
        told(store.next_due),
        told(store.page, Filter(), None, 1),
        told(store.tally, Filter(), NOW, None),
        told(store.take, [1]),
        told(store.lanes, None, 9),
        told(store.expired, NOW, 9),
    )
    for question in questions:
        answer = await question
        assert isinstance(answer, Failure)
        assert answer.kind is FailureKind.CLOSED
    store.ended(1)
    store.release([1])


async def test_figures_can_be_read_at_any_time(store: Store) -> None:
    await put(store, 1)
    assert store.figures.commits >= 1
    assert store.figures.size > 0
    assert store.figures.failure is None
