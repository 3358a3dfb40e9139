"""HPACK's Huffman code, against the encoder and decoder of the hpack library."""

from __future__ import annotations

import pytest
from hpack import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.apns.http2.huffman import huffman_decode

ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@given(st.binary(max_size=200))
def test_what_was_encoded_reads_back(value: bytes) -> None:
    assert huffman_decode(ENCODER.encode(value)) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_as_the_library_reads_them(coded: bytes) -> None:
    try:
        expected: bytes | None = decode_huffman(coded)
    except HPACKDecodingError:
        expected = None
    assert huffman_decode(coded) == expected


@pytest.mark.parametrize("coded", [b"\xff", b"\xff\xff\xff\xff", b"\x00", b"\x1f\xff"])
def test_bad_padding_and_eos_are_refused(coded: bytes) -> None:
    assert huffman_decode(coded) is None


def test_nothing_is_nothing() -> None:
    assert huffman_decode(b"") == b""
