"""Response header blocks: the scan and the decoder agree, and the table is kept in step."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.apns.http2.wire import APNS_ID, OK_BLOCK
from tubepost_dispatcher.apns.http2 import hpackenc
from tubepost_dispatcher.apns.http2.huffman import huffman_decode
from tubepost_dispatcher.apns.http2.response import (
    BlockReader,
    CompressionError,
    Head,
    is_trailer,
    unique_id_in,
)

STATUSES = st.sampled_from([b"200", b"204", b"400", b"403", b"404", b"410", b"429", b"500", b"503"])
NAMES = st.sampled_from([b"apns-id", b"apns-unique-id", b"date", b"retry-after", b"server", b"x-a"])
VALUES = st.one_of(st.just(APNS_ID), st.from_regex(rb"[ -~]{0,30}", fullmatch=True), st.just(b"q" * 200))
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)


def identity(head: Head) -> bytes:
    if head.huffman:
        return huffman_decode(head.apns_id) or b""
    return head.apns_id


def has_no_table(reader: BlockReader) -> bool:
    return reader.standalone


def standalone() -> BlockReader:
    reader = BlockReader(16_384)
    reader.acknowledged()
    assert reader.read(b"\x20\x88").status == 200
    assert has_no_table(reader)
    return reader


def first(fields: list[tuple[bytes, bytes]], name: bytes) -> bytes:
    return next((value for key, value in fields if key == name and value), b"")


@given(st.lists(st.tuples(STATUSES, FIELDS, st.booleans()), min_size=1, max_size=6), st.integers(0, 6))
def test_blocks_of_a_real_encoder_read_the_same_before_and_after_the_table_goes(
    responses: list[tuple[bytes, list[tuple[bytes, bytes]], bool]],
    shrink_at: int,
) -> None:
    encoder = Encoder()
    reader = BlockReader(16_384)
    for number, (status, fields, huffman) in enumerate(responses):
        if number == shrink_at:
            encoder.header_table_size = 0
            reader.acknowledged()
        block = encoder.encode([(b":status", status), *fields], huffman=huffman)
        head = reader.read(block)
        assert head.malformed == ""
        assert head.status == int(status)
        assert identity(head) == first(fields, b"apns-id")
        assert head.retry_after == first(fields, b"retry-after")
        assert head.unique_id == first(fields, b"apns-unique-id")
    assert has_no_table(reader) == (shrink_at < len(responses))


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda tail: OK_BLOCK + tail))
def test_the_scan_never_disagrees_with_the_library(block: bytes) -> None:
    library = Decoder(max_header_list_size=16_384)
    library.header_table_size = 0
    library.max_allowed_table_size = 0
    try:
        fields = [(bytes(name), bytes(value)) for name, value in library.decode(block, raw=True)]
    except HPACKError:
        with pytest.raises(CompressionError):
            standalone().read(block)
        return
    head = standalone().read(block)
    if not head.malformed:
        assert [value for name, value in fields if name == b":status"] == [b"%d" % head.status]
        assert identity(head) == first(fields, b"apns-id")
        assert head.retry_after == first(fields, b"retry-after")


@pytest.mark.parametrize(
    "block",
    [
        b"\x88\x00\x07apns-id\x24" + APNS_ID,
        b"\x88\x10\x07apns-id\x24" + APNS_ID,
        b"\x88\x40\x07apns-id\x24" + APNS_ID,
        b"\x08\x03200\x00\x07apns-id\x24" + APNS_ID,
        b"\x88\x0f\x12\x1dMon, 21 Oct 2013 20:13:21 GMT\x00\x07apns-id\x24" + APNS_ID,
    ],
)
def test_every_plain_form_of_a_200_is_scanned(block: bytes) -> None:
    head = standalone()._scan(block)
    assert head is not None
    assert (head.status, identity(head)) == (200, APNS_ID)


def test_an_id_that_is_the_table_is_read_by_the_decoder_while_there_is_one() -> None:
    reader = BlockReader(16_384)
    added = b"\x88\x40\x07apns-id\x24" + APNS_ID
    assert identity(reader.read(added)) == APNS_ID
    assert identity(reader.read(b"\x88\xbe")) == APNS_ID
    reader.acknowledged()
    assert not has_no_table(reader)
    # A server that has acknowledged and goes on with its table is still read.
    assert identity(reader.read(b"\x88\xbe")) == APNS_ID
    assert identity(reader.read(b"\x20" + added)) == APNS_ID
    assert has_no_table(reader)
    assert identity(reader.read(added)) == APNS_ID
    with pytest.raises(CompressionError):
        reader.read(b"\x88\xbe")


def test_a_table_given_up_early_may_grow_until_the_acknowledgement() -> None:
    reader = BlockReader(16_384)
    reader.read(b"\x20\x88")
    assert not has_no_table(reader)
    reader.acknowledged()
    assert has_no_table(reader)
    with pytest.raises(CompressionError):
        reader.read(b"\x3f\xe1\x1f\x88")


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\x00\x01a\x01b",
        b"\x88\x88",
        b"\x00\x01a\x01b\x88",
        b"\x08\x0220",
        b"\x08\x03abc",
        b"\x08\x03099",
        b"\x88\x00\x01A\x01b",
        b"\x88\x00\x00\x01b",
        b"\x88\x82",
        b"\x88\x04\x01/",
        b"\x88\x00\x06:other\x01x",
    ],
)
def test_a_malformed_response_is_named(block: bytes) -> None:
    assert standalone().read(block).malformed


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",
        b"\x88\x40",
        b"\x08\x81\x00",
        b"\x88\x00\x01a\x81\x00",
        b"\xff\xff\xff\xff\xff",
        b"\x88\x00\x07apns",
        b"\x88\x3f",
        b"\x88\x00\x81\x00\x01a",
    ],
)
def test_what_hpack_cannot_read_is_an_error(block: bytes) -> None:
    with pytest.raises(CompressionError) as caught:
        standalone().read(block)
    assert not caught.value.oversized


def test_a_list_that_unpacks_to_much_is_an_error_of_its_own() -> None:
    reader = BlockReader(16_384)
    block = b"\x40\x01a" + hpackenc.integer(4000, 7, 0) + b"x" * 4000 + b"\xbe" * 100
    with pytest.raises(CompressionError) as caught:
        reader.read(block)
    assert caught.value.oversized


def test_trailers_have_no_pseudo_header() -> None:
    assert is_trailer(standalone().read(b"\x00\x01a\x01b"))
    assert not is_trailer(standalone().read(b"\x88"))
    assert not is_trailer(standalone().read(b"\x00\x06:other\x01x"))


@given(FIELDS, st.booleans())
def test_a_unique_id_is_found_behind_the_fields_of_a_block_that_stands_alone(
    fields: list[tuple[bytes, bytes]], huffman: bool
) -> None:
    encoder = Encoder()
    encoder.header_table_size = 0
    block = encoder.encode([(b"apns-id", APNS_ID), *fields], huffman=huffman).removeprefix(b"\x20")
    short = all(len(value) < 127 for _, value in fields)
    expected = next((value for name, value in fields if name == b"apns-unique-id"), b"")
    assert unique_id_in(block) == expected if short else unique_id_in(block) in {expected, b""}


@given(st.binary(max_size=60))
def test_what_is_no_header_block_has_no_unique_id_or_one_and_never_fails(block: bytes) -> None:
    found = unique_id_in(block)
    assert found == b"" or b"apns-unique-id" in block or any(byte & 0x80 for byte in block)
