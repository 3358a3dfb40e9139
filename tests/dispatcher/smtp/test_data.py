from __future__ import annotations

import itertools
import mmap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.smtp import data
from tubepost_dispatcher.smtp.data import DataFault, DataReceiver, Memory, take_whole

# Octets that matter, so that the examples hit the boundaries.
_octets = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"..", b"\0", b"x", b"\r\n.", b"\r\n.."])
).map(b"".join)


def stuff(content: bytes) -> bytes:
    """Dot-stuff as RFC 5321 4.5.2 says, and end the message."""
    lines = content.split(b"\r\n")
    assert lines[-1] == b""
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines) + b".\r\n"


def receive(receiver: DataReceiver, stream: bytes, cuts: list[int]) -> int:
    """Feed `stream` cut at `cuts`; the position in the stream at which the message ended, or -1."""
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        used = receiver.feed(stream[start:end])
        if used >= 0:
            return start + used
    return -1


@given(_octets, st.lists(st.integers(0, 200)), _octets)
def test_any_content_arrives_whole_however_it_is_cut(content: bytes, cuts: list[int], after: bytes) -> None:
    content += b"\r\n"
    stream = stuff(content) + after
    receiver = DataReceiver()
    assert receive(receiver, stream, cuts) == len(stream) - len(after)
    assert receiver.size == len(content)
    assert receiver.finish() == content


@given(_octets, st.lists(st.integers(0, 200)))
def test_cutting_never_changes_where_a_message_ends(stream: bytes, cuts: list[int]) -> None:
    whole = DataReceiver()
    end = whole.feed(stream) if stream else -1
    cut = DataReceiver()
    assert receive(cut, stream, cuts) == end
    assert cut.size == whole.size
    if end >= 0:
        assert cut.finish() == whole.finish()


@given(_octets, _octets)
def test_the_short_cut_agrees_with_the_receiver(before: bytes, stream: bytes) -> None:
    chunk = before + stream
    taken = take_whole(chunk, len(before), 1_000) if stream else None
    if taken is not None:
        receiver = DataReceiver()
        assert receiver.feed(chunk, len(before)) == taken[1]
        assert receiver.finish() == taken[0]


def test_the_short_cut_respects_its_limit() -> None:
    assert take_whole(b"abc\r\n.\r\n", 0, 5) == (b"abc\r\n", 8)
    assert take_whole(b"abc\r\n.\r\n", 0, 4) is None


@pytest.mark.parametrize(
    "false_end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r\n.\r",
        b"\r.\r\n",
        b"\n.\r",
        b"\n\n.\r\n",
        b"\r\n\0.\r\n",
        b"\r\n.\0\r\n",
        b"\r\r\n.\r\r\n",
    ],
)
def test_nothing_but_crlf_dot_crlf_ends_a_message(false_end: bytes) -> None:
    stream = b"Subject: x\r\n\r\nbody" + false_end + b"MAIL FROM:<evil@example>\r\n"
    assert take_whole(stream, 0, 10_000) is None
    receiver = DataReceiver()
    assert receiver.feed(stream) == -1
    assert receiver.feed(b"\r\n.\r\n") == 5
    content = receiver.finish()
    assert isinstance(content, bytes)
    assert b"MAIL FROM:<evil@example>" in content


def test_an_empty_message() -> None:
    receiver = DataReceiver()
    assert receiver.feed(b".\r\nQUIT\r\n") == 3
    assert receiver.finish() == b""


def test_too_large_is_followed_to_its_end_without_keeping_it() -> None:
    receiver = DataReceiver(max_size=100)
    for _ in range(50):
        assert receiver.feed(b"x" * 10 + b"\r\n") == -1
        assert receiver.in_memory <= 100
    assert not receiver.hopeless
    assert receiver.feed(b".\r\n") == 3
    assert receiver.finish() is DataFault.TOO_LARGE


def test_the_size_counts_content_and_not_the_stuffed_dots() -> None:
    receiver = DataReceiver(max_size=3)
    assert receiver.feed(b"..\r\n.\r\n") == 7
    assert receiver.finish() == b".\r\n"


def test_a_client_that_never_stops_is_hopeless() -> None:
    receiver = DataReceiver(max_size=1_000)
    while not receiver.hopeless:
        assert receiver.feed(b"y" * 65_536) == -1
    assert receiver.raw < 1_000_000


@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_the_header_has_a_limit_of_its_own(cut: int) -> None:
    for size, fits in ((90, True), (98, True), (99, False), (500, False)):
        header = b"A: " + b"x" * (size - 3) + b"\r\n"
        stream = header + b"\r\n" + b"z" * 300 + b"\r\n.\r\n"
        receiver = DataReceiver(max_header=100)
        for start in range(0, len(stream), cut):
            used = receiver.feed(stream[start : start + cut])
        assert used >= 0
        assert (receiver.finish() is DataFault.HEADER_TOO_LARGE) is not fits


def test_a_message_without_a_header_is_all_body() -> None:
    receiver = DataReceiver(max_header=10)
    assert receiver.feed(b"\r\n" + b"x" * 100 + b"\r\n.\r\n") > 0
    assert receiver.finish() == b"\r\n" + b"x" * 100 + b"\r\n"


@pytest.mark.parametrize("cut", [1, 3, 64, 10_000])
def test_lines_have_a_limit(cut: int) -> None:
    for length, fits in ((98, True), (101, False), (5_000, False)):
        stream = b"short\r\n" * 40 + b"x" * length + b"\r\n" + b"short\r\n" * 40 + b".\r\n"
        receiver = DataReceiver(max_line=100)
        for start in range(0, len(stream), cut):
            used = receiver.feed(stream[start : start + cut])
        assert used >= 0
        assert (receiver.finish() is DataFault.LINE_TOO_LONG) is not fits


def test_large_messages_go_to_a_nameless_file(tmp_path: Path) -> None:
    memory = Memory()
    receiver = DataReceiver(temp_dir=tmp_path, memory=memory)
    line = b"x" * 998 + b"\r\n"
    for _ in range(1_000):
        receiver.feed(line)
        assert receiver.in_memory <= data.FILE_ABOVE + len(line)
    assert receiver.feed(b".\r\n") == 3
    content = receiver.finish()
    assert isinstance(content, mmap.mmap)
    assert content[:] == line * 1_000
    assert list(tmp_path.iterdir()) == []
    assert memory.used == 0


def test_under_memory_pressure_small_messages_go_to_a_file_too(tmp_path: Path) -> None:
    memory = Memory()
    memory.used = data.MEMORY_BUDGET
    receiver = DataReceiver(temp_dir=tmp_path, memory=memory)
    receiver.feed(b"x" * 20_000)
    assert receiver.in_memory == 0
    receiver.release()
    assert memory.used == data.MEMORY_BUDGET


def test_a_temporary_file_that_fails_is_no_space(tmp_path: Path) -> None:
    receiver = DataReceiver(temp_dir=tmp_path / "missing")
    receiver.feed(b"x" * (data.FILE_ABOVE + 10))
    assert receiver.feed(b"\r\n.\r\n") == 5
    assert receiver.finish() is DataFault.NO_SPACE


def test_a_full_disk_is_no_space(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("wb")  # noqa: SIM115 - the receiver closes it
    monkeypatch.setattr(data.tempfile, "TemporaryFile", lambda dir: full)  # noqa: A006 - as called
    receiver = DataReceiver()
    receiver.feed(b"x" * (data.FILE_ABOVE * 2))
    receiver.feed(b"x" * (data.FILE_ABOVE * 2))
    assert receiver.feed(b"\r\n.\r\n") == 5
    assert receiver.finish() is DataFault.NO_SPACE
    assert full.closed


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\n\r\n"])
@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_a_header_with_line_ends_of_unix_ends_at_its_blank_line(ends: bytes, cut: int) -> None:
    end = ends[-2:] if ends != b"\n" else ends
    for size, fault in ((99, None), (101, DataFault.HEADER_TOO_LARGE)):
        head = b"A: " + b"x" * (size - 3 - len(ends[:1] if ends == b"\n\r\n" else end))
        head += b"\n" + end if ends == b"\n\r\n" else end + end
        stream = head + b"z\n" * 5_000 + b"\r\n.\r\n"
        receiver = DataReceiver(max_header=100)
        assert receive(receiver, stream, list(range(0, len(stream), cut))) == len(stream)
        assert receiver.fault is fault
