from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.partitions import existing
from tubepost_dispatcher.supervisor.queue_directory import ORPHANED_AFTER, QueueDirectory


class Bench:
    def __init__(self, directory: Path) -> None:
        self.metrics = Metrics()
        self.clock = FakeClock(1000.0)
        self.owners: dict[int, tuple[int, str]] = {}
        self.found: list[tuple[int, ...]] = []
        self.failure: OSError | None = None
        self.queue = QueueDirectory(
            directory,
            self.metrics,
            lambda: self.owners,
            self.found.append,
            look=self._look,
            clock=self.clock,
        )

    def _look(self, directory: Path) -> tuple[int, ...]:
        if self.failure is not None:
            raise self.failure
        return existing(directory)

    async def look(self, later: float = 0.0) -> None:
        self.clock.now += later
        await self.queue.look()

    @property
    def orphaned(self) -> float:
        labels = {"state": "orphaned"}
        return self.metrics.registry.get_sample_value("tubepost_queue_partitions", labels) or 0.0


async def test_who_has_which_partition_is_told_when_it_changes(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "00").mkdir()
    await bench.look()
    await bench.look()
    (tmp_path / "02").mkdir()
    bench.owners = {0: (0, ""), 2: (0, "is in use by process 7")}
    await bench.look()
    assert bench.found == [(0,), (0, 2)]
    assert bench.queue.status() == {
        "directory": str(tmp_path),
        "problem": None,
        "partitions": [
            {"partition": 0, "worker": 0, "problem": None},
            {"partition": 2, "worker": 0, "problem": "is in use by process 7"},
        ],
        "orphaned": [],
    }


async def test_a_partition_that_nobody_has_is_not_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path)
    for name in ("00", "01"):
        (tmp_path / name).mkdir()
    bench.owners = {0: (0, "")}
    await bench.look()
    await bench.look(ORPHANED_AFTER - 1)
    assert (bench.orphaned, bench.queue.status()["orphaned"], caplog.text) == (0, [], "")
    await bench.look(1)
    await bench.look(1)
    assert (bench.orphaned, bench.queue.status()["orphaned"]) == (1, [1])
    assert caplog.text.count("queue 01: no worker has this partition") == 1
    bench.owners[1] = (0, "")
    with caplog.at_level("INFO"):
        await bench.look(1)
    assert (bench.orphaned, bench.queue.status()["orphaned"]) == (0, [])
    assert "queue 01: has a worker again" in caplog.text


async def test_a_directory_that_cannot_be_read_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "00").mkdir()
    await bench.look()
    bench.failure = OSError(5, "Input/output error")
    await bench.look()
    await bench.look()
    assert caplog.text.count("cannot be read: Input/output error") == 1
    assert bench.queue.status()["problem"] == "cannot be read: Input/output error"
    assert [one["partition"] for one in bench.queue.status()["partitions"]] == [0]
    bench.failure = None
    await bench.look()
    assert bench.queue.status()["problem"] is None


async def test_a_directory_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    go = threading.Event()

    def hang(directory: Path) -> tuple[int, ...]:
        go.wait(30.0)
        return ()

    queue = QueueDirectory(tmp_path, Metrics(), dict, lambda _: None, look=hang, clock=lambda: 0.0)
    watching = asyncio.create_task(queue.watch())
    await asyncio.sleep(0)
    assert queue.status()["partitions"] == []
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    go.set()
