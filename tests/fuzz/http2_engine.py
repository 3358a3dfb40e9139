"""The HTTP/2 engine, as a client whose peer sends anything.

No exception; memory within the engine's limits; frames of ours are whole; every stream ends exactly once;
what a request's fate is said to be agrees with what was taken; a failed connection stays closed.
"""

from __future__ import annotations

from tests.dispatcher.apns.http2.wire import BLOCK, OK_BLOCK, connected, data, goaway, head, ok, rst, split
from tests.fuzz.target import Target, chunks
from tubepost_dispatcher.apns.http2 import frames
from tubepost_dispatcher.apns.http2.engine import Engine
from tubepost_dispatcher.apns.http2.results import ConnectionState, EngineLimits, StreamError

_WINDOWS = (0, 1, 100, 65_535)
_STREAMS = (0, 1, 2, 3, 5, 7, 9, 11, 13, 99, 2**31 - 1, 2**32 - 1)


def run(sent: bytes) -> None:
    """Byte 0: mode. Bytes 1 and 2: sizes of chunks. Then the peer's bytes, or records of frames."""
    mode, first, second = (*sent[:3], 0, 0, 0)[:3]
    rest = sent[3:]
    if mode & 2:
        rest = _frames(rest)
    limits = {"initial_window_size": _WINDOWS[mode >> 2 & 3]}
    engine: Engine[int] = connected(acked=not mode & 32, **limits) if mode & 1 else Engine()
    submitted = 0
    cancelled = 0
    ended: list[int] = []
    for number, chunk in enumerate(chunks(rest, first, second)):
        for _ in range(min(2, engine.capacity(), 200 - submitted)):
            engine.submit(BLOCK, b"x" * (7000 * (number % 3)), submitted)
            submitted += 1
        if number % 2 == 0:
            split(engine.take())
        if mode & 16 and number % 7 == 3:
            engine.ping()
        if mode & 64 and number % 5 == 4:
            before = engine.open_streams
            engine.cancel(2 * (number % 4) + 1)
            cancelled += before - engine.open_streams
        if mode & 128 and number == 6:
            engine.close()
        for result in engine.receive(chunk):
            ended.append(result.key)
            _check(result)
        assert len(engine._buffer) <= 9 + 16_384
        assert engine._control_output <= EngineLimits().max_control_output + 32
        # What was submitted, and what answers the peer.
        assert sum(map(len, engine._out)) <= 16_000 * submitted + engine._control_output + 1_000
        assert engine.open_streams == submitted - cancelled - len(ended)
        assert 0 <= engine.capacity() <= max(0, engine.stream_limit - engine.open_streams)
        assert (engine.failure != "") == (engine.state is ConnectionState.CLOSED)
        assert engine.failure.isascii()
        assert engine.failure.isprintable()
        if engine.state is ConnectionState.CLOSED:
            assert engine.receive(b"\0" * 9) == []
            assert engine.capacity() == 0
            break
    lost = engine.eof()
    for result in lost:
        _check(result)
        assert result.error in {StreamError.LOST, StreamError.UNPROCESSED}
    ended += [result.key for result in lost]
    split(engine.take())
    assert len(set(ended)) == len(ended) == submitted - cancelled
    assert not any((engine._special, engine._answers, engine._unflushed, engine._uploads.waiting))


def _check(result: object) -> None:
    assert len(result.body) <= 16_384
    assert isinstance(result.apns_id, bytes)
    assert len(result.retry_after) <= 16_384
    assert result.error is not StreamError.NONE or result.status >= 200
    repr(result)


def _frames(records: bytes) -> bytes:
    """Records of kind, flags, stream, length and payload as frames; bit 7 of the kind: payload times 128."""
    sent = bytearray()
    position = 0
    while position + 4 <= len(records):
        kind, flags, stream, length = records[position : position + 4]
        position += 4
        body = records[position : position + length]
        position += length
        if kind & 0x80:
            body *= 128
        word = min(len(body), 0xFFFFFF) << 8 | (kind & 0x0F)
        sent += frames.HEAD.pack(word, flags, _STREAMS[stream % len(_STREAMS)]) + body
    return bytes(sent)


_SETTINGS = frames.settings({frames.SETTINGS_MAX_CONCURRENT_STREAMS: 3, frames.SETTINGS_HEADER_TABLE_SIZE: 0})
_ANSWERS = (
    ok(1)
    + head(3, b"\x8c" + OK_BLOCK[1:])
    + data(3, b'{"reason":"BadDeviceToken"}', end=True)
    + frames.window_update(0, 1000)
    + frames.ping(b"01234567")
    + rst(5, 7)
    + goaway(7, 0, b'{"reason":"Shutdown"}')
    + ok(7)
)
TARGET = Target(
    run,
    8_192,
    (
        b"\x01\x00\x00" + _ANSWERS,
        b"\x01\x09\x05" + _ANSWERS,
        b"\x00\x00\x00" + _SETTINGS + frames.SETTINGS_ACK + _ANSWERS,
        b"\xff\x10\x03" + _ANSWERS,
        b"\x03\x20\x20" + b"\x01\x05\x01\x01\x88" + b"\x81\x04\x03\x02\x88\xbe" + b"\x80\x01\x01\x02ab",
        b"\x03\x00\x00" + b"\x04\x00\x00\x06\x00\x03\x00\x00\x00\x00" + b"\x08\x00\x00\x04\x00\x00\x10\x00",
        b"\x03\x40\x40\x01\x00\x01\x01\x88\x09\x04\x01\x09\x40\x07apns-id\x07\x00\x00\x08" + bytes(8),
    ),
    (
        OK_BLOCK,
        b"\x88",
        b"\x8c",
        b"\x08\x03103",
        b"\x20",
        b"\x3f\xe1\x1f",
        b"apns-id",
        b"retry-after",
        b"\x7f",
    ),
)
