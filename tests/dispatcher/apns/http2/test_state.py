"""Floods: bounded work, bounded memory, and an end with ENHANCE_YOUR_CALM."""

from __future__ import annotations

import pytest

from tests.dispatcher.apns.http2.wire import connected, data, frame, head, ok, open_streams, rst, split, word
from tubepost_dispatcher.apns.http2 import frames
from tubepost_dispatcher.apns.http2.engine import Engine
from tubepost_dispatcher.apns.http2.results import ConnectionState, EngineLimits, ErrorCode, StreamError

LIMITS = EngineLimits(max_idle_frames=100)
FLOODS = {
    "empty DATA": data(1, b""),
    "tiny DATA": data(1, b"x"),
    "DATA on a closed stream": data(3, b"", end=True),
    "HEADERS on a closed stream": ok(3),
    "informational": head(5, b"\x08\x03103"),
    "PRIORITY": frame(frames.PRIORITY, 0, 1, b"\0" * 5),
    "RST_STREAM on a closed stream": rst(3, 0),
    "SETTINGS": frames.settings({frames.SETTINGS_MAX_CONCURRENT_STREAMS: 100}),
    "SETTINGS ack": frames.SETTINGS_ACK,
    "PING": frames.ping(b"\0" * 8),
    "PING ack": frames.ping(b"\0" * 8, frames.ACK),
    "GOAWAY": frame(frames.GOAWAY, 0, 0, word(2**31 - 1) + word(0)),
    "WINDOW_UPDATE": frames.window_update(0, 1),
    "WINDOW_UPDATE on a stream": frames.window_update(1, 1),
    "WINDOW_UPDATE on a closed stream": frames.window_update(3, 1),
    "unknown": frame(0xEE, 0, 0),
}


def flooded(engine: Engine) -> None:
    assert engine.state is ConnectionState.CLOSED
    last = split(engine.take())[-1]
    assert (last.kind, last.body[4:]) == (frames.GOAWAY, word(ErrorCode.ENHANCE_YOUR_CALM))


@pytest.mark.parametrize("name", FLOODS)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_flood_without_progress_ends_the_connection(name: str, at_once: bool) -> None:
    engine = connected(limits=LIMITS)
    open_streams(engine, 3)
    engine.receive(head(1, b"\x8c") + ok(3))
    results = []
    if at_once:
        results = engine.receive(FLOODS[name] * 200)
    else:
        for _ in range(200):
            results += engine.receive(FLOODS[name])
            engine.take() if engine.state is not ConnectionState.CLOSED else None
    assert sorted(str(one.key) for one in results) == ["1", "5"]
    assert {one.error for one in results} == {StreamError.LOST}
    flooded(engine)


@pytest.mark.parametrize(
    "name", sorted(set(FLOODS) - {"tiny DATA", "empty DATA", "GOAWAY", "SETTINGS", "SETTINGS ack"})
)
def test_the_same_frames_among_answers_are_no_flood(name: str) -> None:
    engine = connected(limits=LIMITS)
    open_streams(engine, 3)
    engine.receive(head(1, b"\x8c") + ok(3))
    for _ in range(100):
        (stream,) = open_streams(engine, 1)
        engine.receive(FLOODS[name] * 20)
        assert len(engine.receive(ok(stream))) == 1
        engine.take()
    assert engine.state is ConnectionState.OPEN


def test_our_own_ping_answered_counts_as_progress() -> None:
    engine = connected(limits=LIMITS)
    for _ in range(10):
        engine.receive(frames.ping(b"\0" * 8) * 60)
        engine.ping()
        engine.take()
        engine.receive(frames.ping(b"tubepost", frames.ACK))
    assert engine.state is ConnectionState.OPEN


def test_many_open_streams_allow_many_window_updates() -> None:
    engine = connected(1000, limits=LIMITS)
    streams = open_streams(engine, 30)
    engine.receive(b"".join(frames.window_update(0, 1) + frames.window_update(one, 1) for one in streams) * 5)
    assert engine.state is ConnectionState.OPEN


def test_answers_that_are_never_taken_do_not_pile_up() -> None:
    engine = connected()
    for _ in range(10_000):
        engine.receive(frames.ping(b"\0" * 8))
    assert sum(map(len, engine._out)) < 100
    flooded(engine)


def test_a_header_block_has_a_bound_however_it_is_cut() -> None:
    for size in (1, 100, 16_000):
        engine = connected()
        open_streams(engine, 1)
        sent = frame(frames.HEADERS, 0, 1, b"\x88")
        piece = frame(frames.CONTINUATION, 0, 1, b"\x00" * size)
        engine.receive(sent)
        for _ in range(20_000 // size + 1):
            engine.receive(piece)
        flooded(engine)


def test_a_header_block_in_one_frame_has_the_same_bound() -> None:
    engine = connected(limits=EngineLimits(max_header_block=40))
    open_streams(engine, 1)
    engine.receive(ok(1, b"\x88" + b"\x00\x01a\x01b" * 10))
    flooded(engine)


def test_empty_continuations_have_a_bound() -> None:
    engine = connected(limits=LIMITS)
    open_streams(engine, 1)
    engine.receive(frame(frames.HEADERS, 0, 1, b"\x88") + frame(frames.CONTINUATION, 0, 1) * 200)
    flooded(engine)


def test_a_partial_frame_is_never_more_than_one_frame() -> None:
    engine = connected()
    open_streams(engine, 1)
    engine.receive(head(1, b"\x8c"))
    for _ in range(5):
        engine.receive(data(1, b"x" * 3000)[:-1])
        assert len(engine._buffer) <= 9 + 16_384
        engine.receive(b"x")
        assert len(engine._buffer) == 0


def test_resets_of_ours_are_bounded_too() -> None:
    engine = connected(1000, limits=EngineLimits(max_control_output=100))
    open_streams(engine, 20)
    results = engine.receive(b"".join(data(stream, b"x") for stream in range(1, 41, 2)))
    assert sorted(int(str(one.key)) for one in results) == list(range(1, 41, 2))
    flooded(engine)
