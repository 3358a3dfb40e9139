from __future__ import annotations

import errno
import fcntl
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.loop import FakeLoop
from tubepost_dispatcher.feeds import sinks
from tubepost_dispatcher.feeds.sinks import BUSY_MAX, RETRY_MAX, Sink, StdoutSink


class Counts:
    def __init__(self) -> None:
        self.failed = 0
        self.lost = 0

    def on_failed(self, lines: int) -> None:
        self.failed += lines

    def on_lost(self, lines: int) -> None:
        self.lost += lines


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)
    os.set_blocking(reader, False)
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def read(fd: int) -> bytes:
    data = b""
    while True:
        try:
            piece = os.read(fd, 65536)
        except BlockingIOError:
            return data
        if not piece:
            return data
        data += piece


class ScriptedSink(Sink):
    """Writes go to a scripted kernel: an int is how much it takes, an OSError what it raises."""

    def __init__(self, loop: FakeLoop, counts: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__("log", loop, counts.on_failed, counts.on_lost)
        self._fd = 99
        self._pipe_like = False
        self.script: list[int | OSError] = []
        self.calls: list[bytes] = []
        self.out = b""
        self._other_writes = os.write
        monkeypatch.setattr(sinks.os, "write", self._write)

    def _write(self, fd: int, data: bytes) -> int:
        if fd != 99:  # the module is everybody's: a thread of another test may still have something to write
            return self._other_writes(fd, data)
        self.calls.append(data)
        step = self.script.pop(0) if self.script else len(data)
        if isinstance(step, OSError):
            raise step
        taken = data[:step]
        self.out += taken
        return len(taken)


@pytest.fixture
def scripted(loop: FakeLoop, counts: Counts, monkeypatch: pytest.MonkeyPatch) -> ScriptedSink:
    return ScriptedSink(loop, counts, monkeypatch)


def no_space() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def test_the_lines_of_one_turn_are_one_write(scripted: ScriptedSink, loop: FakeLoop) -> None:
    for number in range(5):
        scripted.write(b"line %d\n" % number)
    assert scripted.calls == []
    loop.turn()
    assert scripted.calls == [b"line 0\nline 1\nline 2\nline 3\nline 4\n"]
    assert loop.turn() == 0
    scripted.write(b"next\n")
    loop.turn()
    assert scripted.calls[1:] == [b"next\n"]
    assert scripted.buffered == 0


@pytest.mark.parametrize("takes", [1, 3, 7, 8, 9, 20])
def test_short_writes_lose_and_repeat_nothing(
    scripted: ScriptedSink, loop: FakeLoop, counts: Counts, takes: int
) -> None:
    lines = [b"line %02d\n" % number for number in range(20)]
    scripted.script = [takes] * 200
    for line in lines:
        scripted.write(line)
    loop.advance(5)
    assert scripted.out == b"".join(lines)
    assert scripted.buffered == counts.failed == counts.lost == 0


def test_a_full_disk_is_reported_once_and_tried_again(
    scripted: ScriptedSink, loop: FakeLoop, counts: Counts, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.script = [4, no_space(), no_space(), no_space()]
    scripted.write(b"one\n")
    scripted.write(b"two\n")
    scripted.write(b"three\n")
    loop.turn()
    assert counts.failed == 2  # one is written
    assert scripted.problem == "cannot write: No space left on device"
    scripted.write(b"four\n")
    loop.turn()
    assert len(scripted.calls) == 2, "no new attempt before its time"
    loop.advance(0.5)
    assert counts.failed == 3
    loop.advance(100)
    assert scripted.out == b"one\ntwo\nthree\nfour\n"
    assert scripted.problem == ""
    assert (counts.failed, counts.lost) == (3, 0)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_attempts_become_rarer_but_never_stop(scripted: ScriptedSink, loop: FakeLoop) -> None:
    scripted.script = [no_space()] * 1000
    scripted.write(b"line\n")
    loop.turn()
    loop.advance(3600)
    assert 3600 / RETRY_MAX <= len(scripted.calls) <= 3600 / RETRY_MAX + 10


def test_the_buffer_is_bounded_and_what_is_beyond_is_counted(
    scripted: ScriptedSink, loop: FakeLoop, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "MAX_BUFFERED", 100)
    scripted.script = [no_space()]
    for number in range(30):
        scripted.write(b"line %04d\n" % number)
    loop.turn()
    assert scripted.buffered == 100
    assert counts.lost == 20
    assert counts.failed == 30
    loop.advance(1)
    assert scripted.out.count(b"\n") == 10
    scripted.write(b"again\n")
    loop.turn()
    assert scripted.out.endswith(b"again\n")


def test_a_backlog_does_not_hold_up_the_loop(
    scripted: ScriptedSink, loop: FakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "WRITE_SIZE", 100)
    monkeypatch.setattr(sinks, "TURN_SIZE", 300)
    for number in range(100):
        scripted.write(b"line %04d\n" % number)
    loop.turn()
    assert len(scripted.calls) == 3
    assert all(len(call) <= 100 and call.endswith(b"\n") for call in scripted.calls)
    while loop.turn():
        pass
    assert scripted.out.count(b"\n") == 100


def test_flush_writes_now(scripted: ScriptedSink, loop: FakeLoop) -> None:
    scripted.write(b"line\n")
    assert scripted.flush()
    assert scripted.out == b"line\n"
    assert loop.turn() == 0
    scripted.script = [no_space()]
    scripted.write(b"more\n")
    assert not scripted.flush()


def test_close_writes_what_it_can_and_counts_the_rest(
    scripted: ScriptedSink, loop: FakeLoop, counts: Counts
) -> None:
    scripted.script = [4, no_space()]
    scripted.write(b"one\n")
    scripted.write(b"two\n")
    scripted.close()
    scripted.close()
    assert scripted.out == b"one\n"
    assert (counts.failed, counts.lost) == (1, 1)
    scripted.write(b"late\n")
    assert (counts.failed, counts.lost) == (2, 2)
    loop.advance(100)
    assert len(scripted.calls) == 2


def test_a_slow_reader_of_a_pipe_is_waited_for_without_blocking(
    loop: FakeLoop, counts: Counts, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    sink = StdoutSink("log", loop, counts.on_failed, counts.on_lost, writer)
    lines = [b"line %04d %s\n" % (number, b"x" * 100) for number in range(500)]
    for line in lines:
        sink.write(line)
    loop.turn()
    assert sink.buffered > 0
    out = b""
    for _ in range(1000):
        piece = read(reader)
        assert piece.endswith(b"\n"), "only whole lines at a time"
        assert len(piece) <= select.PIPE_BUF
        out += piece
        if not sink.buffered:
            break
        loop.advance(BUSY_MAX)
    assert out == b"".join(lines)
    assert (counts.failed, counts.lost, sink.problem) == (0, 0, "")


def test_a_line_longer_than_a_pipe_takes_at_once(
    loop: FakeLoop, counts: Counts, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    sink = StdoutSink("log", loop, counts.on_failed, counts.on_lost, writer)
    long = b"y" * 20_000 + b"\n"
    sink.write(b"before\n")
    sink.write(long)
    sink.write(b"after\n")
    out = b""
    for _ in range(100):
        loop.advance(BUSY_MAX)
        out += read(reader)
    assert out == b"before\n" + long + b"after\n"


def test_a_reader_that_has_gone_is_an_error_like_any_other(
    loop: FakeLoop, counts: Counts, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    os.close(reader)
    sink = StdoutSink("log", loop, counts.on_failed, counts.on_lost, writer)
    sink.write(b"line\n")
    loop.turn()
    assert counts.failed == 1
    assert "standard output: Broken pipe" in sink.problem
    sink.close()
    assert counts.lost == 1


def test_closing_gives_up_on_a_reader_that_does_not_read(
    loop: FakeLoop, counts: Counts, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "CLOSE_PATIENCE", 0.01)
    _, writer = pipe
    sink = StdoutSink("log", loop, counts.on_failed, counts.on_lost, writer)
    for _ in range(3):
        sink.write(b"z" * 4000 + b"\n")
    sink.close()
    assert counts.lost == 2
    assert os.fstat(writer), "standard output stays open"


def test_standard_output_that_is_closed(loop: FakeLoop, counts: Counts) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    sink = StdoutSink("log", loop, counts.on_failed, counts.on_lost, 10_000)
    sink.write(b"line\n")
    loop.turn()
    assert "Bad file descriptor" in sink.problem


def test_standard_output_may_be_a_file(loop: FakeLoop, counts: Counts, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        sink = StdoutSink("log", loop, counts.on_failed, counts.on_lost, file.fileno())
        sink.write(b"line\n")
        loop.turn()
        sink.reopen()
        sink.close()
        assert not file.closed
    assert (tmp_path / "out").read_bytes() == b"line\n"


async def test_an_event_loop_is_a_scheduler(counts: Counts, pipe: tuple[int, int]) -> None:
    import asyncio

    reader, writer = pipe
    running: Any = asyncio.get_running_loop()
    sink = StdoutSink("log", running, counts.on_failed, counts.on_lost, writer)
    arrived = asyncio.Event()
    running.add_reader(reader, arrived.set)
    sink.write(b"one\n")
    sink.write(b"two\n")
    async with asyncio.timeout(10):
        await arrived.wait()
    running.remove_reader(reader)
    assert read(reader) == b"one\ntwo\n"
    sink.close()
