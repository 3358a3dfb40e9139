from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator

import pytest

from tubepost_runtime import line_writer
from tubepost_runtime.line_writer import MAX_BUFFERED, LineWriter

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def drain(reading: int, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += os.read(reading, 65_536)
    return found


def test_lines_are_written_in_order(pipe: Pipe) -> None:
    writer = LineWriter(pipe[1])
    for number in range(10):
        writer.write(f"line {number}\n")
    assert writer.flush(10.0)
    assert drain(pipe[0], 70) == b"".join(b"line %d\n" % number for number in range(10))


def test_nobody_waits_for_a_pipe_that_is_not_read_and_what_is_dropped_is_said(pipe: Pipe) -> None:
    lost: list[int] = []
    writer = LineWriter(pipe[1], lost=lambda: lost.append(1), report=lambda count: f"dropped {count}\n")
    line = "x" * 999 + "\n"
    lines = MAX_BUFFERED // 1_000 + 500
    for _ in range(lines):
        writer.write(line)  # would block for ever if it waited
    assert not writer.flush(0.0)
    assert lost
    said = f"dropped {len(lost)}\n".encode()
    found = drain(pipe[0], (lines - len(lost)) * 1_000 + len(said))
    assert found.endswith(said)
    assert found.count(b"\n") == lines - len(lost) + 1
    assert writer.flush(10.0)


def test_a_descriptor_that_is_gone_costs_the_lines_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    writer = LineWriter(writing)
    writer.write("to nobody\n")
    assert writer.flush(10.0)


def test_it_ticks(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_writer, "TICK", 0.01)
    ticked = threading.Event()
    writer = LineWriter(pipe[1], tick=ticked.set)
    writer.write("x\n")
    assert ticked.wait(10.0)
