from __future__ import annotations

from tests.dispatcher.store.support import an_entry
from tubepost_dispatcher.queue.batch import MOST, Batch
from tubepost_dispatcher.queue.item import Putting


def test_a_batch_is_full_with_what_one_turn_can_hear_of() -> None:
    batch = Batch()
    puttings = [Putting((), lambda _: None) for _ in range(3)]
    assert not batch.add(puttings[0], [an_entry(1)])
    assert not batch.add(puttings[1], [an_entry(2), an_entry(3)])
    assert batch.add(puttings[2], [an_entry(4)] * (MOST - 3))
    assert batch.puttings == puttings
    assert [one.message_id for one in batch.entries[:4]] == ["m1", "m2", "m3", "m4"]
