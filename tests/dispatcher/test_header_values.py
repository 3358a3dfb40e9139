from __future__ import annotations

import base64

import pytest

from tubepost_dispatcher.header_values import (
    MAX_CHANNEL_ID,
    MAX_COLLAPSE_ID,
    is_channel_id,
    is_collapse_id,
    is_topic,
)


@pytest.mark.parametrize("value", [b"com.example.app", b"com.example.app.voip", b"A-1_b", b"7"])
def test_topics(value: bytes) -> None:
    assert is_topic(value)


@pytest.mark.parametrize("value", [b"", b"a b", b"a\r\nb", "é".encode(), b"a/b", b"a\n"])
def test_what_is_no_topic(value: bytes) -> None:
    assert not is_topic(value)


@pytest.mark.parametrize("value", [b"x", b"two words", b"!", b"x" * MAX_COLLAPSE_ID])
def test_collapse_ids(value: bytes) -> None:
    assert is_collapse_id(value)


@pytest.mark.parametrize(
    "value", [b"", b" x", b"x ", b"a\tb", b"\xc3\xa9", b"x" * (MAX_COLLAPSE_ID + 1), b"x\n"]
)
def test_what_is_no_collapse_id(value: bytes) -> None:
    assert not is_collapse_id(value)


@pytest.mark.parametrize("value", [b"dHN0LXNyY2gtY2hubA==", b"YWI=", b"ab+/", b"A" * MAX_CHANNEL_ID])
def test_channel_ids(value: bytes) -> None:
    assert is_channel_id(value)
    assert base64.b64decode(value, validate=True)


@pytest.mark.parametrize(
    "value", [b"", b"=", b"abc", b"ab-_", b"YWI=\n", b"YW I=", b"YWI==", b"=YWI", b"A" * (MAX_CHANNEL_ID + 4)]
)
def test_what_is_no_channel_id(value: bytes) -> None:
    assert not is_channel_id(value)
