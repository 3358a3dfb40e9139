from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.dispatcher.supervisor.conftest import FakeWorkers, alive, eventually, open_descriptors
from tubepost_dispatcher.supervisor import forking as module
from tubepost_dispatcher.supervisor.forking import ForkedWorkers

Ends = tuple[socket.socket, socket.socket]
PATIENT = 60.0


def _child(script: str = "import time; time.sleep(600)") -> int:
    """A child that only the code under test waits for."""
    return os.posix_spawn(sys.executable, [sys.executable, "-SE", "-c", script], dict(os.environ))


class FakeZygote:
    """Stands in a zygote's place: a process, and a thread that answers as is wanted."""

    def __init__(self) -> None:
        self.pid = _child()
        self.line, self._line = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.answer: Callable[[list[int]], int | None] = lambda _: _child()
        """Makes the answer to a request with these descriptors; None: there is none."""
        self.asked = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                request, fds, _, _ = socket.recv_fds(self._line, 1, 3)
            except OSError:
                return
            if not request:
                return
            self.asked += 1
            answer = self.answer(fds)
            for fd in fds:
                os.close(fd)
            if answer is not None:
                self._line.send(str(answer).encode())

    def end(self) -> None:
        if self._line.fileno() < 0:
            return
        self._line.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENT)
        self._line.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The worker's ends of both lines; the supervisor's are kept open."""
    pairs = [socket.socketpair(), socket.socketpair()]
    yield pairs[0][1], pairs[1][1]
    for pair in pairs:
        for sock in pair:
            sock.close()


@pytest.fixture
async def zygote() -> AsyncIterator[FakeZygote]:
    made = FakeZygote()
    yield made
    made.end()


@pytest.fixture
async def forked(zygote: FakeZygote) -> AsyncIterator[ForkedWorkers]:
    made = ForkedWorkers(zygote.pid, zygote.line)
    yield made
    await made.close()
    assert not alive(zygote.pid)


async def test_a_worker_and_its_end(ends: Ends, forked: ForkedWorkers, zygote: FakeZygote) -> None:
    received: list[int] = []

    def start(fds: list[int]) -> int:
        received.extend(os.fstat(fd).st_ino for fd in fds)
        return _child()

    zygote.answer = start
    with open(os.devnull, "rb") as limits:  # noqa: ASYNC230, PTH123 - opened at once
        running = await forked.launch(*ends, limits.fileno())
        assert received == [os.fstat(file.fileno()).st_ino for file in (*ends, limits)]
    assert alive(running.pid)
    running.kill()
    async with asyncio.timeout(PATIENT):
        assert await running.wait() == -signal.SIGKILL
    assert not alive(running.pid)
    running.kill()
    assert await running.wait() == -signal.SIGKILL


async def test_how_a_worker_ended(ends: Ends, forked: ForkedWorkers, zygote: FakeZygote) -> None:
    zygote.answer = lambda _: _child("raise SystemExit(7)")
    running = await forked.launch(*ends)
    async with asyncio.timeout(PATIENT):
        assert await running.wait() == 7


async def test_several_at_a_time(ends: Ends, forked: ForkedWorkers) -> None:
    before = open_descriptors()
    running = await asyncio.gather(*(forked.launch(*ends) for _ in range(3)))
    assert len({one.pid for one in running}) == 3
    assert open_descriptors() == before
    for one in running:
        one.kill()
    async with asyncio.timeout(PATIENT):
        assert [await one.wait() for one in running] == [-signal.SIGKILL] * 3


async def test_one_that_cannot_be_forked(ends: Ends, forked: ForkedWorkers, zygote: FakeZygote) -> None:
    zygote.answer = lambda _: -errno.EAGAIN
    with pytest.raises(BlockingIOError):
        await forked.launch(*ends)
    zygote.answer = lambda _: _child("")
    running = await forked.launch(*ends)
    async with asyncio.timeout(PATIENT):
        assert await running.wait() == 0


@pytest.mark.parametrize("how", ["gone", "silent"])
async def test_without_a_zygote_workers_are_programs(
    how: str,
    ends: Ends,
    forked: ForkedWorkers,
    zygote: FakeZygote,
    fake_workers: FakeWorkers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake_workers("good")
    if how == "gone":
        zygote.end()
    else:
        monkeypatch.setattr(module, "PATIENCE", 0.05)
        zygote.answer = lambda _: None
    running = await asyncio.gather(*(forked.launch(*ends) for _ in range(2)))
    assert zygote.asked <= 1
    assert caplog.text.count("workers are started as programs from now on") == 1
    assert ("has ended" if how == "gone" else "does not answer") in caplog.text
    for one in running:
        one.kill()
        async with asyncio.timeout(PATIENT):
            assert await one.wait() == -signal.SIGKILL
    await eventually(lambda: not alive(zygote.pid), PATIENT)


async def test_a_start_that_is_given_up_leaves_no_process(
    ends: Ends, forked: ForkedWorkers, zygote: FakeZygote
) -> None:
    asked, go_on = threading.Event(), threading.Event()
    started: list[int] = []

    def start(_: list[int]) -> int:
        asked.set()
        go_on.wait(PATIENT)
        started.append(_child())
        return started[0]

    zygote.answer = start
    launching = asyncio.get_running_loop().create_task(forked.launch(*ends))
    assert await asyncio.to_thread(asked.wait, PATIENT)
    launching.cancel()
    await asyncio.wait({launching}, timeout=PATIENT)
    assert launching.cancelled()
    go_on.set()
    await eventually(lambda: started and not alive(started[0]), PATIENT)


async def test_orphans_do_not_stay_as_zombies_and_other_peoples_children_are_left(
    monkeypatch: pytest.MonkeyPatch, zygote: FakeZygote
) -> None:
    monkeypatch.setattr(module, "STRAY_AFTER", 0.2)
    forked = ForkedWorkers(zygote.pid, zygote.line)
    try:
        orphans = [_child(""), _child("")]
        await eventually(lambda: not any(alive(orphan) for orphan in orphans), PATIENT)
        with subprocess.Popen([sys.executable, "-SE", "-c", "raise SystemExit(5)"]) as somebodys:  # noqa: ASYNC220
            assert await asyncio.to_thread(somebodys.wait, PATIENT) == 5
    finally:
        await forked.close()
