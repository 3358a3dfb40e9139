"""What memory does otherwise than disk; the rest is in `test_contract`."""

from __future__ import annotations

from tests.dispatcher.store.support import all_of, an_entry, told
from tubepost_dispatcher.store.memory import MemoryStore
from tubepost_dispatcher.store.port import Failure, FailureKind


async def test_it_is_full_at_its_bound_and_has_room_again_after_an_end() -> None:
    store = MemoryStore(most=2)
    keys = await told(store.put, [an_entry(1), an_entry(2)])
    answer = await told(store.put, [an_entry(3)])
    assert isinstance(answer, Failure)
    assert answer.kind is FailureKind.FULL
    store.ended(keys[0])
    assert isinstance(await told(store.put, [an_entry(3)]), list)
    assert len(await all_of(store)) == 2


async def test_its_size_is_that_of_the_bodies() -> None:
    store = MemoryStore()
    (key,) = await told(store.put, [an_entry(1)])
    assert store.figures.size == len(an_entry(1).body)
    store.again(key, an_entry(1, attempt=10_000))
    assert store.figures.size == len(an_entry(1, attempt=10_000).body)
    store.ended(key)
    assert store.figures.size == 0
