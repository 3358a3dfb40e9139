"""Uploads: windows are honoured, nothing is lost or reordered, whatever the order of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.apns.http2.wire import split
from tubepost_dispatcher.apns.http2 import frames
from tubepost_dispatcher.apns.http2.sending import Uploads

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 40_000)),
        st.tuples(st.just("connection"), st.integers(1, 30_000)),
        st.tuples(st.just("stream"), st.integers(1, 30_000)),
        st.tuples(st.just("initial"), st.integers(0, 30_000)),
        st.tuples(st.just("drop"), st.just(0)),
    ),
    max_size=40,
)


@given(EVENTS, st.integers(0, 10**6))
def test_windows_are_never_overrun_and_used_as_far_as_they_go(
    events: list[tuple[str, int]], seed: int
) -> None:
    uploads = Uploads()
    connection = frames.DEFAULT_WINDOW
    initial = frames.DEFAULT_WINDOW
    windows: dict[int, int] = {}
    left: dict[int, int] = {}
    stream = 1
    for name, value in events:
        chosen = sorted(left)[seed % len(left)] if left else 0
        if name == "add":
            uploads.add(stream, b"x" * value)
            windows[stream] = initial
            left[stream] = value
            stream += 2
        elif name == "connection":
            assert uploads.open_connection(value)
            connection += value
        elif name == "stream" and chosen:
            assert uploads.open_stream(chosen, value)
            windows[chosen] += value
        elif name == "initial":
            assert uploads.set_initial(value)
            windows = {one: window + value - initial for one, window in windows.items()}
            initial = value
        elif name == "drop" and chosen:
            assert uploads.drop(chosen)
            assert not uploads.drop(chosen)
            del left[chosen]
        out: list[bytes] = []
        ended = uploads.pump(out)
        for one in split(b"".join(out)):
            size = len(one.body)
            assert 0 < size <= frames.DEFAULT_MAX_FRAME
            connection -= size
            windows[one.stream] -= size
            left[one.stream] -= size
            assert connection >= 0
            assert windows[one.stream] >= 0
            assert (one.flags == frames.END_STREAM) == (left[one.stream] == 0)
            if not left[one.stream]:
                assert one.stream in ended
                del left[one.stream]
        assert uploads.window == connection
        assert set(uploads.waiting) == set(left)
        assert connection == 0 or all(windows[one] <= 0 for one in left)


def test_the_ready_are_served_in_order() -> None:
    uploads = Uploads()
    uploads.window = 0
    for stream in (1, 3, 5):
        uploads.add(stream, b"ab")
    out: list[bytes] = []
    uploads.open_connection(3)
    assert uploads.pump(out) == [1]
    uploads.open_connection(3)
    assert uploads.pump(out) == [3, 5]
    assert [(one.stream, one.body) for one in split(b"".join(out))] == [
        (1, b"ab"),
        (3, b"a"),
        (3, b"b"),
        (5, b"ab"),
    ]


def test_windows_beyond_the_largest_are_reported() -> None:
    uploads = Uploads()
    uploads.window = 0
    uploads.add(1, b"x")
    assert not uploads.open_connection(2**31)
    assert not uploads.open_stream(1, frames.LARGEST_WINDOW)
    assert uploads.open_stream(99, frames.LARGEST_WINDOW)
    other = Uploads()
    other.window = 0
    other.add(1, b"x")
    assert other.open_stream(1, frames.LARGEST_WINDOW - frames.DEFAULT_WINDOW)
    assert not other.set_initial(frames.DEFAULT_WINDOW + 1)
    other.clear()
    assert not other.waiting
