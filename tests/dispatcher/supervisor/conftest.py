from __future__ import annotations

import asyncio
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dispatcher.bundles import bundle
from tubepost_dispatcher.channel.messages import Configuration
from tubepost_dispatcher.supervisor import launch

CONFIGURATION = Configuration(bundle().config, bundle().secrets)

FakeWorkers = Callable[[str], None]


def alive(pid: int) -> bool:
    """Whether there is such a process, as a zombie too."""
    return Path(f"/proc/{pid}").exists()


def open_descriptors() -> int:
    """Descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def eventually(condition: Callable[[], object], timeout: float = 20.0) -> None:
    """Poll a condition, bounded; the event loop goes on in between."""
    async with asyncio.timeout(timeout):
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return
            await asyncio.sleep(0.05)


@pytest.fixture
def fake_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeWorkers:
    """Have the workers that are started from now on behave in a certain way; see `fake_worker`."""
    script = tmp_path / "worker"
    module = Path(__file__).with_name("fake_worker.py")
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -SE "{module}" "$@"\n')
    script.chmod(stat.S_IRWXU)

    def behave(mode: str) -> None:
        monkeypatch.setenv("TUBEPOST_FAKE_WORKER", mode)
        executable = script if mode != "cannot be started" else tmp_path / "none"
        monkeypatch.setattr(launch, "PYTHON", str(executable))

    return behave
