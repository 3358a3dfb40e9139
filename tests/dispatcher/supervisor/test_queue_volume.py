from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.bundles import prepared
from tubepost_api.config import AcceptanceConfig, AcceptanceMode, QueueConfig
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.supervisor.queue_volume import QueueVolume, Space, space

QUEUED: dict[str, Any] = {"acceptance": AcceptanceConfig(mode=AcceptanceMode.QUEUED)}


def test_a_real_volume(tmp_path: Path) -> None:
    found = space(tmp_path)
    assert 0 < found.free <= found.total


async def test_what_is_seen_becomes_metrics(tmp_path: Path) -> None:
    metrics = Metrics()
    volume = QueueVolume(tmp_path, metrics, measure=lambda _: Space(100, 40))
    assert volume.space is None
    await volume.look()
    assert volume.space == Space(100, 40)
    assert metrics.registry.get_sample_value("tubepost_queue_volume_bytes") == 100
    assert metrics.registry.get_sample_value("tubepost_queue_volume_free_bytes") == 40


@pytest.mark.parametrize(
    ("values", "free", "ready"),
    [
        ({**QUEUED, "queue": QueueConfig(persistent=True, reserve=41)}, 40, False),
        ({**QUEUED, "queue": QueueConfig(persistent=True, reserve=40)}, 40, True),
        ({"queue": QueueConfig(persistent=True, reserve=41)}, 40, True),
        ({}, 0, True),
    ],
)
async def test_below_the_reserve_messages_are_for_others(
    tmp_path: Path, values: dict[str, Any], free: int, ready: bool
) -> None:
    volume = QueueVolume(tmp_path, Metrics(), measure=lambda _: Space(100, free))
    config = prepared(**values).config
    assert volume.obstacle(config) == ""
    await volume.look()
    assert (volume.obstacle(config) == "") is ready
    if not ready:
        assert "40 bytes free" in volume.obstacle(config)


async def test_it_looks_again_and_says_once_that_it_cannot(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen = asyncio.Event()
    loop = asyncio.get_running_loop()
    looks = 0

    def measure(_: Path) -> Space:
        nonlocal looks
        looks += 1
        if 1 < looks < 4:
            raise OSError(5, "Input/output error")
        if looks == 4:
            loop.call_soon_threadsafe(seen.set)
        return Space(100, looks)

    volume = QueueVolume(tmp_path, Metrics(), measure=measure, interval=0.0)
    watching = asyncio.create_task(volume.watch())
    async with asyncio.timeout(30):
        await seen.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert [record.getMessage().count("Input/output") for record in caplog.records] == [1]


async def test_a_volume_that_hangs_stops_nothing(tmp_path: Path) -> None:
    go = threading.Event()

    def measure(_: Path) -> Space:
        go.wait(30)
        return Space(1, 1)

    volume = QueueVolume(tmp_path, Metrics(), measure=measure)
    watching = asyncio.create_task(volume.watch())
    await asyncio.sleep(0)
    watching.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(watching, return_exceptions=True)
    assert volume.space is None
    go.set()
