"""Results as values."""

from __future__ import annotations

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from tests.dispatcher.apns.http2.wire import APNS_ID
from tubepost_dispatcher.apns.http2.results import StreamError, StreamResult


def test_a_coded_id_is_decoded_when_asked_for() -> None:
    coded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(APNS_ID)
    result = StreamResult("k", 200, coded, True)
    assert result.apns_id == APNS_ID
    assert result.apns_id == APNS_ID


def test_an_id_that_cannot_be_decoded_is_none() -> None:
    assert StreamResult("k", 200, b"\xff\xff\xff\xff", True).apns_id == b""


def test_a_result_without_more_is_a_complete_answer() -> None:
    result = StreamResult("k", 200)
    assert (result.error, result.error_code, result.fully_sent) == (StreamError.NONE, 0, True)
    assert (result.apns_id, result.body, result.retry_after) == (b"", b"", b"")
