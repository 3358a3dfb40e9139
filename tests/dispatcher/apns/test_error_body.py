from __future__ import annotations

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.apns.error_body import parse_body


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
