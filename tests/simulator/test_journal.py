from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_simulator import Notification
from tubepost_simulator.journal import Journal


def record(
    apns_id: str = "id", *, status: int = 200, reason: str = "", payload: bytes = b"{}"
) -> Notification:
    return Notification(
        number=0,
        received_at=1.0,
        apns_id=apns_id,
        token="abcd",
        topic="t",
        push_type="alert",
        priority=None,
        expiration=None,
        collapse_id=None,
        payload=payload,
        auth="token",
        identity="a/b",
        connection=1,
        stream=1,
        status=status,
        reason=reason,
        detail="",
    )


def test_counts_verdicts_and_duplicates() -> None:
    journal = Journal(10, 1_000)
    journal.add(record("a", status=503, reason="Shutdown"))
    for _ in range(3):
        journal.add(record("a"))
    assert [item.attempt for item in journal] == [1, 2, 3, 4]
    assert [item.number for item in journal] == [1, 2, 3, 4]
    assert journal.verdicts == {"503 Shutdown": 1, "200": 3}
    assert (journal.counts.requests, journal.counts.accepted, journal.counts.duplicates) == (4, 3, 2)


def test_clear_keeps_counts_and_numbers() -> None:
    journal = Journal(10, 1_000)
    journal.add(record())
    assert journal.clear() == 1
    journal.add(record())
    assert (len(journal), journal.count, journal.counts.requests) == (1, 1, 2)
    assert [(item.number, item.attempt) for item in journal] == [(2, 1)]


@given(
    st.integers(0, 5),
    st.integers(0, 60),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.booleans()), max_size=30),
)
def test_bounds_hold_and_the_indexes_agree(
    retain: int, size: int, items: list[tuple[str, int, bool]]
) -> None:
    journal = Journal(retain, size)
    for name, length, good in items:
        journal.add(record(name, status=200 if good else 400, payload=b"x" * length))
        kept = list(journal)
        assert len(kept) <= retain
        assert sum(len(item.payload) for item in kept) == journal._bytes <= size
        assert journal._attempts == Counter(item.apns_id for item in kept)
        assert journal._accepted_ids == Counter(item.apns_id for item in kept if item.accepted)
    assert journal.count == len(items)


async def test_wait_for_ends_at_its_number() -> None:
    journal = Journal(1, 100)
    journal.add(record())
    await journal.wait_for(1, 0)
    waiting = asyncio.ensure_future(journal.wait_for(3, 10))
    await asyncio.sleep(0)
    journal.add(record())
    await asyncio.sleep(0)
    assert not waiting.done()
    journal.add(record())
    await waiting
    assert not journal._waiters


async def test_wait_for_gives_up() -> None:
    journal = Journal(1, 100)
    with pytest.raises(TimeoutError, match="0 of 2"):
        await journal.wait_for(2, 0.01)
    assert not journal._waiters


def test_as_dict_shows_payload_both_ways() -> None:
    shown = record(payload=b'{"a":1}').as_dict()
    assert (shown["payload"], shown["payloadBase64"]) == ({"a": 1}, "eyJhIjoxfQ==")
    assert record(payload=b"\xff").as_dict()["payload"] is None


def test_records_are_found_by_number_while_they_are_kept() -> None:
    journal = Journal(2, 1_000)
    assert journal.find(1) is None
    for _ in range(3):
        journal.add(record())
    found = [journal.find(number) for number in range(5)]
    assert [entry.number if entry else 0 for entry in found] == [0, 0, 2, 3, 0]
    assert (journal.first_number, journal.last_number) == (2, 3)
    journal.clear()
    assert journal.find(3) is None
    assert (journal.first_number, journal.last_number) == (4, 3)


def test_watchers_are_told_until_they_stop() -> None:
    class Told:
        def __init__(self) -> None:
            self.news: list[str] = []

        def added(self) -> None:
            self.news.append("added")

        def answered(self, record: Notification) -> None:
            self.news.append(f"answered {record.number}")

        def cleared(self) -> None:
            self.news.append("cleared")

    journal, told = Journal(10, 1_000), Told()
    journal.watch(told)
    one = record()
    journal.add(one)
    journal.answered(one)
    journal.answered(record())  # of a channel's management: never recorded
    journal.clear()
    journal.unwatch(told)
    journal.unwatch(told)
    journal.add(record())
    assert one.answered
    assert told.news == ["added", "answered 1", "cleared"]
