from __future__ import annotations

import json
from typing import Any

from tests.simulator.records import record
from tubepost_simulator.filters import Criteria, read
from tubepost_simulator.journal import Journal
from tubepost_simulator.live import BATCH, MAX_LATE, Feed, resumed

SWITCHES = {"latencyMs": 5}


def feed(journal: Journal, **filters: str) -> Feed:
    made = Feed(journal, read(filters), "run", lambda: SWITCHES)
    made.open()
    return made


def events(source: Feed) -> list[tuple[str, Any]]:
    """Names and data; of a notification its number."""
    found = []
    for block in source.take().decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        data = json.loads(fields["data"])
        found.append((fields["event"], data["number"] if fields["event"] == "notification" else data))
    return found


def filled(count: int) -> Journal:
    journal = Journal(10_000, 10_000_000)
    for _ in range(count):
        journal.add(record())
    return journal


def test_first_the_greeting_and_what_is_there_then_what_comes() -> None:
    journal = filled(2)
    source = feed(journal)
    hello = {"instance": "run", "first": 1, "last": 2}
    assert events(source) == [
        ("hello", hello),
        ("switches", SWITCHES),
        ("notification", 1),
        ("notification", 2),
    ]
    assert events(source) == []
    journal.add(record())
    assert events(source) == [("notification", 3)]


def test_filters_hold_for_what_comes_too() -> None:
    journal = filled(1)
    source = feed(journal, token="cc")
    events(source)
    journal.add(record())
    journal.add(record(token="cc"))
    assert events(source) == [("notification", 3)]


def test_the_newest_so_many_come_first() -> None:
    source = feed(filled(5), limit="2")
    assert events(source)[2:] == [("skipped", {}), ("notification", 4), ("notification", 5)]


def test_a_burst_is_cut_and_said_to_be() -> None:
    journal = filled(0)
    source = feed(journal)
    events(source)
    for _ in range(BATCH + 5):
        journal.add(record())
    found = events(source)
    assert found[0] == ("skipped", {})
    assert [data for _, data in found[1:]] == list(range(6, BATCH + 6))


def test_a_late_answer_is_told_to_whom_it_was_shown() -> None:
    journal = filled(0)
    everybody, waiting = feed(journal), feed(journal, outcome="unanswered")
    late = record(answered=False)
    journal.add(late)
    assert ("notification", 1) in events(everybody)
    assert ("notification", 1) in events(waiting)
    journal.answered(late)
    assert events(everybody) == [("notification", 1)]
    assert events(waiting) == [("answered", {"number": 1})]


def test_an_answer_before_the_first_look_is_told_once() -> None:
    journal = filled(0)
    source = feed(journal)
    events(source)
    quick = record(answered=False)
    journal.add(quick)
    journal.answered(quick)
    assert events(source) == [("notification", 1)]


def test_late_answers_that_nobody_reads_are_bounded() -> None:
    journal = filled(MAX_LATE + 10)
    source = feed(journal)
    events(source)
    for found in journal:
        journal.answered(found)
    assert len(events(source)) == MAX_LATE


def test_clearing_and_switches_are_told() -> None:
    journal = filled(3)
    source = feed(journal)
    events(source)
    journal.clear()
    journal.add(record())
    source.switched()
    assert events(source) == [("cleared", {}), ("notification", 4), ("switches", SWITCHES)]


async def test_waiting_ends_with_news_or_with_time() -> None:
    journal = filled(0)
    source = feed(journal)
    assert await source.wait(60)
    source.take()
    assert not await source.wait(0.01)
    journal.add(record())
    assert await source.wait(60)
    source.take()
    source.stop()
    assert await source.wait(60)
    assert source.closing


def test_who_has_closed_is_told_nothing() -> None:
    journal = filled(0)
    source = feed(journal)
    source.close()
    source.close()
    assert journal._watchers == []


def test_a_reader_that_comes_back_goes_on_where_it_was() -> None:
    assert resumed(Criteria(limit=5), "run-7", "run") == Criteria(limit=BATCH, after=7)
    for stranger in ("", "other-7", "run-x", "run-", "7", "run-" + "9" * 30):
        assert resumed(Criteria(limit=5), stranger, "run") == Criteria(limit=5)


def test_text_that_looks_like_events_stays_data() -> None:
    journal = filled(0)
    source = feed(journal)
    events(source)
    journal.add(record(payload=b'{"aps":{"alert":"a\\n\\nevent: cleared\\ndata: {}\\r\\n"}}', topic="x\n\ny"))
    assert events(source) == [("notification", 1)]
