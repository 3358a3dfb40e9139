"""Whatever bytes come: no exception, no loop, bounded memory, legal output, and one result for each stream."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dispatcher.apns.http2.wire import (
    BLOCK,
    OK_BLOCK,
    connected,
    data,
    frame,
    goaway,
    head,
    ok,
    rst,
    split,
)
from tubepost_dispatcher.apns.http2 import frames
from tubepost_dispatcher.apns.http2.engine import Engine
from tubepost_dispatcher.apns.http2.results import ConnectionState, StreamError

IDS = st.sampled_from([0, 1, 2, 3, 5, 7, 9, 99, 2**31 - 1])
SHORT = st.binary(max_size=40)
BLOCKS = st.one_of(
    st.just(OK_BLOCK),
    st.sampled_from(
        [b"", b"\x88", b"\x8c", b"\x08\x03103", b"\x20\x88", b"\xbe", b"\x88\x40\x07apns-id\x01x"]
    ),
    SHORT,
)
FRAMES = st.one_of(
    st.builds(frame, st.integers(0, 12), st.integers(0, 255), IDS, SHORT),
    st.builds(frame, st.just(frames.HEADERS), st.sampled_from([0, 1, 4, 5, 13, 37, 45]), IDS, BLOCKS),
    st.builds(frame, st.just(frames.CONTINUATION), st.sampled_from([0, 4]), IDS, BLOCKS),
    st.builds(frame, st.just(frames.DATA), st.sampled_from([0, 1, 8, 9]), IDS, SHORT),
    st.builds(ok, IDS, BLOCKS),
    st.builds(head, IDS, BLOCKS),
    st.builds(lambda stream, size: data(stream, b"x" * size), IDS, st.integers(0, 16_385)),
    st.builds(rst, IDS, st.integers(0, 14)),
    st.builds(goaway, IDS, st.integers(0, 14), SHORT),
    st.builds(frames.window_update, IDS, st.sampled_from([0, 1, 10, 70_000, 2**31 - 1])),
    st.builds(
        frames.settings,
        st.dictionaries(
            st.integers(0, 7), st.sampled_from([0, 1, 100, 16_384, 65_535, 2**31 - 1, 2**32 - 1])
        ),
    ),
    st.builds(frames.ping, st.binary(min_size=8, max_size=8), st.sampled_from([0, 1])),
)
CUTS = st.lists(st.integers(1, 60), max_size=30)


def feed(engine: Engine, sent: bytes, cuts: Sequence[int]) -> None:
    """Drive an engine through everything and check what holds for any input."""
    submitted = 0
    ended: list[object] = []
    position = 0
    for number, size in enumerate([*cuts, len(sent)]):
        for _ in range(min(2, engine.capacity())):
            engine.submit(BLOCK, b"x" * (7000 * (number % 3)), submitted)
            submitted += 1
        if number % 2 == 0:
            split(engine.take())
        results = engine.receive(sent[position : position + size])
        position += size
        for result in results:
            ended.append(result.key)
            assert len(result.body) <= 16_384
            assert isinstance(result.apns_id, bytes)
            assert result.error is not StreamError.NONE or result.status >= 200
        assert len(engine._buffer) <= 9 + 16_384
        assert engine.open_streams == submitted - len(ended)
        assert 0 <= engine.capacity() <= max(0, engine.stream_limit - engine.open_streams)
        assert (engine.failure != "") == (engine.state is ConnectionState.CLOSED)
    ended += [result.key for result in engine.eof()]
    split(engine.take())
    assert sorted(map(str, ended)) == sorted(map(str, range(submitted)))
    assert not any((engine._special, engine._answers, engine._unflushed, engine._uploads.waiting))


@given(st.binary(max_size=400), CUTS, st.booleans())
def test_random_bytes(sent: bytes, cuts: list[int], greeted: bool) -> None:
    feed(connected() if greeted else Engine(), sent, cuts)


@settings(max_examples=300)
@given(st.lists(FRAMES, max_size=20), CUTS, st.sampled_from([0, 1, 100, 65_535]), st.booleans())
def test_random_frames(sent: list[bytes], cuts: list[int], window: int, acked: bool) -> None:
    feed(connected(initial_window_size=window, acked=acked), b"".join(sent), cuts)


@settings(max_examples=200)
@given(st.data(), CUTS)
def test_valid_frames_with_a_few_bytes_changed(draw: st.DataObject, cuts: list[int]) -> None:
    sent = bytearray(
        ok(1)
        + head(3, b"\x8c" + OK_BLOCK[1:])
        + data(3, b'{"reason":"BadDeviceToken"}', end=True)
        + frames.settings({frames.SETTINGS_MAX_CONCURRENT_STREAMS: 1})
        + frames.window_update(0, 1000)
        + frames.ping(b"01234567")
        + goaway(5, 0, b'{"reason":"Shutdown"}')
        + ok(5)
    )
    for _ in range(draw.draw(st.integers(1, 4))):
        sent[draw.draw(st.integers(0, len(sent) - 1))] = draw.draw(st.integers(0, 255))
    feed(connected(), bytes(sent), cuts)
