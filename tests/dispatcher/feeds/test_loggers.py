from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.supervisor.conftest import eventually
from tests.support.loop import FakeLoop
from tubepost_api.config_logger import FileSink, LoggerConfig, LoggerFormats
from tubepost_api.logformat import FormatError
from tubepost_dispatcher.feeds.events import LogEvent
from tubepost_dispatcher.feeds.loggers import Loggers
from tubepost_dispatcher.metrics import Metrics

MakeEvent = Callable[..., LogEvent]
MakeLoggers = Callable[..., Loggers]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def make_loggers(loop: FakeLoop, metrics: Metrics) -> Iterator[MakeLoggers]:
    made: list[Loggers] = []

    def build(*configs: LoggerConfig, **options: Any) -> Loggers:
        options.setdefault("wall", loop.clock)
        made.append(Loggers(configs, "alerts", metrics, loop=loop, **options))
        return made[-1]

    yield build
    for loggers in made:
        loggers.close()


def to_file(path: Path, name: str = "main", **changes: Any) -> LoggerConfig:
    changes.setdefault("heartbeat", 0.0)
    return LoggerConfig(name=name, file=FileSink(path=str(path)), **changes)


def count(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"tubepost_{name}_total", labels) or 0.0


def test_events_reach_the_loggers_that_want_them(
    make_loggers: MakeLoggers, loop: FakeLoop, metrics: Metrics, make_event: MakeEvent, tmp_path: Path
) -> None:
    everything, failures = tmp_path / "all.log", tmp_path / "failed.log"
    loggers = make_loggers(
        to_file(everything), to_file(failures, "failures", log_delivery=False, log_tempfail=False)
    )
    for kind in ("delivery", "permfail", "tempfail", "delivery"):
        loggers.log(make_event(kind))
    loop.turn()
    assert [line.split("@")[1] for line in everything.read_text().splitlines()] == ["D", "P", "T", "D"]
    assert [line.split("@")[1] for line in failures.read_text().splitlines()] == ["P"]
    assert count(metrics, "log_lines", logger="main", kind="delivery") == 2
    assert count(metrics, "log_lines", logger="failures", kind="permfail") == 1
    assert count(metrics, "log_lines", logger="failures", kind="delivery") == 0
    assert count(metrics, "log_errors", logger="main") == 0


def test_wants_says_whether_anybody_listens(make_loggers: MakeLoggers, tmp_path: Path) -> None:
    assert not any(
        make_loggers(
            to_file(tmp_path / "none", log_delivery=False, log_permfail=False, log_tempfail=False)
        ).wants(kind)
        for kind in ("delivery", "permfail", "tempfail")
    )
    loggers = make_loggers(
        to_file(tmp_path / "log", log_delivery=False), to_file(tmp_path / "2", "2", log_permfail=False)
    )
    assert loggers.wants("delivery")
    loggers.update([to_file(tmp_path / "log", log_delivery=False)])
    assert not loggers.wants("delivery")
    assert loggers.wants("permfail")


def test_json_lines(make_loggers: MakeLoggers, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path) -> None:
    loggers = make_loggers(to_file(tmp_path / "log", format="Json", heartbeat=60.0))
    loggers.log(make_event("permfail", http_status=400, reason="BadDeviceToken"))
    loop.advance(60)
    event, heartbeat = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert event["reason"] == "BadDeviceToken"
    assert heartbeat == {"time": "1970-01-01T00:17:40.000Z", "event": "heartbeat", "pushDomain": "alerts"}


def test_formats_of_ones_own(
    make_loggers: MakeLoggers, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    formats = LoggerFormats(delivery="ok %ti", permfail="no %e", tempfail="later %e", heartbeat="%g %t")
    loggers = make_loggers(to_file(tmp_path / "log", formats=formats, heartbeat=5.0))
    loggers.log(make_event())
    loggers.log(make_event("permfail", error="x"))
    loggers.log(make_event("tempfail", error="y"))
    loop.advance(5)
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == ["ok 123e4567-e89b-12d3-a456-426614174000", "no x", "later y", "alerts 1005"]


def test_the_push_domain_is_filled_in(
    make_loggers: MakeLoggers, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    config = to_file(tmp_path / "log", formats=LoggerFormats(delivery="%g"))
    loggers = make_loggers(config)
    loggers.log(make_event(push_domain=""))
    loggers.update([config], "renamed")
    loggers.log(make_event(push_domain=""))
    loop.turn()
    assert (tmp_path / "log").read_text() == "alerts\nrenamed\n"


def test_heartbeats(make_loggers: MakeLoggers, loop: FakeLoop, metrics: Metrics, tmp_path: Path) -> None:
    loggers = make_loggers(to_file(tmp_path / "log", heartbeat=60.0), to_file(tmp_path / "none", "none"))
    loop.advance(59)
    assert (tmp_path / "log").read_text() == ""
    loop.advance(122)
    assert (tmp_path / "log").read_text() == "1060@M\n1120@M\n1180@M\n"
    assert (tmp_path / "none").read_text() == ""
    assert count(metrics, "log_lines", logger="main", kind="heartbeat") == 3
    loggers.close()
    loop.advance(300)
    assert (tmp_path / "log").read_text().count("M") == 3


def test_heartbeats_may_be_another_processs_business(
    make_loggers: MakeLoggers, loop: FakeLoop, tmp_path: Path
) -> None:
    make_loggers(to_file(tmp_path / "log", heartbeat=1.0), heartbeats=False)
    loop.advance(10)
    assert (tmp_path / "log").read_text() == ""


def test_a_changed_heartbeat_replaces_the_old_one(
    make_loggers: MakeLoggers, loop: FakeLoop, tmp_path: Path
) -> None:
    loggers = make_loggers(to_file(tmp_path / "log", heartbeat=60.0))
    loggers.update([to_file(tmp_path / "log", heartbeat=10.0)])
    loop.advance(65)
    assert (tmp_path / "log").read_text().count("M") == 6
    loggers.update([to_file(tmp_path / "log", heartbeat=0.0)])
    loop.advance(120)
    assert (tmp_path / "log").read_text().count("M") == 6


def test_an_update_keeps_what_did_not_change(
    make_loggers: MakeLoggers, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    loggers = make_loggers(
        to_file(tmp_path / "same", "same"), to_file(tmp_path / "reformatted", "reformatted")
    )
    (tmp_path / "same").rename(tmp_path / "same.moved")
    (tmp_path / "reformatted").rename(tmp_path / "reformatted.moved")
    loggers.log(make_event())
    loggers.update(
        [to_file(tmp_path / "same", "same"), to_file(tmp_path / "reformatted", "reformatted", format="Json")]
    )
    loggers.log(make_event())
    loop.turn()
    assert not (tmp_path / "same").exists(), "its file was not opened again"
    assert (tmp_path / "same.moved").read_text().count("\n") == 2
    first, second = (tmp_path / "reformatted.moved").read_text().splitlines()
    assert first.startswith("1767225600@D@")
    assert json.loads(second)["event"] == "delivery"


def test_an_update_takes_new_rotation_into_the_same_file(
    make_loggers: MakeLoggers, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    loggers = make_loggers(to_file(path))
    loggers.update([LoggerConfig(name="main", file=FileSink(path=str(path), max_size=10), heartbeat=0.0)])
    for _ in range(2):
        loggers.log(make_event())
        loop.turn()
    assert (tmp_path / "log.1").read_text().count("\n") == 1
    assert path.read_text().count("\n") == 1


def test_a_moved_or_removed_logger_writes_what_it_has_first(
    make_loggers: MakeLoggers, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    loggers = make_loggers(to_file(tmp_path / "old"), to_file(tmp_path / "gone", "gone"))
    loggers.log(make_event())
    loggers.update([to_file(tmp_path / "new")])
    assert (tmp_path / "old").read_text().count("\n") == 1
    assert (tmp_path / "gone").read_text().count("\n") == 1
    loggers.log(make_event())
    loop.turn()
    assert (tmp_path / "new").read_text().count("\n") == 1
    assert (tmp_path / "old").read_text().count("\n") == 1


def test_an_update_that_fails_changes_nothing(
    make_loggers: MakeLoggers, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    loggers = make_loggers(to_file(tmp_path / "log"))
    with pytest.raises(FormatError):
        loggers.update([to_file(tmp_path / "other", formats=LoggerFormats(delivery="%q"))], "renamed")
    loggers.log(make_event(push_domain=""))
    loop.turn()
    assert "@alerts@" in (tmp_path / "log").read_text()
    assert not (tmp_path / "other").exists()


def test_reopen_follows_an_external_rotation(
    make_loggers: MakeLoggers, loop: FakeLoop, make_event: MakeEvent, tmp_path: Path
) -> None:
    loggers = make_loggers(to_file(tmp_path / "log"))
    loggers.log(make_event())
    (tmp_path / "log").rename(tmp_path / "log.old")
    loggers.reopen()
    loggers.log(make_event())
    loop.turn()
    assert (tmp_path / "log.old").read_text().count("\n") == 1
    assert (tmp_path / "log").read_text().count("\n") == 1


def test_a_sink_that_fails_does_not_hurt_the_delivery_or_the_others(
    make_loggers: MakeLoggers, loop: FakeLoop, metrics: Metrics, make_event: MakeEvent, tmp_path: Path
) -> None:
    loggers = make_loggers(to_file(Path("/dev/full"), "full"), to_file(tmp_path / "log"))
    loggers.log(make_event())
    loggers.log(make_event())
    loop.turn()
    assert (tmp_path / "log").read_text().count("\n") == 2
    assert list(loggers.problems()) == ["full"]
    assert "No space left on device" in loggers.problems()["full"]
    assert count(metrics, "log_errors", logger="full") == 2
    assert count(metrics, "log_lines_lost", logger="full") == 0
    assert not loggers.flush()
    loggers.close()
    assert count(metrics, "log_lines_lost", logger="full") == 2
    assert count(metrics, "log_errors", logger="main") == 0


@pytest.mark.pure
def test_a_line_that_cannot_be_made_costs_only_itself(
    make_loggers: MakeLoggers,
    loop: FakeLoop,
    metrics: Metrics,
    make_event: MakeEvent,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    loggers = make_loggers(to_file(tmp_path / "log"))
    loggers.log(make_event(source_address=None))
    loggers.log(make_event())
    loop.turn()
    assert (tmp_path / "log").read_text().count("\n") == 1
    assert count(metrics, "log_lines_lost", logger="main") == 1
    assert "could not be made" in caplog.text


def test_events_after_the_end_are_counted_as_lost(
    make_loggers: MakeLoggers, metrics: Metrics, make_event: MakeEvent, tmp_path: Path
) -> None:
    loggers = make_loggers(to_file(tmp_path / "log"))
    loggers.close()
    loggers.close()
    loggers.log(make_event())
    assert count(metrics, "log_lines_lost", logger="main") == 1


def test_standard_output(make_loggers: MakeLoggers, loop: FakeLoop, make_event: MakeEvent) -> None:
    reader, writer = os.pipe()
    try:
        loggers = make_loggers(LoggerConfig(name="main", heartbeat=0.0), stdout=writer)
        loggers.log(make_event())
        loop.turn()
        assert os.read(reader, 4096).startswith(b"1767225600@D@")
        loggers.update([LoggerConfig(name="main", heartbeat=0.0, format="Json")])
        loggers.log(make_event())
        loggers.close()
        assert json.loads(os.read(reader, 4096))["event"] == "delivery"
        assert os.fstat(writer), "it stays open"
    finally:
        os.close(reader)
        os.close(writer)


def test_a_file_that_nobody_can_write_is_told_once(
    make_loggers: MakeLoggers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = to_file(tmp_path / "none" / "log")
    workers = [make_loggers(config, heartbeats=index == 0) for index in range(4)]
    assert all("mount a volume" in loggers.problems()["main"] for loggers in workers)
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


def test_what_one_process_alone_cannot_do_it_tells_itself(
    make_loggers: MakeLoggers,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("os.open", fail)
    make_loggers(to_file(tmp_path / "log"), heartbeats=False)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_on_the_running_loop(metrics: Metrics, make_event: MakeEvent, tmp_path: Path) -> None:
    loggers = Loggers([to_file(tmp_path / "log", heartbeat=3600.0)], "alerts", metrics)
    loggers.log(make_event())
    loggers.flush()
    log = tmp_path / "log"
    await eventually(lambda: log.exists() and log.read_text().count("\n") == 1, 60.0)
    loggers.close()


def test_without_a_logger_the_programs_own_log_tells_outcomes(
    make_loggers: MakeLoggers, make_event: MakeEvent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loggers = make_loggers()
    with caplog.at_level("WARNING", "tubepost"):
        assert not loggers.wants("delivery")
    token = "ab" * 32
    with caplog.at_level("INFO", "tubepost"):
        assert all(loggers.wants(kind) for kind in ("delivery", "permfail", "tempfail"))
        loggers.log(make_event(device_token=token, destination_address=token, message_id="m1"))
        loggers.log(make_event("permfail", message_id="m2", error="Unregistered"))
        loggers.log(make_event("tempfail", message_id="m3", error="ConnectFailed"))
        loggers.update([to_file(tmp_path / "log")])
        loggers.log(make_event(message_id="m4"))
    messages = [record.getMessage() for record in caplog.records]
    assert [text.split(",")[0] for text in messages] == [
        "message m1: delivered",
        "message m2: failed for good: Unregistered",
        "message m3: failed for now: ConnectFailed",
    ]
    assert token not in caplog.text
