from __future__ import annotations

import pytest

from tubepost_dispatcher.smtp.message_ids import MessageIds


def test_message_ids_are_unique_and_sorted() -> None:
    ids = MessageIds()
    made = [ids.next() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert sorted(made) == made
    assert {len(one) for one in made} == {25}
    assert made[0][-8:] != MessageIds().next()[-8:]


def test_message_ids_stay_sorted_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = MessageIds()
    first = ids.next()
    monkeypatch.setattr("time.time", lambda: 0.0)
    ids._counter = 0xFFFFFE
    rest = [ids.next() for _ in range(3)]
    assert sorted([first, *rest]) == [first, *rest]
