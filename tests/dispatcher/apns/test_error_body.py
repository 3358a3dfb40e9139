from __future__ import annotations

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.apns.error_body import parse_body, parse_retry_after


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.floats(),
        lambda x: st.dictionaries(st.sampled_from(["reason", "timestamp"]), x),
    ).map(orjson.dumps)
)
def test_any_body_is_read(body: bytes) -> None:
    reason, timestamp = parse_body(body)
    assert re.fullmatch(r"[\x20-\x7e]{0,128}", reason)
    assert 0 <= timestamp < 253_402_300_800_000


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"reason":"Unregistered","timestamp":1454402113000}', ("Unregistered", 1454402113000)),
        (b'{"reason":"X","timestamp":1454402113000.0}', ("X", 1454402113000)),
        (b'{"reason":"X","timestamp":true}', ("X", 0)),
        (b'{"reason":"X","timestamp":"1"}', ("X", 0)),
        (b'{"reason":7}', ("", 0)),
        (b"[]", ("", 0)),
        (b"<html>", ("", 0)),
        (b"", ("", 0)),
        (b'{"reason":"a\\r\\nb\\u0000\\u00e9"}', ("a??b??", 0)),
    ],
)
def test_bodies(body: bytes, expected: tuple[str, int]) -> None:
    assert parse_body(body) == expected


WALL = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"", 0.0),
        (b"120", 120.0),
        (b" 7 ", 7.0),
        (b"0", 0.0),
        (b"-5", 0.0),
        (b"1.5", 0.0),
        (b"soon", 0.0),
        (b"9" * 4_000, 999_999_999.0),
        (b"Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        (b"Tue, 14 Nov 2023 22:12:20 GMT", 0.0),
        (b"Tue, 14 Nov 99999 22:14:20 GMT", 0.0),
        ("\u0664".encode(), 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: bytes, seconds: float) -> None:
    assert parse_retry_after(value, WALL) == seconds


@given(st.binary(max_size=100))
def test_any_retry_after_is_survived(value: bytes) -> None:
    assert parse_retry_after(value, WALL) >= 0.0
