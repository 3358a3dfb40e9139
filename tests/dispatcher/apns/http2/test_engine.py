"""The engine's owner's side: greeting, submitting, capacity, taking, pinging, cancelling, closing."""

from __future__ import annotations

import pytest

from tests.dispatcher.apns.http2.wire import (
    APNS_ID,
    BLOCK,
    OK_BLOCK,
    Frame,
    connected,
    data,
    goaway,
    head,
    ok,
    only,
    open_streams,
    split,
    word,
)
from tubepost_dispatcher.apns.http2 import frames, hpackenc
from tubepost_dispatcher.apns.http2.engine import Engine
from tubepost_dispatcher.apns.http2.results import ConnectionState, EngineLimits, ErrorCode, StreamError

HEADERS_END = frames.END_HEADERS


def test_the_greeting_is_the_preface_settings_and_a_big_window() -> None:
    written = Engine().take()
    assert written.startswith(frames.PREFACE)
    settings, window = split(written)
    assert settings.kind == frames.SETTINGS
    assert dict(frames.SETTING.iter_unpack(settings.body)) == {
        frames.SETTINGS_HEADER_TABLE_SIZE: 0,
        frames.SETTINGS_ENABLE_PUSH: 0,
        frames.SETTINGS_INITIAL_WINDOW_SIZE: 32_768,
        frames.SETTINGS_MAX_HEADER_LIST_SIZE: 16_384,
    }
    assert window == Frame(frames.WINDOW_UPDATE, 0, 0, word(16 * 1024 * 1024 - 65_535))


def test_one_stream_is_assumed_before_the_servers_settings() -> None:
    engine = Engine()
    assert (engine.settings_received, engine.stream_limit, engine.capacity()) == (False, 1, 1)
    engine.submit(BLOCK, b"{}", "a")
    assert engine.capacity() == 0


def test_a_server_that_announces_no_limit_has_none_but_ours() -> None:
    engine = connected(None, limits=EngineLimits(max_streams=7))
    assert engine.settings_received
    assert engine.stream_limit == 2**31 - 1
    assert engine.capacity() == 7


def test_a_request_is_headers_and_data_with_odd_ids_in_order() -> None:
    engine = connected()
    assert [engine.submit(BLOCK, b"{}", 1), engine.submit(BLOCK, b"", 2), engine.submit(BLOCK, b"[]", 3)] == [
        1,
        3,
        5,
    ]
    assert split(engine.take()) == [
        Frame(frames.HEADERS, HEADERS_END, 1, BLOCK),
        Frame(frames.DATA, frames.END_STREAM, 1, b"{}"),
        Frame(frames.HEADERS, HEADERS_END | frames.END_STREAM, 3, BLOCK),
        Frame(frames.HEADERS, HEADERS_END, 5, BLOCK),
        Frame(frames.DATA, frames.END_STREAM, 5, b"[]"),
    ]
    assert engine.take() == b""
    assert engine.open_streams == 3


def test_a_key_may_be_anything_even_none() -> None:
    engine = connected()
    stream = engine.submit(BLOCK, b"{}", None)
    other = engine.submit(BLOCK, b"{}", None)
    engine.take()
    engine.cancel(other)
    assert engine.open_streams == 1
    assert only(engine.receive(ok(stream))).key is None


def test_submitting_without_capacity_is_a_bug_that_is_told() -> None:
    engine = connected(1)
    engine.submit(BLOCK, b"{}", "a")
    with pytest.raises(RuntimeError):
        engine.submit(BLOCK, b"{}", "b")
    assert engine.open_streams == 1


def test_a_block_longer_than_a_frame_is_continued() -> None:
    engine = connected()
    block = BLOCK + hpackenc.field(b"x-long", b"y" * 40_000)
    engine.submit(block, b"{}", "a")
    first, second, third, body = split(engine.take())
    assert [(one.kind, one.flags) for one in (first, second, third, body)] == [
        (frames.HEADERS, 0),
        (frames.CONTINUATION, 0),
        (frames.CONTINUATION, frames.END_HEADERS),
        (frames.DATA, frames.END_STREAM),
    ]
    assert first.body + second.body + third.body == block


@pytest.mark.parametrize("size", [0, 100])
def test_a_shrunk_table_is_acknowledged_in_the_next_block_alone(size: int) -> None:
    engine = connected()
    engine.receive(frames.settings({frames.SETTINGS_HEADER_TABLE_SIZE: size}))
    engine.submit(BLOCK, b"", "a")
    engine.submit(BLOCK, b"", "b")
    _, first, second = split(engine.take())
    assert (first.body, second.body) == (b"\x20" + BLOCK, BLOCK)


# -- capacity and flow control


def test_the_limit_moves_below_what_is_open_and_up_again() -> None:
    engine = connected(5)
    open_streams(engine, 5)
    assert engine.capacity() == 0
    engine.receive(frames.settings({frames.SETTINGS_MAX_CONCURRENT_STREAMS: 1}))
    assert (engine.stream_limit, engine.capacity(), engine.open_streams) == (1, 0, 5)
    for stream in (1, 3, 5, 7):
        assert only(engine.receive(ok(stream))).status == 200
        assert engine.capacity() == 0
    engine.receive(ok(9))
    assert engine.capacity() == 1
    engine.receive(frames.settings({frames.SETTINGS_MAX_CONCURRENT_STREAMS: 1000}))
    assert engine.capacity() > 1


def test_a_limit_of_nothing_is_waited_out() -> None:
    engine = connected(0)
    assert engine.capacity() == 0
    engine.receive(frames.settings({frames.SETTINGS_MAX_CONCURRENT_STREAMS: 3}))
    assert engine.capacity() == 3


def test_capacity_counts_the_connection_window_in_typical_bodies() -> None:
    engine = connected(1000)
    for _ in range(12):
        engine.submit(BLOCK, b"x" * 5000, "k")
    assert 0 < engine.capacity() <= 4
    engine.submit(BLOCK, b"x" * 5_535, "k")
    assert engine.capacity() == 0
    engine.receive(frame_window(0, 3))
    assert engine.capacity() == 1
    engine.receive(frame_window(0, 2**20))
    assert engine.capacity() > 100


def frame_window(stream: int, increment: int) -> bytes:
    return frames.window_update(stream, increment)


def test_small_bodies_make_room_for_many() -> None:
    engine = connected(1000)
    for _ in range(200):
        engine.submit(BLOCK, b"x" * 50, "k")
    assert engine.capacity() == 800


def test_a_body_waits_for_the_connection_window_and_is_not_fully_sent_meanwhile() -> None:
    engine = connected()
    first = engine.submit(BLOCK, b"a" * 65_000, "a")
    second = engine.submit(BLOCK, b"b" * 1000, "b")
    written = split(engine.take())
    assert sum(len(one.body) for one in written if one.kind == frames.DATA) == 65_535
    assert max(len(one.body) for one in written) <= 16_384
    assert [one.stream for one in written if one.flags == frames.END_STREAM] == [first]
    engine.receive(frame_window(0, 100))
    assert split(engine.take()) == [Frame(frames.DATA, 0, second, b"b" * 100)]
    engine.receive(frame_window(0, 100_000))
    assert split(engine.take()) == [Frame(frames.DATA, frames.END_STREAM, second, b"b" * 365)]
    sent = {result.key: result.fully_sent for result in engine.eof()}
    assert sent == {"a": True, "b": True}


def test_a_stream_window_of_nothing_holds_the_body_and_not_the_stream() -> None:
    engine = connected(initial_window_size=0)
    stream = engine.submit(BLOCK, b"abcdef", "a")
    assert split(engine.take()) == [Frame(frames.HEADERS, HEADERS_END, stream, BLOCK)]
    engine.receive(frame_window(stream, 2))
    assert split(engine.take()) == [Frame(frames.DATA, 0, stream, b"ab")]
    engine.receive(frames.settings({frames.SETTINGS_INITIAL_WINDOW_SIZE: 1}))
    ack, more = split(engine.take())
    assert ack.flags == frames.ACK
    assert more.body == b"c"
    lost = only(engine.eof())
    assert (lost.error, lost.fully_sent) == (StreamError.LOST, False)


def test_a_window_that_settings_made_negative_is_paid_back_first() -> None:
    engine = connected(initial_window_size=10)
    stream = engine.submit(BLOCK, b"x" * 30, "a")
    engine.take()
    engine.receive(frames.settings({frames.SETTINGS_INITIAL_WINDOW_SIZE: 4}))
    engine.take()
    engine.receive(frame_window(stream, 6))
    assert engine.take() == b""
    engine.receive(frame_window(stream, 1))
    assert split(engine.take()) == [Frame(frames.DATA, 0, stream, b"x")]
    engine.receive(frames.settings({frames.SETTINGS_INITIAL_WINDOW_SIZE: 100}))
    assert split(engine.take())[1] == Frame(frames.DATA, frames.END_STREAM, stream, b"x" * 19)


def test_a_larger_frame_is_used_when_the_server_takes_it() -> None:
    engine = connected(max_frame_size=50_000)
    engine.submit(BLOCK, b"x" * 40_000, "a")
    assert [len(one.body) for one in split(engine.take())] == [len(BLOCK), 40_000]


def test_ids_run_out_and_the_connection_drains() -> None:
    engine = connected(limits=EngineLimits(last_stream_id=3))
    engine.submit(BLOCK, b"{}", "a")
    assert engine.state is ConnectionState.OPEN
    engine.submit(BLOCK, b"{}", "b")
    assert (engine.state, engine.capacity()) == (ConnectionState.DRAINING, 0)
    engine.take()
    assert [result.status for result in engine.receive(ok(1) + ok(3))] == [200, 200]
    # New limits do not reopen it.
    engine.receive(frames.settings({frames.SETTINGS_MAX_CONCURRENT_STREAMS: 9}))
    assert engine.capacity() == 0


# -- ping, cancel, close, eof


def test_a_ping_is_outstanding_until_its_own_answer() -> None:
    engine = connected()
    engine.ping(b"12345678")
    engine.ping(b"ignored!")
    assert split(engine.take()) == [Frame(frames.PING, 0, 0, b"12345678")]
    engine.receive(frames.ping(b"ignored!", frames.ACK))
    assert engine.ping_outstanding
    engine.receive(frames.ping(b"12345678", frames.ACK))
    assert not engine.ping_outstanding
    engine.receive(frames.ping(b"12345678", frames.ACK))
    assert not engine.ping_outstanding


def test_a_ping_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError):
        connected().ping(b"short")


def test_a_cancelled_stream_is_reset_and_has_no_result() -> None:
    engine = connected(1)
    stream = engine.submit(BLOCK, b"{}", "a")
    engine.take()
    engine.cancel(stream)
    engine.cancel(stream)
    assert split(engine.take()) == [Frame(frames.RST_STREAM, 0, stream, word(ErrorCode.CANCEL))]
    assert engine.capacity() == 1
    # Its answer was on the way.
    assert engine.receive(ok(stream) + head(stream, OK_BLOCK) + data(stream, b"late", end=True)) == []
    assert engine.failure == ""
    assert engine.eof() == []


def test_a_cancelled_upload_frees_what_it_waited_for() -> None:
    engine = connected(initial_window_size=0)
    stream = engine.submit(BLOCK, b"abc", "a")
    engine.take()
    engine.cancel(stream)
    engine.take()
    engine.receive(frame_window(stream, 10))
    assert engine.take() == b""


def test_closing_says_goodbye_once_and_awaits_answers() -> None:
    engine = connected()
    stream = engine.submit(BLOCK, b"{}", "a")
    engine.take()
    engine.close()
    engine.close()
    assert split(engine.take()) == [Frame(frames.GOAWAY, 0, 0, b"\0" * 8)]
    assert (engine.state, engine.capacity()) == (ConnectionState.DRAINING, 0)
    assert only(engine.receive(ok(stream))).apns_id == APNS_ID


def test_the_end_of_the_transport_gives_back_what_was_open() -> None:
    engine = connected()
    taken = engine.submit(BLOCK, b"{}", "taken")
    engine.take()
    engine.receive(head(taken, b"\x8c") + data(taken, b'{"rea'))
    engine.submit(BLOCK, b"{}", "never taken")
    lost, unseen = engine.eof()
    assert (lost.key, lost.error, lost.fully_sent) == ("taken", StreamError.LOST, True)
    assert (lost.status, lost.body) == (400, b'{"rea')
    assert (unseen.key, unseen.error, unseen.fully_sent) == ("never taken", StreamError.UNPROCESSED, False)
    assert (engine.state, engine.take(), engine.capacity()) == (ConnectionState.CLOSED, b"", 0)
    assert engine.eof() == []
    assert engine.receive(ok(1)) == []
    engine.ping()
    engine.close()
    assert engine.take() == b""


def test_a_body_whose_end_was_put_out_and_not_taken_is_not_fully_sent() -> None:
    engine = connected(initial_window_size=1)
    stream = engine.submit(BLOCK, b"ab", "a")
    engine.take()
    engine.receive(frame_window(stream, 10))
    lost = only(engine.eof())
    assert (lost.error, lost.fully_sent) == (StreamError.LOST, False)


def test_after_a_fault_nothing_but_the_goodbye_goes_out() -> None:
    engine = connected()
    open_streams(engine, 1)
    open_streams(engine, 1, take=False)
    lost, unseen = engine.receive(b"\0\0\0\x05\0\0\0\0\1")
    assert (lost.error, unseen.error) == (StreamError.LOST, StreamError.UNPROCESSED)
    assert engine.failure
    assert engine.failure_code == ErrorCode.PROTOCOL_ERROR
    assert split(engine.take()) == [Frame(frames.GOAWAY, 0, 0, word(0) + word(ErrorCode.PROTOCOL_ERROR))]


def test_a_fault_before_anything_was_taken_still_starts_with_the_greeting() -> None:
    engine = Engine()
    engine.submit(BLOCK, b"{}", "a")
    result = only(engine.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert result.error is StreamError.UNPROCESSED
    assert [one.kind for one in split(engine.take())] == [
        frames.SETTINGS,
        frames.WINDOW_UPDATE,
        frames.GOAWAY,
    ]


# -- bytes in pieces


def test_any_cut_of_the_bytes_gives_the_same_results() -> None:
    stream_of_bytes = ok(1) + head(3, b"\x8c") + data(3, b"{}", end=True) + frames.ping(b"abcdefgh") + ok(5)
    for size in range(1, len(stream_of_bytes) + 1):
        engine = connected()
        open_streams(engine, 3)
        results = []
        for start in range(0, len(stream_of_bytes), size):
            results += engine.receive(stream_of_bytes[start : start + size])
        assert [(one.key, one.status) for one in results] == [("1", 200), ("3", 400), ("5", 200)]
        assert len(split(engine.take())) == 1


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_kinds_of_buffer_are_taken(kind: type) -> None:
    engine = connected()
    open_streams(engine, 1)
    assert only(engine.receive(kind(ok(1)))).apns_id == APNS_ID


def test_a_partial_frame_is_not_looked_at_until_it_is_whole() -> None:
    engine = connected()
    open_streams(engine, 1)
    frame = head(1, b"\x8c") + data(1, b"x" * 16_000, end=True)
    results = []
    for position in range(len(frame)):
        results += engine.receive(frame[position : position + 1])
    assert only(results).body == b"x" * 16_000
    assert len(engine._buffer) == 0


# -- what a result is


def test_the_common_answer_in_every_encoding() -> None:
    engine = connected()
    for block in (
        OK_BLOCK,
        b"\x20" + OK_BLOCK,
        OK_BLOCK.replace(b"\x00\x07", b"\x40\x07"),
        OK_BLOCK.replace(b"\x00\x07", b"\x10\x07"),
        OK_BLOCK + b"\x00\x0eapns-unique-id\x01x",
    ):
        for _ in range(2):
            (stream,) = open_streams(engine, 1)
            # The table size update may come once only where it changes something, but is never wrong.
            result = only(engine.receive(ok(stream, block)))
            assert (result.key, result.status, result.apns_id) == (str(stream), 200, APNS_ID)
            assert (result.body, result.error, result.fully_sent) == (b"", StreamError.NONE, True)
            assert "eabeae54" in repr(result)


def test_a_stream_that_goes_on_is_not_taken_for_the_common_answer() -> None:
    engine = connected()
    open_streams(engine, 2)
    assert engine.receive(head(1, OK_BLOCK)) == []
    assert engine.receive(data(1, b"")) == []
    assert only(engine.receive(data(1, b"", end=True))).status == 200
    # Trailers look like a 200 here, which they may not.
    engine.receive(head(3, b"\x8c"))
    result = only(engine.receive(ok(3)))
    assert (result.error, result.status) == (StreamError.PROTOCOL, 400)


def test_an_answer_before_the_whole_request_calls_the_rest_off() -> None:
    engine = connected(initial_window_size=0)
    stream = engine.submit(BLOCK, b"abc", "a")
    engine.take()
    result = only(engine.receive(ok(stream, b"\x48\x03413")))
    assert (result.status, result.error, result.fully_sent) == (413, StreamError.NONE, False)
    assert split(engine.take()) == [Frame(frames.RST_STREAM, 0, stream, word(ErrorCode.CANCEL))]


def test_an_upload_that_ends_after_the_answer_began_keeps_the_answer() -> None:
    engine = connected(initial_window_size=0)
    stream = engine.submit(BLOCK, b"abc", "a")
    engine.take()
    engine.receive(head(stream, b"\x8c") + frame_window(stream, 3))
    assert split(engine.take()) == [Frame(frames.DATA, frames.END_STREAM, stream, b"abc")]
    result = only(engine.receive(data(stream, b"{}", end=True)))
    assert (result.status, result.body, result.fully_sent) == (400, b"{}", True)
    assert engine.take() == b""


def test_nothing_is_kept_of_streams_that_ended() -> None:
    engine = connected()
    open_streams(engine, 4)
    engine.receive(head(1, b"\x8c") + data(1, b"{}", end=True) + ok(3) + frames.rst_stream(5, 7))
    engine.cancel(7)
    assert not any((engine._keys, engine._special, engine._answers, engine._unflushed))
    assert not engine._uploads.waiting


def test_a_goaway_with_requests_still_queued_takes_them_back() -> None:
    engine = connected()
    open_streams(engine, 1)
    open_streams(engine, 2, take=False)
    results = engine.receive(goaway(1))
    assert [(one.key, one.error) for one in results] == [
        ("3", StreamError.UNPROCESSED),
        ("5", StreamError.UNPROCESSED),
    ]
    assert engine.take() == b""
    assert only(engine.receive(ok(1))).status == 200


@pytest.mark.parametrize("more", [b"", b"\x00\x01a\x01b"])
def test_the_unique_id_of_the_development_environment_is_read_wherever_it_stands(more: bytes) -> None:
    unique = b"\x00\x0eapns-unique-id\x045a6b"
    engine = connected()
    first, second, third = open_streams(engine, 3)
    found = engine.receive(ok(first, OK_BLOCK + more))
    found += engine.receive(ok(second, OK_BLOCK + more + unique) + ok(third, b"\x88" + unique + OK_BLOCK[1:]))
    assert [(one.apns_id, one.unique_id) for one in found] == [
        (APNS_ID, b""),
        (APNS_ID, b"5a6b"),
        (APNS_ID, b"5a6b"),
    ]
