"""Frames for the engine's tests, written by hand where the fault is the point, and read back simply."""

from __future__ import annotations

from typing import NamedTuple

from tubepost_dispatcher.apns.http2 import frames, hpackenc
from tubepost_dispatcher.apns.http2.engine import Engine
from tubepost_dispatcher.apns.http2.results import EngineLimits, StreamResult

BLOCK = hpackenc.request_prefix(b"localhost") + hpackenc.path_field(b"/3/device/00")
APNS_ID = b"eabeae54-14a8-11e5-b60b-1697f925ec7b"
OK_BLOCK = b"\x88\x00\x07apns-id\x24" + APNS_ID


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    body: bytes


def frame(kind: int, flags: int = 0, stream: int = 0, body: bytes = b"") -> bytes:
    return frames.HEAD.pack(len(body) << 8 | kind, flags, stream) + body


def split(data: bytes) -> list[Frame]:
    """Read what the engine wrote; the preface is left out."""
    data = data.removeprefix(frames.PREFACE)
    found = []
    while data:
        word, flags, stream = frames.HEAD.unpack_from(data)
        stop = 9 + (word >> 8)
        assert len(data) >= stop, "half a frame"
        found.append(Frame(word & 0xFF, flags, stream, data[9:stop]))
        data = data[stop:]
    return found


def word(value: int) -> bytes:
    return frames.WORD.pack(value)


def rst(stream: int, code: int) -> bytes:
    return frame(frames.RST_STREAM, 0, stream, word(code))


def goaway(last: int, code: int = 0, debug: bytes = b"") -> bytes:
    return frame(frames.GOAWAY, 0, 0, frames.PAIR.pack(last, code) + debug)


def ok(stream: int, block: bytes = OK_BLOCK) -> bytes:
    return frame(frames.HEADERS, frames.END_STREAM | frames.END_HEADERS, stream, block)


def head(stream: int, block: bytes) -> bytes:
    return frame(frames.HEADERS, frames.END_HEADERS, stream, block)


def data(stream: int, body: bytes, *, end: bool = False) -> bytes:
    return frame(frames.DATA, frames.END_STREAM if end else 0, stream, body)


def connected(
    limit: int | None = 100,
    *,
    limits: EngineLimits | None = None,
    acked: bool = True,
    **values: int,
) -> Engine:
    """Make an engine of which the greetings are over and everything written is taken."""
    engine = Engine(limits or EngineLimits())
    engine.take()
    announced = {} if limit is None else {frames.SETTINGS_MAX_CONCURRENT_STREAMS: limit}
    announced |= {getattr(frames, f"SETTINGS_{name.upper()}"): value for name, value in values.items()}
    assert not engine.receive(frames.settings(announced) + (frames.SETTINGS_ACK if acked else b""))
    engine.take()
    return engine


def open_streams(engine: Engine, count: int, body: bytes = b"{}", *, take: bool = True) -> list[int]:
    """Submit requests whose keys are their stream ids as text."""
    ids = []
    for _ in range(count):
        expected = engine._next_id
        ids.append(engine.submit(BLOCK, body, str(expected)))
        assert ids[-1] == expected
    if take:
        engine.take()
    return ids


def only(results: list[StreamResult]) -> StreamResult:
    assert len(results) == 1
    return results[0]
