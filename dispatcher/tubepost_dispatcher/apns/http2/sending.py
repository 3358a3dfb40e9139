"""The sending half of flow control: windows, and the bodies that wait for them (RFC 9113, section 5.2)."""

from __future__ import annotations

from tubepost_dispatcher.apns.http2 import frames


class Upload:
    """A request body that is not all out yet. `window` may be negative (section 6.9.2)."""

    __slots__ = ("body", "offset", "stream_id", "window")

    def __init__(self, stream_id: int, body: bytes, window: int) -> None:
        self.stream_id = stream_id
        self.body = body
        self.offset = 0
        self.window = window


class Uploads:
    """The connection's send window and the uploads that wait.

    An upload waits for its own stream's window, or is ready and waits for the connection's; the ready ones
    are served in the order in which they became ready, so that a WINDOW_UPDATE costs what it lets through
    and not a walk over everything that waits.
    """

    __slots__ = ("_ready", "initial", "max_frame", "waiting", "window")

    def __init__(self) -> None:
        self.window = frames.DEFAULT_WINDOW
        """The connection's send window in bytes, never negative."""
        self.initial = frames.DEFAULT_WINDOW
        """The send window with which a stream starts."""
        self.max_frame = frames.DEFAULT_MAX_FRAME
        """The largest frame payload that the server takes."""
        self.waiting: dict[int, Upload] = {}
        """Unfinished uploads by stream id."""
        self._ready: dict[int, Upload] = {}

    def add(self, stream_id: int, body: bytes) -> None:
        """Take a body whose HEADERS frame is out; `pump` sends what may go."""
        upload = Upload(stream_id, body, self.initial)
        self.waiting[stream_id] = upload
        if upload.window > 0:
            self._ready[stream_id] = upload

    def drop(self, stream_id: int) -> bool:
        """Forget an upload; whether there was one."""
        self._ready.pop(stream_id, None)
        return self.waiting.pop(stream_id, None) is not None

    def clear(self) -> None:
        """Forget all uploads."""
        self._ready.clear()
        self.waiting.clear()

    def open_connection(self, increment: int) -> bool:
        """Enlarge the connection's window; False where it would pass 2^31-1."""
        self.window += increment
        return self.window <= frames.LARGEST_WINDOW

    def open_stream(self, stream_id: int, increment: int) -> bool:
        """Enlarge a stream's window; False where it would pass 2^31-1.

        The window of a stream that has nothing left to send is not kept: nothing depends on it.
        """
        upload = self.waiting.get(stream_id)
        if upload is None:
            return True
        upload.window += increment
        if upload.window > 0:
            self._ready[stream_id] = upload
        return upload.window <= frames.LARGEST_WINDOW

    def set_initial(self, value: int) -> bool:
        """Apply SETTINGS_INITIAL_WINDOW_SIZE to open streams too; False where one would pass 2^31-1."""
        change = value - self.initial
        self.initial = value
        if not change:
            return True
        for upload in self.waiting.values():
            upload.window += change
            if upload.window > frames.LARGEST_WINDOW:
                return False
            if upload.window > 0:
                self._ready[upload.stream_id] = upload
            else:
                self._ready.pop(upload.stream_id, None)
        return True

    def pump(self, out: list[bytes]) -> list[int]:
        """Put out the DATA that the windows let through; return the streams whose end is now in `out`."""
        ended = []
        while self._ready and self.window > 0:
            stream_id, upload = next(iter(self._ready.items()))
            left = len(upload.body) - upload.offset
            size = min(left, self.window, upload.window, self.max_frame)
            last = size == left
            flags = frames.END_STREAM if last else 0
            out += (
                frames.HEAD.pack(size << 8 | frames.DATA, flags, stream_id),
                upload.body[upload.offset : upload.offset + size],
            )
            upload.offset += size
            upload.window -= size
            self.window -= size
            if last:
                self.drop(stream_id)
                ended.append(stream_id)
            elif upload.window <= 0:
                del self._ready[stream_id]
        return ended
