from __future__ import annotations

import pytest

from tubepost_dispatcher.intake.mcmt.limits import DEFAULT_LIMITS
from tubepost_dispatcher.intake.mcmt.message import NOT_MCMT
from tubepost_dispatcher.intake.mcmt.top import Top, find, read_top, with_crlf

HEAD = b'Subject: x\r\nContent-Type: multipart/vnd.msys.mcmt; boundary="B"\r\n\r\n'


def test_what_the_header_block_says() -> None:
    top = read_top(HEAD + b"--B--\r\n", DEFAULT_LIMITS)
    assert isinstance(top, Top)
    assert (top.body, top.boundary, top.context, top.in_pieces) == (len(HEAD) - 2, b"B", {}, False)
    assert read_top(b"Subject: x\r\n\r\nbody\r\n", DEFAULT_LIMITS) is NOT_MCMT


def test_line_ends_of_unix_are_made_crlf() -> None:
    assert with_crlf(b"a: b\n\nx\r\ny\n") == b"a: b\r\n\r\nx\r\ny\r\n"
    for content in (b"a: b\r\n\r\nx\ny\n", b"a: b\nc: d\r\n\r\nx\n", b"no line end", b"a: b\n"):
        assert with_crlf(content) is content


@pytest.mark.parametrize("shift", range(4))
def test_no_line_end_is_split_where_a_step_ends(shift: int) -> None:
    content = b"a: b\n\n" + b"x" * ((1 << 20) - 8 + shift) + b"\r\n\r\ny\n"
    assert with_crlf(content) == content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@pytest.mark.parametrize("at", [0, 5, (1 << 20) - 2, (1 << 20) - 1, 1 << 20, (2 << 20) - 3, (3 << 20) - 5])
def test_searching_in_steps_finds_what_searching_at_once_finds(at: int) -> None:
    size = 3 << 20
    content = bytearray(b"\r" * size)
    content[at : at + 5] = b"\r\n--B"
    text = bytes(content)
    for start, end in ((0, size), (at, size), (at + 1, size), (0, at + 5), (0, at + 4)):
        assert find(text, b"\r\n--B", start, end) == text.find(b"\r\n--B", start, end)
