"""Streams: what is asked for, what is refused, what is brought up to date, and what is warned of."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tubepost_dispatcher.store.jetstream.settings import Identity, JetStreamSettings
from tubepost_dispatcher.store.jetstream.stream import (
    differences,
    grown,
    room,
    version_problem,
    wanted,
    warnings,
    weaknesses,
)

SETTINGS = JetStreamSettings(("nats://n:4222",), "QUEUE", "tubepost.a.b")


def test_a_stream_never_drops_what_is_in_it() -> None:
    made = wanted(SETTINGS._replace(max_bytes=10**9))
    assert made["storage"] == "file"
    assert (made["max_bytes"], made["max_msgs"], made["max_age"]) == (-1, -1, 0)
    assert made["num_replicas"] == 3
    assert made["subjects"] == ["tubepost.a.b.>"]


def test_placement_and_age_are_as_asked_for() -> None:
    made = wanted(SETTINGS._replace(cluster="eu", tags=("ssd", "zone"), max_age=60.0))
    assert made["placement"] == {"cluster": "eu", "tags": ["ssd", "zone"]}
    assert made["max_age"] == 60_000_000_000
    assert made["duplicate_window"] == 60_000_000_000  # no longer than what it is about


def test_what_was_made_as_asked_for_is_no_other() -> None:
    made = wanted(SETTINGS)
    assert differences(made, made) == []
    assert differences({**made, "compression": "s2", "max_consumers": -1}, made) == []
    assert grown(made, made) is None


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("metadata", None, "it was not made by Tubepost"),
        ("metadata", {"other": "1"}, "it was not made by Tubepost"),
        ("subjects", ["foo.>"], "its subjects is ['foo.>'], and has to be ['tubepost.a.b.>']"),
        ("retention", "workqueue", "its retention is workqueue, and has to be limits"),
        ("allow_msg_schedules", None, "its allow_msg_schedules is not set, and has to be True"),
        ("max_bytes", 1000, "its max_bytes is 1000, and has to be -1"),
        ("max_msgs", 5, "its max_msgs is 5, and has to be -1"),
        ("sealed", True, "its sealed is True, and has to be not set"),
        ("sources", [{"name": "X"}], "its sources is [{'name': 'X'}], and has to be not set"),
    ],
)
def test_a_stream_made_otherwise_is_told_in_words(name: str, value: Any, text: str) -> None:
    wish = wanted(SETTINGS)
    assert differences({**wish, name: value}, wish) == [text]


def test_our_own_is_brought_up_to_date_and_keeps_the_rest() -> None:
    found = {**wanted(SETTINGS), "compression": "s2"}
    new = grown(found, wanted(SETTINGS._replace(replicas=1, max_age=5.0)))
    assert new is not None
    assert (new["num_replicas"], new["max_age"], new["compression"]) == (1, 5_000_000_000, "s2")
    there = wanted(SETTINGS._replace(cluster="eu"))
    gone = grown(there, wanted(SETTINGS))
    assert gone is not None
    assert "placement" not in gone


def test_what_makes_a_250_worth_less_is_a_warning() -> None:
    made = wanted(SETTINGS)
    assert warnings(made) == ()
    (memory, one) = warnings({**made, "storage": "memory", "num_replicas": 1})
    assert "storage is memory" in memory
    assert weaknesses(made) == warnings(made) == ()
    assert weaknesses({**made, "storage": "memory", "num_replicas": 1}) == ("memory_storage", "one_replica")
    assert "one replica" in one


@pytest.mark.parametrize("version", ["2.12.0", "2.12.15", "v2.13.1-beta", "3.0.0"])
def test_servers_with_schedules(version: str) -> None:
    assert version_problem(version) == ""


@pytest.mark.parametrize("version", ["2.11.9", "2.9.0", "1.4.1", "", "x"])
def test_servers_that_are_too_old(version: str) -> None:
    assert "2.12 or later is needed" in version_problem(version)


def test_a_tenth_is_kept_for_what_is_in_it() -> None:
    assert room(1000) == 900
    assert room(0) == math.inf


def test_an_identity_shows_nothing_of_itself() -> None:
    assert "hunter2" not in repr(SETTINGS._replace(identity=Identity(user="u", password="hunter2")))
