from __future__ import annotations

import mmap
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.intake.kept_headers import MOST, kept_headers

LONG = b"".join(b"X-%04d: %s\r\n" % (number, b"x" * 80) for number in range(200))


def test_the_block_is_kept_whole() -> None:
    assert kept_headers(b"From: a\r\nTo: b\r\n\r\nBody: c\r\n") == "From: a\r\nTo: b\r\n"


def test_line_ends_of_unix() -> None:
    assert kept_headers(b"From: a\nTo: b\n\nBody: c\n") == "From: a\r\nTo: b\r\n"


def test_what_is_too_long_ends_with_a_whole_line() -> None:
    kept = kept_headers(LONG + b"\r\nbody")
    assert LONG.decode().startswith(kept)
    assert MOST - 100 < len(kept) <= MOST
    assert kept.endswith("x\r\n")


def test_an_automatic_reply_is_seen_behind_the_end() -> None:
    kept = kept_headers(LONG + b"auto-Submitted: auto-replied\r\n" + LONG[:200] + b"\r\n\r\nbody")
    assert kept.endswith("x\r\nauto-Submitted: auto-replied\r\n")
    assert not kept_headers(LONG + b"\r\n\r\nAuto-Submitted: auto-replied\r\n").endswith("replied\r\n")


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 5_000, b"\r\n" * 5])
def test_odd_messages(content: bytes) -> None:
    assert kept_headers(content) in ("", "\r\n", "x" * 0)


def test_a_large_message_in_a_file() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"From: a\r\n\r\n" + b"x" * 10_000)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            assert kept_headers(content) == "From: a\r\n"


@given(st.binary(max_size=300) | st.text("a:\r\n", max_size=300).map(str.encode))
def test_nothing_is_invented(content: bytes) -> None:
    kept = kept_headers(content)
    assert kept == "" or kept.endswith("\r\n")
    assert kept.replace("\r\n", "\n") in content.decode("utf-8", "replace").replace("\r\n", "\n")
