"""The server's frames, one by one: what is legal, what ends a stream, what ends the connection."""

from __future__ import annotations

import pytest

from tests.dispatcher.apns.http2.wire import (
    APNS_ID,
    BLOCK,
    OK_BLOCK,
    Frame,
    connected,
    data,
    frame,
    goaway,
    head,
    ok,
    only,
    open_streams,
    rst,
    split,
    word,
)
from tubepost_dispatcher.apns.http2 import frames, hpackenc
from tubepost_dispatcher.apns.http2.engine import Engine
from tubepost_dispatcher.apns.http2.results import ConnectionState, EngineLimits, ErrorCode, StreamError

BOTH = frames.END_STREAM | frames.END_HEADERS
REASON = b'{"reason":"BadDeviceToken"}'


def fails(engine: Engine, code: ErrorCode) -> None:
    assert engine.state is ConnectionState.CLOSED, engine.failure
    assert engine.failure
    assert engine.failure_code == code
    last = split(engine.take())[-1]
    assert (last.kind, last.body[4:8]) == (frames.GOAWAY, word(code))


# -- answers


def test_a_refusal_with_a_body() -> None:
    engine = connected()
    open_streams(engine, 1)
    block = b"\x8c\x00\x07apns-id\x24" + APNS_ID + b"\x00\x0bretry-after\x0230"
    assert engine.receive(head(1, block) + data(1, REASON[:5])) == []
    result = only(engine.receive(data(1, REASON[5:], end=True)))
    assert (result.key, result.status, result.body) == ("1", 400, REASON)
    assert (result.apns_id, result.retry_after, result.error) == (APNS_ID, b"30", StreamError.NONE)


@pytest.mark.parametrize("length", [0, 1, 255])
def test_padding_and_priority_are_peeled_off(length: int) -> None:
    engine = connected()
    open_streams(engine, 1)
    flags = frames.END_HEADERS | frames.PADDED | frames.HAS_PRIORITY
    engine.receive(
        frame(frames.HEADERS, flags, 1, bytes([length]) + b"\0\0\0\0\x10" + b"\x8c" + b"\0" * length)
    )
    flags = frames.END_STREAM | frames.PADDED
    result = only(engine.receive(frame(frames.DATA, flags, 1, bytes([length]) + REASON + b"\0" * length)))
    assert (result.status, result.body) == (400, REASON)


def test_a_block_in_pieces_is_put_together() -> None:
    engine = connected()
    open_streams(engine, 1)
    results = engine.receive(
        frame(frames.HEADERS, frames.END_STREAM, 1, OK_BLOCK[:3])
        + frame(frames.CONTINUATION, 0, 1, OK_BLOCK[3:20])
        + frame(frames.CONTINUATION, 0, 1, b"")
        + frame(frames.CONTINUATION, frames.END_HEADERS, 1, OK_BLOCK[20:]),
    )
    assert only(results).apns_id == APNS_ID


def test_informational_answers_are_passed_over() -> None:
    engine = connected()
    open_streams(engine, 1)
    assert engine.receive(head(1, b"\x08\x03103") + head(1, b"\x08\x03100")) == []
    assert only(engine.receive(ok(1))).status == 200


def test_trailers_end_a_stream() -> None:
    engine = connected()
    open_streams(engine, 1)
    engine.receive(head(1, OK_BLOCK) + data(1, b"x"))
    result = only(engine.receive(ok(1, b"\x00\x01a\x01b")))
    assert (result.status, result.body, result.apns_id) == (200, b"x", APNS_ID)


def test_the_reserved_bit_of_a_stream_id_is_ignored() -> None:
    engine = connected()
    open_streams(engine, 1)
    assert only(engine.receive(frame(frames.HEADERS, BOTH, 2**31 + 1, OK_BLOCK))).key == "1"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (ok(1, b"\x00\x01a\x01b"), 0),
        (ok(1, b"\x88\x00\x01A\x01b"), 0),
        (ok(1, b"\x08\x03103"), 0),
        (head(1, b"\x08\x03101"), 0),
        (data(1, b"x"), 0),
        (head(1, OK_BLOCK) + head(1, b"\x00\x01a\x01b"), 200),
        (head(1, OK_BLOCK) + ok(1, b"\x88"), 200),
    ],
    ids=["no status", "upper case", "ended 1xx", "101", "DATA first", "second block", "status in trailers"],
)
def test_a_malformed_answer_resets_its_stream_alone(sent: bytes, status: int) -> None:
    engine = connected()
    open_streams(engine, 2)
    result = only(engine.receive(sent))
    assert (result.key, result.error, result.status) == ("1", StreamError.PROTOCOL, status)
    assert result.error_code == ErrorCode.PROTOCOL_ERROR
    assert split(engine.take()) == [Frame(frames.RST_STREAM, 0, 1, word(ErrorCode.PROTOCOL_ERROR))]
    assert only(engine.receive(ok(3))).status == 200


def test_a_body_beyond_the_bound_resets_its_stream_and_keeps_the_status() -> None:
    engine = connected()
    open_streams(engine, 2)
    engine.receive(head(1, OK_BLOCK) + data(1, b"x" * 16_384))
    assert engine.open_streams == 2
    result = only(engine.receive(data(1, b"x")))
    assert (result.error, result.status, result.apns_id) == (StreamError.PROTOCOL, 200, APNS_ID)
    assert len(result.body) == 16_384
    assert Frame(frames.RST_STREAM, 0, 1, word(ErrorCode.CANCEL)) in split(engine.take())
    assert engine.receive(data(1, b"more", end=True)) == []


def test_the_fast_path_does_not_stand_in_a_header_block_of_another_stream() -> None:
    engine = connected()
    open_streams(engine, 2)
    engine.receive(frame(frames.HEADERS, frames.END_STREAM, 1, OK_BLOCK[:3]))
    assert len(engine.receive(ok(3))) == 2
    fails(engine, ErrorCode.PROTOCOL_ERROR)


# -- flow control on the way in


def test_the_connection_window_is_replenished_at_half_padding_included() -> None:
    engine = connected(limits=EngineLimits(connection_window=100_000))
    open_streams(engine, 100)
    updates = []
    for stream in range(1, 21, 2):
        padded = frame(
            frames.DATA, frames.END_STREAM | frames.PADDED, stream, b"\xc7" + b"x" * 9_800 + b"\0" * 199
        )
        only(engine.receive(head(stream, b"\x8c") + padded))
        updates += [one.body for one in split(engine.take())]
    assert updates == [word(60_000)]


def test_data_on_closed_streams_counts_for_the_connection_window() -> None:
    engine = connected(limits=EngineLimits(connection_window=100_000))
    open_streams(engine, 1)
    engine.cancel(1)
    engine.take()
    engine.receive(data(1, b"x" * 16_000) * 4)
    assert split(engine.take()) == [Frame(frames.WINDOW_UPDATE, 0, 0, word(64_000))]


def test_a_stream_window_eaten_by_padding_is_replenished() -> None:
    engine = connected()
    open_streams(engine, 1)
    engine.receive(head(1, b"\x8c"))
    piece = frame(frames.DATA, frames.PADDED, 1, b"\xff" + b"x" + b"\0" * 255)
    engine.receive(piece * 64)
    assert split(engine.take()) == [Frame(frames.WINDOW_UPDATE, 0, 1, word(64 * 257))]
    assert only(engine.receive(data(1, b"", end=True))).body == b"x" * 64


# -- resets and GOAWAY


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (ErrorCode.REFUSED_STREAM, StreamError.REFUSED),
        (ErrorCode.CANCEL, StreamError.RESET),
        (ErrorCode.NO_ERROR, StreamError.RESET),
        (0xFFFF_FFFF, StreamError.RESET),
    ],
)
def test_a_reset_stream_says_how(code: int, error: StreamError) -> None:
    engine = connected()
    open_streams(engine, 1)
    result = only(engine.receive(rst(1, code)))
    assert (result.error, result.error_code, result.fully_sent) == (error, code, True)


def test_refused_after_the_answer_began_is_no_refusal() -> None:
    engine = connected()
    open_streams(engine, 1)
    result = only(engine.receive(head(1, OK_BLOCK) + rst(1, ErrorCode.REFUSED_STREAM)))
    assert (result.error, result.status) == (StreamError.RESET, 200)


def test_a_reset_before_the_request_was_complete_is_told_from_one_after() -> None:
    engine = connected(initial_window_size=0)
    engine.submit(BLOCK, b"abc", "a")
    engine.take()
    result = only(engine.receive(rst(1, ErrorCode.INTERNAL_ERROR)))
    assert (result.error, result.fully_sent) == (StreamError.RESET, False)


def test_a_reset_after_the_end_is_ignored() -> None:
    engine = connected()
    open_streams(engine, 1)
    assert len(engine.receive(ok(1) + rst(1, 0))) == 1


def test_goaway_gives_back_what_is_above_it_and_awaits_the_rest() -> None:
    engine = connected()
    open_streams(engine, 4)
    results = engine.receive(goaway(3, 0, b'{"reason":"Shutdown"}'))
    assert [(one.key, one.error) for one in results] == [
        ("5", StreamError.UNPROCESSED),
        ("7", StreamError.UNPROCESSED),
    ]
    assert (engine.state, engine.capacity(), engine.open_streams) == (ConnectionState.DRAINING, 0, 2)
    assert engine.goaway is not None
    assert (engine.goaway.last_stream_id, engine.goaway.debug) == (3, b'{"reason":"Shutdown"}')
    assert only(engine.receive(ok(1))).status == 200
    assert engine.receive(ok(7)) == []
    lost = only(engine.eof())
    assert (lost.key, lost.error) == ("3", StreamError.LOST)


def test_a_graceful_notice_is_followed_by_the_real_one() -> None:
    engine = connected()
    open_streams(engine, 3)
    assert engine.receive(goaway(2**31 - 1)) == []
    assert engine.capacity() == 0
    assert only(engine.receive(ok(1))).status == 200
    assert [one.key for one in engine.receive(goaway(3))] == ["5"]


def test_a_goaway_that_rises_changes_nothing_back() -> None:
    engine = connected()
    open_streams(engine, 3)
    assert len(engine.receive(goaway(3))) == 1
    assert engine.receive(goaway(9, 2, b"x")) == []
    assert engine.goaway is not None
    assert (engine.goaway.last_stream_id, engine.goaway.error_code) == (3, 2)


def test_goaway_0_means_that_nothing_was_done() -> None:
    engine = connected()
    open_streams(engine, 2)
    results = engine.receive(goaway(0, ErrorCode.ENHANCE_YOUR_CALM))
    assert [one.error for one in results] == [StreamError.UNPROCESSED] * 2
    assert [one.error_code for one in results] == [ErrorCode.ENHANCE_YOUR_CALM] * 2
    assert engine.eof() == []


def test_the_end_of_a_request_above_a_goaway_is_not_sent_any_more() -> None:
    engine = connected()
    ids = open_streams(engine, 4, b"x" * 20_000)  # the last one waits for the connection's window
    update = frames.window_update(0, 60_000)
    done = engine.receive(update + goaway(0))
    assert {result.error for result in done} == {StreamError.UNPROCESSED}
    assert [result.fully_sent for result in done] == [True, True, True, False]
    assert not [frame for frame in split(engine.take()) if frame.stream in ids]


def test_what_was_cancelled_before_it_was_sent_goes_with_the_rest_above_a_goaway() -> None:
    engine = connected()
    # The first header block could announce a change of the table's size.
    ids = open_streams(engine, 2, take=False)
    engine.cancel(ids[1])
    done = engine.receive(goaway(0))
    assert [result.error for result in done] == [StreamError.UNPROCESSED]
    assert not [frame for frame in split(engine.take()) if frame.stream in ids]


def test_goaway_does_not_undo_an_answer_that_has_begun() -> None:
    engine = connected()
    open_streams(engine, 2)
    engine.receive(head(1, b"\x8c"))
    assert only(engine.receive(goaway(0))).key == "3"
    assert only(engine.receive(data(1, REASON, end=True))).body == REASON


def test_goaway_keeps_1024_bytes_of_what_it_says() -> None:
    engine = connected()
    engine.receive(goaway(0, 0, b"x" * 5000))
    assert engine.goaway is not None
    assert engine.goaway.debug == b"x" * 1024


def test_goaway_before_anything_was_taken_leaves_the_greeting() -> None:
    engine = Engine()
    engine.submit(BLOCK, b"{}", "a")
    result = only(engine.receive(frames.settings({}) + goaway(0)))
    assert result.error is StreamError.UNPROCESSED
    written = engine.take()
    assert written.startswith(frames.PREFACE)
    assert [one.kind for one in split(written)] == [frames.SETTINGS, frames.WINDOW_UPDATE, frames.SETTINGS]


# -- SETTINGS, PING, WINDOW_UPDATE


def test_settings_are_applied_before_they_are_acknowledged() -> None:
    engine = connected()
    engine.receive(frames.settings({frames.SETTINGS_MAX_CONCURRENT_STREAMS: 8000, 0x99: 7}))
    assert engine.stream_limit == 8000
    assert engine.take() == frames.SETTINGS_ACK


def test_a_value_given_twice_counts_as_the_last() -> None:
    engine = connected()
    pair = frames.SETTING.pack(frames.SETTINGS_MAX_CONCURRENT_STREAMS, 1)
    other = frames.SETTING.pack(frames.SETTINGS_MAX_CONCURRENT_STREAMS, 2)
    engine.receive(frame(frames.SETTINGS, 0, 0, pair + other))
    assert engine.stream_limit == 2


def test_a_ping_is_echoed() -> None:
    engine = connected()
    engine.receive(frames.ping(b"\0\1\2\3\4\5\6\7"))
    assert split(engine.take()) == [Frame(frames.PING, frames.ACK, 0, b"\0\1\2\3\4\5\6\7")]


def test_priority_and_unknown_frames_are_ignored() -> None:
    engine = connected()
    open_streams(engine, 1)
    junk = frame(frames.PRIORITY, 0, 1, b"\0" * 5) + frame(0x10, 0, 0, b"abc") + frame(0xFF, 0xFF, 2**31 - 1)
    assert only(engine.receive(junk + ok(1))).status == 200
    assert engine.take() == b""


@pytest.mark.parametrize(
    ("increments", "code"),
    [((0,), ErrorCode.PROTOCOL_ERROR), ((2**31 - 1, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR)],
)
def test_a_bad_stream_window_resets_the_stream(increments: tuple[int, ...], code: ErrorCode) -> None:
    engine = connected(initial_window_size=0)
    # More than the connection's window, so that there is something to wait for all the time.
    engine.submit(BLOCK, b"x" * 70_000, "a")
    engine.take()
    result = only(engine.receive(b"".join(frames.window_update(1, one) for one in increments)))
    assert (result.error, result.error_code, result.fully_sent) == (StreamError.PROTOCOL, code, False)
    assert engine.state is ConnectionState.OPEN


def test_a_window_of_a_finished_upload_does_not_matter() -> None:
    engine = connected()
    open_streams(engine, 1)
    assert engine.receive(frames.window_update(1, 2**31 - 1) * 2) == []
    assert engine.state is ConnectionState.OPEN


# -- what ends the connection

SETTINGS_RESERVED = frame(frames.SETTINGS, 0, 0, frames.SETTING.pack(frames.SETTINGS_ENABLE_PUSH, 1))
FATAL = {
    "DATA on 0": (data(0, b"x"), ErrorCode.PROTOCOL_ERROR),
    "DATA on an idle stream": (data(99, b"x"), ErrorCode.PROTOCOL_ERROR),
    "DATA all padding": (frame(frames.DATA, frames.PADDED, 1, b"\x05abc"), ErrorCode.PROTOCOL_ERROR),
    "DATA without padding": (frame(frames.DATA, frames.PADDED, 1), ErrorCode.FRAME_SIZE_ERROR),
    "HEADERS on 0": (ok(0), ErrorCode.PROTOCOL_ERROR),
    "HEADERS on an idle stream": (ok(99), ErrorCode.PROTOCOL_ERROR),
    "HEADERS on a server's stream": (ok(2), ErrorCode.PROTOCOL_ERROR),
    "HEADERS without priority": (
        frame(frames.HEADERS, BOTH | frames.HAS_PRIORITY, 1, b"\0\0\0\0"),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "HEADERS unreadable": (ok(1, b"\x80"), ErrorCode.COMPRESSION_ERROR),
    "HEADERS unreadable on a closed stream": (rst(1, 0) + ok(1, b"\x80"), ErrorCode.COMPRESSION_ERROR),
    "HEADERS too big": (
        ok(1, b"\x40\x01a" + hpackenc.integer(4000, 7, 0) + b"x" * 4000 + b"\xbe" * 100),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "CONTINUATION of nothing": (frame(frames.CONTINUATION, 4, 1, b"\x88"), ErrorCode.PROTOCOL_ERROR),
    "CONTINUATION of another": (
        frame(frames.HEADERS, 0, 1, b"\x88") + frame(frames.CONTINUATION, 4, 3),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "PING in a header block": (
        frame(frames.HEADERS, 0, 1, b"\x88") + frames.ping(b"\0" * 8),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "PUSH_PROMISE": (frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2\x88"), ErrorCode.PROTOCOL_ERROR),
    "RST_STREAM on 0": (rst(0, 0), ErrorCode.PROTOCOL_ERROR),
    "RST_STREAM on an idle stream": (rst(99, 0), ErrorCode.PROTOCOL_ERROR),
    "RST_STREAM length": (frame(frames.RST_STREAM, 0, 1, b"\0\0\0"), ErrorCode.FRAME_SIZE_ERROR),
    "SETTINGS on a stream": (frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "SETTINGS length": (frame(frames.SETTINGS, 0, 0, b"\0"), ErrorCode.FRAME_SIZE_ERROR),
    "SETTINGS ack with a body": (frame(frames.SETTINGS, 1, 0, b"\0" * 6), ErrorCode.FRAME_SIZE_ERROR),
    "SETTINGS push": (SETTINGS_RESERVED, ErrorCode.PROTOCOL_ERROR),
    "SETTINGS window": (
        frames.settings({frames.SETTINGS_INITIAL_WINDOW_SIZE: 2**31}),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "SETTINGS small frame": (
        frames.settings({frames.SETTINGS_MAX_FRAME_SIZE: 16_383}),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "SETTINGS large frame": (
        frames.settings({frames.SETTINGS_MAX_FRAME_SIZE: 2**24}),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "PING on a stream": (frame(frames.PING, 0, 1, b"\0" * 8), ErrorCode.PROTOCOL_ERROR),
    "PING length": (frame(frames.PING, 0, 0, b"\0" * 7), ErrorCode.FRAME_SIZE_ERROR),
    "GOAWAY on a stream": (frame(frames.GOAWAY, 0, 1, b"\0" * 8), ErrorCode.PROTOCOL_ERROR),
    "GOAWAY length": (frame(frames.GOAWAY, 0, 0, b"\0" * 7), ErrorCode.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE length": (frame(frames.WINDOW_UPDATE, 0, 0, b"\0" * 5), ErrorCode.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE by 0": (frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR),
    "WINDOW_UPDATE too far": (frames.window_update(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR),
    "WINDOW_UPDATE on an idle stream": (frames.window_update(99, 1), ErrorCode.PROTOCOL_ERROR),
    "a frame above 16,384": (frame(0xFF, 0, 0, b"\0" * 16_385), ErrorCode.FRAME_SIZE_ERROR),
    "the head of one": (frames.HEAD.pack(16_385 << 8 | 0xFF, 0, 0), ErrorCode.FRAME_SIZE_ERROR),
}


@pytest.mark.parametrize("name", FATAL)
def test_a_fault_ends_the_connection_and_gives_every_stream_back(name: str) -> None:
    sent, code = FATAL[name]
    engine = connected()
    open_streams(engine, 2)
    results = engine.receive(sent)
    assert sorted(str(one.key) for one in results) == ["1", "3"]
    assert {one.error for one in results} <= {StreamError.LOST, StreamError.RESET}
    fails(engine, code)
    assert engine.eof() == []


@pytest.mark.parametrize(
    "sent", [frames.ping(b"\0" * 8), frames.SETTINGS_ACK, ok(1), b"HTTP/1.1 400 Bad Request\r\n\r\n"]
)
def test_a_server_that_does_not_start_with_settings_is_no_http2_server(sent: bytes) -> None:
    engine = Engine()
    engine.submit(BLOCK, b"{}", "a")
    engine.take()
    assert only(engine.receive(sent)).error is StreamError.LOST
    assert engine.state is ConnectionState.CLOSED


def test_an_answer_to_a_request_that_was_never_taken_is_a_fault() -> None:
    engine = connected()
    open_streams(engine, 1)
    open_streams(engine, 1, take=False)
    results = engine.receive(rst(3, ErrorCode.INTERNAL_ERROR))
    assert [one.error for one in results] == [StreamError.LOST, StreamError.UNPROCESSED]
    fails(engine, ErrorCode.PROTOCOL_ERROR)


def test_a_stream_window_pushed_too_far_by_settings_is_a_fault() -> None:
    engine = connected(initial_window_size=0)
    engine.submit(BLOCK, b"x" * 70_000, "a")
    engine.take()
    engine.receive(frames.window_update(1, 2**31 - 1))
    engine.take()
    engine.receive(frames.settings({frames.SETTINGS_INITIAL_WINDOW_SIZE: 2**31 - 1}))
    fails(engine, ErrorCode.FLOW_CONTROL_ERROR)


def test_data_beyond_the_connection_window_is_a_fault() -> None:
    # Only a window smaller than one frame can be overrun, since it is replenished at once.
    engine = connected(limits=EngineLimits(connection_window=70_000, max_control_output=10**6))
    open_streams(engine, 1)
    engine._window = 100
    engine.receive(head(1, b"\x8c") + data(1, b"x" * 101))
    fails(engine, ErrorCode.FLOW_CONTROL_ERROR)
