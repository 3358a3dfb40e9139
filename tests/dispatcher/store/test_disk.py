"""The store on disk as the event loop sees it: it never waits, whatever the disk does."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import apsw
import pytest

from tests.dispatcher.store.support import (
    NOW,
    Disk,
    Sync,
    all_of,
    an_entry,
    closed,
    eventually,
    failing,
    slow,
    told,
)
from tests.peers.tools import require
from tubepost_dispatcher.store import disk as module
from tubepost_dispatcher.store.disk import DiskStore
from tubepost_dispatcher.store.port import Failure, FailureKind

WRITER = Path(__file__).with_name("writer.py")


async def test_the_event_loop_does_not_wait_for_a_disk_that_does_not_answer(tmp_path: Path) -> None:
    disk, gate = Disk(), threading.Event()
    store = DiskStore(tmp_path / "p", reserve=0, vfs=disk.name)
    assert await told(store.start) is None
    commits = store.figures.commits

    def wait(_: str) -> None:
        assert gate.wait(50)

    disk.on_sync = wait
    answers: list[object] = []
    for number in range(200):
        store.put([an_entry(number)], answers.append)
        store.ended(number)
        await asyncio.sleep(0)
    assert answers == []
    gate.set()
    assert isinstance(await told(store.put, [an_entry(999)]), list)
    assert len(answers) == 200
    assert all(isinstance(answer, list) for answer in answers)
    assert store.figures.commits - commits < 10, "what waits for a slow disk shares its commits"
    await closed(store)


async def test_a_disk_of_50_ms_a_sync_answers_everything(tmp_path: Path) -> None:
    disk = Disk()
    store = DiskStore(tmp_path / "p", reserve=0, vfs=disk.name)
    assert await told(store.start) is None
    disk.on_sync = slow(0.05)
    turns, answers = 0, list[object]()
    for number in range(100):
        store.put([an_entry(number)], answers.append)
    while len(answers) < 100:
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100, "the loop went on meanwhile"
    await closed(store)


async def test_what_was_acknowledged_is_there_after_reopening(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "p", reserve=0)
    assert await told(store.start) is None
    keys = await told(store.put, [an_entry(number) for number in range(10)])
    store.ended(keys[0])
    store.again(keys[1], an_entry(1, attempt=3, due=NOW + 9))
    await closed(store)
    second = DiskStore(tmp_path / "p", reserve=0)
    assert await told(second.start) is None
    found = await all_of(second)
    assert [one.key for one in found] == keys[1:]
    assert found[0].entry.attempt == 3
    assert len(await told(second.due, NOW + 9, 99)) == 9
    await closed(second)


async def test_what_ended_gets_a_commit_of_its_own_when_nothing_else_comes(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "p", reserve=0)
    await told(store.start)
    (key,) = await told(store.put, [an_entry(1)])
    store.ended(key)
    before = store.figures.commits
    await eventually(lambda: store.figures.commits > before)
    await closed(store)


async def test_a_failure_is_told_and_passes_by_itself(tmp_path: Path) -> None:
    disk = Disk()
    store = DiskStore(tmp_path / "p", reserve=0, vfs=disk.name)
    await told(store.start)
    disk.on_sync = failing(apsw.IOError, apsw.SQLITE_IOERR_FSYNC, times=1)
    answer = await told(store.put, [an_entry(1)])
    assert isinstance(answer, Failure)
    assert answer.kind is FailureKind.FAILED
    await eventually(lambda: store.figures.failure is None)
    assert isinstance(await told(store.put, [an_entry(2)]), list)
    await closed(store)


async def test_a_fault_of_ours_is_answered_and_the_thread_lives_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    store = DiskStore(tmp_path / "p", reserve=0, clock=lambda: now)
    await told(store.start)
    with monkeypatch.context() as patched:
        patched.setattr("tubepost_dispatcher.store.database.Database.execute", None)
        assert (await told(store.put, [an_entry(1)])).kind is FailureKind.FAILED
        patched.setattr("tubepost_dispatcher.store.partition.Partition.page", None)
        now += 2.0
        assert (await told(store.next_due)) is None
    now += 2.0
    assert isinstance(await told(store.put, [an_entry(2)]), list)
    await closed(store)


async def test_a_callback_that_fails_does_not_keep_the_others_from_hearing(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "p", reserve=0)
    await told(store.start)

    def bad(_: object) -> None:
        raise RuntimeError("a fault of the caller's")

    store.put([an_entry(1)], bad)
    assert isinstance(await told(store.put, [an_entry(2)]), list)
    await closed(store)


@pytest.mark.pure
async def test_what_waits_for_the_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2_000)
    store = DiskStore(tmp_path / "p", reserve=0)
    await told(store.start)
    answers: list[object] = []
    for number in range(10):
        store.put([an_entry(number)], answers.append)
    await told(store.next_due)
    refused = [answer for answer in answers if isinstance(answer, Failure)]
    assert 0 < len(refused) < 10
    assert {one.kind for one in refused} == {FailureKind.BUSY}
    assert isinstance(await told(store.put, [an_entry(99)]), list), "the bound is on what waits"
    await closed(store)


async def test_a_second_owner_hears_of_the_first(tmp_path: Path) -> None:
    first, second = DiskStore(tmp_path / "p"), DiskStore(tmp_path / "p")
    assert await told(first.start) is None
    answer = await told(second.start)
    assert answer.kind is FailureKind.LOCKED
    await closed(first)
    await eventually(lambda: second.figures.failure is None)
    await closed(second)


@pytest.mark.parametrize("moment", [0.05, 0.1, 0.2, 0.35, 0.5])
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, moment: float) -> None:
    writer = subprocess.Popen(
        [sys.executable, str(WRITER), str(tmp_path / "p")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert writer.stdout is not None
    said = [writer.stdout.readline()]
    timer = time.monotonic() + moment
    while time.monotonic() < timer:
        said.append(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    rest = writer.stdout.read()
    writer.wait()
    writer.stdout.close()
    lines = [*said, *rest.splitlines(keepends=True)]
    acknowledged, ended = set[int](), set[int]()
    for line in lines:
        match line.split():
            case [b"put", key] if line.endswith(b"\n"):
                acknowledged.add(int(key))
            case [b"end", key]:
                ended.add(int(key))
    assert acknowledged
    store = Sync(tmp_path / "p")
    present = set(store.all())
    assert acknowledged - ended <= present
    store.partition.close()


def test_a_sync_returns_before_each_acknowledgement(tmp_path: Path) -> None:
    """By the system calls: between a write to the log and the acknowledgement that follows there is a sync."""
    trace = tmp_path / "trace"
    command = [
        str(require("strace")),
        "-f",
        "-y",
        "-e",
        "trace=write,pwrite64,fsync,fdatasync",
        "-o",
        str(trace),
    ]
    subprocess.run(
        [*command, sys.executable, str(WRITER), str(tmp_path / "p"), "20"],
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=50,
    )
    acknowledged, unsynced, written = 0, False, False
    for line in trace.read_text(errors="replace").splitlines():
        if "pwrite64(" in line and "queue.db-wal" in line:
            unsynced = written = True
        elif re.search(r"sync\(\d+<[^>]*queue\.db-wal>\)\s*= 0|<\.\.\. f(data)?sync resumed>.*= 0", line):
            unsynced = False
        elif "write(1" in line and '"put ' in line:
            assert written
            assert not unsynced, line
            acknowledged += 1
    assert acknowledged >= 20


@pytest.mark.pure
async def test_those_who_hear_of_one_commit_leave_others_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TELLING", 0.0)
    store = DiskStore(tmp_path / "p", reserve=0)
    assert await told(store.start) is None
    turns = 0
    told_in: list[int] = []
    loop = asyncio.get_running_loop()

    def turn() -> None:
        nonlocal turns
        turns += 1
        if len(told_in) < 95:
            loop.call_soon(turn)

    for number in range(95):
        store.put([an_entry(number)], lambda _: told_in.append(turns))
    turn()
    # What is told later is told after them.
    last: list[object] = []
    store.next_due(last.append)
    async with asyncio.timeout(20):
        while not last:
            await asyncio.sleep(0.001)
            assert not last or len(told_in) == 95
    assert max(told_in.count(one) for one in set(told_in)) == 1
    await closed(store)


async def test_what_must_be_durable_is_before_entries_are_removed_or_rewritten(tmp_path: Path) -> None:
    disk, happened = Disk(), []
    store = DiskStore(
        tmp_path / "p", reserve=0, vfs=disk.name, before_removal=lambda: happened.append("durable")
    )
    assert await told(store.start) is None
    one, two = await told(store.put, [an_entry(1), an_entry(2)])
    assert happened == [], "nothing leaves"
    disk.on_sync = happened.append
    store.ended(one)
    await told(store.next_due)
    assert happened[0] == "durable"
    del happened[:]
    store.again(two, an_entry(2))
    await told(store.next_due)
    assert happened[0] == "durable"
    await closed(store)


async def test_a_fault_of_what_must_be_durable_keeps_nothing_from_ending(tmp_path: Path) -> None:
    def fails() -> None:
        raise RuntimeError("a fault")

    store = DiskStore(tmp_path / "p", reserve=0, before_removal=fails)
    assert await told(store.start) is None
    (one,) = await told(store.put, [an_entry(1)])
    store.ended(one)
    await told(store.next_due)
    assert store.figures.entries == 0
    await closed(store)
