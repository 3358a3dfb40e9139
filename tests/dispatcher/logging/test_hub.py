from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.loop import FakeLoop
from tubepost_api.config import FileSink, LoggerConfig, LoggerFormats
from tubepost_api.logformat import FormatError
from tubepost_dispatcher.logging.events import LogEvent
from tubepost_dispatcher.logging.hub import LogHub
from tubepost_dispatcher.metrics import Metrics

MakeEvent = Callable[..., LogEvent]
MakeHub = Callable[..., LogHub]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def make_hub(loop: FakeLoop, metrics: Metrics) -> Iterator[MakeHub]:
    hubs: list[LogHub] = []

    def build(*configs: LoggerConfig, **options: Any) -> LogHub:
        options.setdefault("wall", loop.clock)
        hubs.append(LogHub(configs, "alerts", metrics, loop=loop, **options))
        return hubs[-1]

    yield build
    for hub in hubs:
        hub.close()


def to_file(path: Path, name: str = "main", **changes: Any) -> LoggerConfig:
    changes.setdefault("heartbeat", 0.0)
    return LoggerConfig(name=name, file=FileSink(path=str(path)), **changes)


def count(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"tubepost_{name}_total", labels) or 0.0


def test_events_reach_the_loggers_that_want_them(
    make_hub: MakeHub, loop: FakeLoop, metrics: Metrics, make_event: MakeEvent, tmp_path: Path
) -> None:
    everything, failures = tmp_path / "all.log", tmp_path / "failed.log"
    hub = make_hub(to_file(everything), to_file(failures, "failures", log_delivery=False, log_tempfail=False))
    for kind in ("delivery", "permfail", "tempfail", "delivery"):
        hub.log(make_event(kind))
    loop.turn()
    assert [line.split("@")[1] for line in everything.read_text().splitlines()] == ["D", "P", "T", "D"]
    assert [line.split("@")[1] for line in failures.read_text().splitlines()] == ["P"]
    assert count(metrics, "log_lines", logger="main", kind="delivery") == 2
    assert count(metrics, "log_lines", logger="failures", kind="permfail") == 1
    assert count(metrics, "log_lines", logger="failures", kind="delivery") == 0
    assert count(metrics, "log_errors", logger="main") == 0


def test_wants_says_whether_anybody_listens(make_hub: MakeHub, tmp_path: Path) -> None:
    assert not any(make_hub().wants(kind) for kind in ("delivery", "permfail", "tempfail"))
    hub = make_hub(
        to_file(tmp_path / "log", log_delivery=False), to_file(tmp_path / "2", "2", log_permfail=False)
    )
    assert hub.wants("delivery")
    hub.update([to_file(tmp_path / "log", log_delivery=False)])
    assert not hub.wants("delivery")
    assert hub.wants("permfail")


def test_json_lines(make_hub: MakeHub, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path) -> None:
    hub = make_hub(to_file(tmp_path / "log", format="Json", heartbeat=60.0))
    hub.log(make_event("permfail", http_status=400, reason="BadDeviceToken"))
    loop.advance(60)
    event, heartbeat = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert event["reason"] == "BadDeviceToken"
    assert heartbeat == {"time": "1970-01-01T00:17:40.000Z", "event": "heartbeat", "pushDomain": "alerts"}


def test_formats_of_ones_own(
    make_hub: MakeHub, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    formats = LoggerFormats(delivery="ok %ti", permfail="no %e", tempfail="later %e", heartbeat="%g %t")
    hub = make_hub(to_file(tmp_path / "log", formats=formats, heartbeat=5.0))
    hub.log(make_event())
    hub.log(make_event("permfail", error="x"))
    hub.log(make_event("tempfail", error="y"))
    loop.advance(5)
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == ["ok 123e4567-e89b-12d3-a456-426614174000", "no x", "later y", "alerts 1005"]


def test_the_push_domain_is_filled_in(
    make_hub: MakeHub, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    config = to_file(tmp_path / "log", formats=LoggerFormats(delivery="%g"))
    hub = make_hub(config)
    hub.log(make_event(push_domain=""))
    hub.update([config], "renamed")
    hub.log(make_event(push_domain=""))
    loop.turn()
    assert (tmp_path / "log").read_text() == "alerts\nrenamed\n"


def test_heartbeats(make_hub: MakeHub, loop: FakeLoop, metrics: Metrics, tmp_path: Path) -> None:
    hub = make_hub(to_file(tmp_path / "log", heartbeat=60.0), to_file(tmp_path / "none", "none"))
    loop.advance(59)
    assert (tmp_path / "log").read_text() == ""
    loop.advance(122)
    assert (tmp_path / "log").read_text() == "1060@M\n1120@M\n1180@M\n"
    assert (tmp_path / "none").read_text() == ""
    assert count(metrics, "log_lines", logger="main", kind="heartbeat") == 3
    hub.close()
    loop.advance(300)
    assert (tmp_path / "log").read_text().count("M") == 3


def test_heartbeats_may_be_another_processs_business(
    make_hub: MakeHub, loop: FakeLoop, tmp_path: Path
) -> None:
    make_hub(to_file(tmp_path / "log", heartbeat=1.0), heartbeats=False)
    loop.advance(10)
    assert (tmp_path / "log").read_text() == ""


def test_a_changed_heartbeat_replaces_the_old_one(make_hub: MakeHub, loop: FakeLoop, tmp_path: Path) -> None:
    hub = make_hub(to_file(tmp_path / "log", heartbeat=60.0))
    hub.update([to_file(tmp_path / "log", heartbeat=10.0)])
    loop.advance(65)
    assert (tmp_path / "log").read_text().count("M") == 6
    hub.update([to_file(tmp_path / "log", heartbeat=0.0)])
    loop.advance(120)
    assert (tmp_path / "log").read_text().count("M") == 6


def test_an_update_keeps_what_did_not_change(
    make_hub: MakeHub, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    hub = make_hub(to_file(tmp_path / "same", "same"), to_file(tmp_path / "reformatted", "reformatted"))
    (tmp_path / "same").rename(tmp_path / "same.moved")
    (tmp_path / "reformatted").rename(tmp_path / "reformatted.moved")
    hub.log(make_event())
    hub.update(
        [to_file(tmp_path / "same", "same"), to_file(tmp_path / "reformatted", "reformatted", format="Json")]
    )
    hub.log(make_event())
    loop.turn()
    assert not (tmp_path / "same").exists(), "its file was not opened again"
    assert (tmp_path / "same.moved").read_text().count("\n") == 2
    first, second = (tmp_path / "reformatted.moved").read_text().splitlines()
    assert first.startswith("1767225600@D@")
    assert json.loads(second)["event"] == "delivery"


def test_an_update_takes_new_rotation_into_the_same_file(
    make_hub: MakeHub, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    hub = make_hub(to_file(path))
    hub.update([LoggerConfig(name="main", file=FileSink(path=str(path), max_size=10), heartbeat=0.0)])
    for _ in range(2):
        hub.log(make_event())
        loop.turn()
    assert (tmp_path / "log.1").read_text().count("\n") == 1
    assert path.read_text().count("\n") == 1


def test_a_moved_or_removed_logger_writes_what_it_has_first(
    make_hub: MakeHub, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    hub = make_hub(to_file(tmp_path / "old"), to_file(tmp_path / "gone", "gone"))
    hub.log(make_event())
    hub.update([to_file(tmp_path / "new")])
    assert (tmp_path / "old").read_text().count("\n") == 1
    assert (tmp_path / "gone").read_text().count("\n") == 1
    hub.log(make_event())
    loop.turn()
    assert (tmp_path / "new").read_text().count("\n") == 1
    assert (tmp_path / "old").read_text().count("\n") == 1


def test_an_update_that_fails_changes_nothing(
    make_hub: MakeHub, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    hub = make_hub(to_file(tmp_path / "log"))
    with pytest.raises(FormatError):
        hub.update([to_file(tmp_path / "other", formats=LoggerFormats(delivery="%q"))], "renamed")
    hub.log(make_event(push_domain=""))
    loop.turn()
    assert "@alerts@" in (tmp_path / "log").read_text()
    assert not (tmp_path / "other").exists()


def test_reopen_follows_an_external_rotation(
    make_hub: MakeHub, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    hub = make_hub(to_file(tmp_path / "log"))
    hub.log(make_event())
    (tmp_path / "log").rename(tmp_path / "log.old")
    hub.reopen()
    hub.log(make_event())
    loop.turn()
    assert (tmp_path / "log.old").read_text().count("\n") == 1
    assert (tmp_path / "log").read_text().count("\n") == 1


def test_a_sink_that_fails_does_not_hurt_the_delivery_or_the_others(
    make_hub: MakeHub, loop: FakeLoop, metrics: Metrics, make_event: MakeEvent, tmp_path: Path
) -> None:
    hub = make_hub(to_file(Path("/dev/full"), "full"), to_file(tmp_path / "log"))
    hub.log(make_event())
    hub.log(make_event())
    loop.turn()
    assert (tmp_path / "log").read_text().count("\n") == 2
    assert list(hub.problems()) == ["full"]
    assert "No space left on device" in hub.problems()["full"]
    assert count(metrics, "log_errors", logger="full") == 2
    assert count(metrics, "log_lines_lost", logger="full") == 0
    assert not hub.flush()
    hub.close()
    assert count(metrics, "log_lines_lost", logger="full") == 2
    assert count(metrics, "log_errors", logger="main") == 0


def test_a_line_that_cannot_be_made_costs_only_itself(
    make_hub: MakeHub,
    loop: FakeLoop,
    metrics: Metrics,
    make_event: MakeEvent,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = make_hub(to_file(tmp_path / "log"))
    hub.log(make_event(source_address=None))
    hub.log(make_event())
    loop.turn()
    assert (tmp_path / "log").read_text().count("\n") == 1
    assert count(metrics, "log_lines_lost", logger="main") == 1
    assert "could not be made" in caplog.text


def test_events_after_the_end_are_counted_as_lost(
    make_hub: MakeHub, metrics: Metrics, make_event: MakeEvent, tmp_path: Path
) -> None:
    hub = make_hub(to_file(tmp_path / "log"))
    hub.close()
    hub.close()
    hub.log(make_event())
    assert count(metrics, "log_lines_lost", logger="main") == 1


def test_standard_output(make_hub: MakeHub, loop: FakeLoop, make_event: MakeEvent) -> None:
    reader, writer = os.pipe()
    try:
        hub = make_hub(LoggerConfig(name="main", heartbeat=0.0), stdout=writer)
        hub.log(make_event())
        loop.turn()
        assert os.read(reader, 4096).startswith(b"1767225600@D@")
        hub.update([LoggerConfig(name="main", heartbeat=0.0, format="Json")])
        hub.log(make_event())
        hub.close()
        assert json.loads(os.read(reader, 4096))["event"] == "delivery"
        assert os.fstat(writer), "it stays open"
    finally:
        os.close(reader)
        os.close(writer)


async def test_on_the_running_loop(metrics: Metrics, make_event: MakeEvent, tmp_path: Path) -> None:
    hub = LogHub([to_file(tmp_path / "log", heartbeat=3600.0)], "alerts", metrics)
    hub.log(make_event())
    assert hub.flush()
    assert (tmp_path / "log").read_text().count("\n") == 1
    hub.close()
