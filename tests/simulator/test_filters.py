from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.records import record
from tubepost_simulator.filters import FILTERS, BadRequestError, outcome, read, select
from tubepost_simulator.journal import Journal


@pytest.fixture
def journal() -> Journal:
    found = Journal(100, 10_000)
    for changes in (
        {"token": "aa01", "received_at": 1.0},
        {"token": "bb02", "topic": "com.example.other", "push_type": "background", "received_at": 2.0},
        {"token": "aa03", "status": 410, "reason": "Unregistered", "collapse_id": "Order-7", "received_at": 3.0},
        {"token": "cc04", "answered": False, "payload": '{"aps":{"alert":"Grüße"}}'.encode(), "received_at": 4.0},
        {"token": "cc05", "payload": rb'{"aps":{"alert":"Gr\u00fc\u00dfe"}}', "received_at": 5.0},
    ):  # fmt: skip
        found.add(record(**changes))
    return found


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"token": "AA01"}, [1]),
        ({"token_prefix": "AA"}, [1, 3]),
        ({"topic": "com.example.other"}, [2]),
        ({"push_type": "background"}, [2]),
        ({"outcome": "accepted"}, [1, 2, 5]),
        ({"outcome": "rejected"}, [3]),
        ({"outcome": "unanswered"}, [4]),
        ({"status": "410"}, [3]),
        ({"reason": "Unregistered"}, [3]),
        ({"q": "hello"}, [1, 2, 3]),
        ({"q": "order-7"}, [3]),
        ({"q": "unregist"}, [3]),
        ({"q": "GRÜSSE"}, [4, 5]),
        ({"q": "grüße"}, [4, 5]),
        ({"q": "nowhere"}, []),
        ({"after": "2", "before": "5"}, [3, 4]),
        ({"before": "4", "limit": "2"}, [2, 3]),
        ({"since": "3"}, [3, 4, 5]),
        ({"limit": "0"}, []),
        ({"token_prefix": "aa", "outcome": "accepted", "q": "HELLO"}, [1]),
    ],
)
def test_what_filters_choose(journal: Journal, query: dict[str, str], numbers: list[int]) -> None:
    assert [found.number for found in select(journal, read(query))] == numbers


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"outcome": "good"}, "outcome"),
        ({"q": "x" * 501}, "q"),
        ({"before": "-1"}, "before"),
        ({"limit": "100001"}, "limit"),
        ({"since": "inf"}, "since"),
    ],
)
def test_faults_name_the_filter(query: dict[str, str], field: str) -> None:
    with pytest.raises(BadRequestError) as fault:
        read(query)
    assert fault.value.field == field


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "accepted"),
        ({"status": 400}, "rejected"),
        ({"answered": False, "status": 400}, "unanswered"),
    ],
)
def test_outcomes(changes: dict[str, Any], expected: str) -> None:
    assert outcome(record(**changes)) == expected


def test_every_filter_says_what_it_does() -> None:
    assert all(spec.help.endswith(".") and spec.schema["type"] for spec in FILTERS.values())


def test_a_payload_that_is_no_text_can_be_searched() -> None:
    journal = Journal(10, 1_000)
    journal.add(record(payload=b"\xff\xfe\\ud800{"))
    assert select(journal, read({"q": "ud800"})) != []
    assert select(journal, read({"q": "hello"})) == []
