from __future__ import annotations

import pytest

from tubepost_dispatcher.smtp.message_ids import MessageIds, SessionIds


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


def test_session_ids_are_short_and_unique() -> None:
    ids, others = SessionIds(), SessionIds()
    made = [ids.next() for _ in range(1_000)]
    assert len(set(made)) == len(made)
    assert {len(one) for one in made} <= {8, 9, 10}
    assert others.next()[:6] != made[0][:6]
