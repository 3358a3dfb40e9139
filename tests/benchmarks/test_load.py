from __future__ import annotations

from typing import Any

import pytest

from benchmarks.load import Counts, Feed
from benchmarks.measure import BenchmarkError, Reading, Result, result, until
from benchmarks.whole_path import Variant

TOLD: dict[str, Any] = {"accepted": 7, "cpu": 0.5, "late": 1, "refused": {}, "samples": {}, "fault": ""}


@pytest.mark.parametrize(
    ("feed", "name"),
    [
        (Feed(20), "20 by command"),
        (Feed(200, pipelined=True), "200 pipelined"),
        (Feed(20, per_connection=1), "20 by command, a message each"),
        (Feed(20, per_connection=5), "20 by command, 5 messages each"),
        (Feed(20, batch=1), "20 REST"),
        (Feed(20, batch=100), "20 REST, 100 in each"),
    ],
)
def test_a_feed_names_itself(feed: Feed, name: str) -> None:
    assert feed.name == name


def test_a_variant_names_itself() -> None:
    variant = Variant("tubepost", Feed(20), workers=2)
    assert variant.name == "tubepost, 20 by command, 2 workers"
    assert variant.at(100.0).name == "tubepost, 20 by command, 2 workers at half of that rate"
    assert variant.at(100.0).feed.rate == 100.0
    both = Variant("queued on JetStream", Feed(20), dispatchers=2)
    assert both.name == "queued on JetStream, 20 by command, 2 dispatchers"
    much = Variant("queued", Feed(200, pipelined=True), entries=256, idle=2_000, waiting=100_000)
    assert much.name == "queued, 200 pipelined, 256 domains, 2,000 idle beside, 100,000 waiting"


def test_what_the_generator_tells() -> None:
    counts = Counts.read({**TOLD, "p50": 0.001, "p99": 0.01, "max": 0.1})
    assert (counts.accepted, counts.cpu, counts.late) == (7, 0.5, 1)
    assert counts.latencies == {"p50": 0.001, "p99": 0.01, "longest": 0.1}
    assert Counts.read(TOLD).latencies == {}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"refused": {"451": 2}, "samples": {"451": "451 later"}}, "refused.*451 later"),
        ({"fault": "the server closed a connection"}, "closed a connection"),
    ],
)
def test_what_makes_figures_worthless(more: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchmarkError, match=said):
        Counts.read({**TOLD, **more})


def test_a_run_is_what_lies_between_two_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.measure.memory", lambda _pid: 5)
    first, last = Reading(10.0, 1.0, 0.5, 0.25, 100.0), Reading(12.0, 2.0, 0.75, 0.5, 103.0)
    found = result(1_000, first, last, 1, p99=0.5)
    assert found == Result(1_000, 2.0, 1.0, 5, 0.25, 0.25, 1.5, p99=0.5)
    assert found.rate == pytest.approx(500)
    assert found.cost == pytest.approx(1_000)
    with pytest.raises(BenchmarkError, match="no message"):
        result(0, first, last, 1)


def test_a_window_ends_when_enough_has_come() -> None:
    asked: list[int] = []
    until(60.0, lambda: asked.append(0) or len(asked) == 3)  # type: ignore[func-returns-value]
    assert len(asked) == 3
