from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator

import pytest

from tests.dispatcher.supervisor.conftest import FakeWorkers, alive
from tubepost_dispatcher.supervisor.launch import launch_in_process, launch_process
from tubepost_dispatcher.worker.process import WorkerProcess

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The worker's ends of both lines; the supervisor's are kept open."""
    ours, theirs = socket.socketpair()
    our_descriptors, their_descriptors = socket.socketpair()
    yield theirs, their_descriptors
    for sock in (ours, theirs, our_descriptors, their_descriptors):
        sock.close()


async def test_a_process_of_its_own(ends: Ends, fake_workers: FakeWorkers) -> None:
    fake_workers("good")
    running = await launch_process(*ends)
    assert alive(running.pid)
    assert running.pid != os.getpid()
    running.kill()
    async with asyncio.timeout(20):
        assert await running.wait() == -signal.SIGKILL
    running.kill()
    assert not alive(running.pid)


async def test_one_that_cannot_be_started(ends: Ends, fake_workers: FakeWorkers) -> None:
    fake_workers("cannot be started")
    with pytest.raises(OSError):
        await launch_process(*ends)


async def test_in_this_process(ends: Ends) -> None:
    running = await launch_in_process(*ends)
    assert running.pid == os.getpid()
    await asyncio.sleep(0)
    running.kill()
    async with asyncio.timeout(20):
        assert await running.wait() == -signal.SIGKILL
    running.kill()


async def test_a_failure_in_this_process_is_logged(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: WorkerProcess, *descriptors: int) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(WorkerProcess, "main", fail)
    running = await launch_in_process(*ends)
    async with asyncio.timeout(20):
        assert await running.wait() == 1
    assert "a fault of ours" in caplog.text
