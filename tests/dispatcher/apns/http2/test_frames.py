"""Frames written, against the hyperframe library's reading of them."""

from __future__ import annotations

from hyperframe.frame import Frame as Oracle
from hyperframe.frame import GoAwayFrame, PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

from tests.dispatcher.apns.http2.wire import data, ok, split
from tubepost_dispatcher.apns.http2 import frames


def read(sent: bytes) -> Oracle:
    oracle, length = Oracle.parse_frame_header(memoryview(sent)[:9], strict=True)
    assert len(sent) == 9 + length
    oracle.parse_body(memoryview(sent)[9:])
    return oracle


def test_frames_read_back() -> None:
    settings = read(frames.settings({1: 0, 4: 32_768}))
    assert isinstance(settings, SettingsFrame)
    assert settings.settings == {1: 0, 4: 32_768}
    window = read(frames.window_update(7, 99))
    assert isinstance(window, WindowUpdateFrame)
    assert (window.stream_id, window.window_increment) == (7, 99)
    reset = read(frames.rst_stream(7, 8))
    assert isinstance(reset, RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (7, 8)
    ping = read(frames.ping(b"01234567", frames.ACK))
    assert isinstance(ping, PingFrame)
    assert (ping.opaque_data, "ACK" in ping.flags) == (b"01234567", True)
    goaway = read(frames.goaway(11, b"why"))
    assert isinstance(goaway, GoAwayFrame)
    assert (goaway.last_stream_id, goaway.error_code, goaway.additional_data) == (0, 11, b"why")
    ack = read(frames.SETTINGS_ACK)
    assert "ACK" in ack.flags


def test_streams_are_cut_out_and_nothing_else() -> None:
    kept = [frames.PREFACE, frames.settings({}), ok(1), data(5, b"x"), frames.ping(b"01234567")]
    dropped = [ok(3), data(3, b"y"), frames.rst_stream(3, 8)]
    mixed = [kept[0], kept[1], dropped[0], kept[2], dropped[1], kept[3], kept[4], dropped[2]]
    assert frames.without_streams(b"".join(mixed), {3}) == b"".join(kept)
    assert frames.without_streams(b"", {1}) == b""


def test_a_block_that_fits_exactly_is_one_frame() -> None:
    written = b"".join(frames.header_frames(b"x" * 10, 1, 0, 10))
    assert [(one.kind, one.flags) for one in split(written)] == [(frames.HEADERS, frames.END_HEADERS)]
    written = b"".join(frames.header_frames(b"x" * 11, 1, frames.END_STREAM, 10))
    assert [(one.kind, one.flags) for one in split(written)] == [
        (frames.HEADERS, frames.END_STREAM),
        (frames.CONTINUATION, frames.END_HEADERS),
    ]
