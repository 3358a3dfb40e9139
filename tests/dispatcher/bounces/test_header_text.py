from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.bounces.header_text import (
    MAX_LINE,
    MAX_VALUE,
    address,
    field,
    message_id_of,
    one_line,
    safe_block,
    value_of,
)

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@given(st.text(), st.integers(10, 100))
def test_one_line_is_one_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert not CONTROL.search(line)
    assert len(line.encode()) <= limit


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=MAX_VALUE))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert one_line(text) == text
    assert field("X", text) == f"X: {text}\r\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("app@sender.example", "app@sender.example"),
        ("a.b+c@x.example", "a.b+c@x.example"),
        ('"a b"@x.example', '"a b"@x.example'),
        ("abc...@x.example", '"abc..."@x.example'),
        ("a b@x.example", '"a b"@x.example'),
        ("a@b@x.example", '"a@b"@x.example'),
        ("a>\r\nBcc: all@x.example", '"a>  Bcc: all"@x.example'),
        ("a@x.example>, <b", "a@x.example????b"),
        ('a"b@x.example', '"a\\"b"@x.example'),
        ("postmaster", "postmaster"),
        ("jürgen@bücher.example", "jürgen@bücher.example"),
        ("", '""'),
    ],
)
def test_an_address_is_one_address(text: str, found: str) -> None:
    assert address(text) == found


@given(st.text())
def test_no_address_ends_its_brackets(text: str) -> None:
    local, _, domain = address(text).rpartition("@")
    unquoted = re.sub(r'"(?:[^"\\]|\\.)*"', "", local or domain)
    assert not re.search(r"[<>,;()\s]", unquoted if local else unquoted.replace(domain, "") or "")
    assert not local or not re.search(r"[<>,;()\s\"]", domain)


BLOCK = "From: a@x.example\r\nMessage-ID:\r\n <1.2@x.example>\r\nSubject: one\r\n two\r\nX: \r\n"


def test_values_are_found_and_unfolded() -> None:
    assert value_of(BLOCK, "subject") == "one two"
    assert value_of(BLOCK, "x") == ""
    assert value_of(BLOCK, "cc") == ""
    assert message_id_of(BLOCK) == "<1.2@x.example>"


@pytest.mark.parametrize("value", ["1@x", "<a b@x>", "<>", "<a@x> <b@x>", "<a@x", "<ä@x>", ""])
def test_a_message_id_that_cannot_be_repeated_is_none(value: str) -> None:
    assert message_id_of(f"Message-ID: {value}\r\n") == ""


def test_a_block_keeps_whole_fields() -> None:
    block = "From: a@x\r\n\r\nno field\r\n of it\r\nTo: b\x00c\r\n\tmore\r\nX: " + "x" * 2_000 + "\r\nLast: 1"
    lines = safe_block(block).split("\r\n")
    assert lines[:3] == ["From: a@x", "To: b?c", "\tmore"]
    assert len(lines[3]) == MAX_LINE
    assert lines[4:] == ["Last: 1", ""]


@given(st.text(max_size=300) | st.text("ab:\r\n\t ", max_size=300))
def test_a_block_has_fields_only(text: str) -> None:
    block = safe_block(text)
    assert "\r\n\r\n" not in block
    assert not CONTROL.search(block.replace("\r\n", "").replace("\t", ""))
    assert all(re.match(r"\t\S|[!-9;-~]+:", line) for line in block.split("\r\n")[:-1])
