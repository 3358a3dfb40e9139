"""The engine's state: open streams, how they end, and the limits that a server must keep to."""

from __future__ import annotations

from typing import Final, Generic, NoReturn

from tubepost_dispatcher.apns.http2 import frames
from tubepost_dispatcher.apns.http2.response import BlockReader, Head
from tubepost_dispatcher.apns.http2.results import (
    ConnectionState,
    EngineLimits,
    ErrorCode,
    Goaway,
    Key,
    StreamError,
    StreamResult,
)
from tubepost_dispatcher.apns.http2.sending import Uploads

NO_TYPE: Final = 0x100
"""A frame type that does not exist."""
_FRAMES_PER_STREAM: Final = 16
_NO_HEAD: Final = Head(0, b"", False, b"", "")


class PeerError(Exception):
    """The server broke the protocol so that the connection cannot go on; never leaves the engine."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


def _hello(limits: EngineLimits) -> bytes:
    """Return what a client sends first (RFC 9113, section 3.4)."""
    return (
        frames.PREFACE
        + frames.settings(
            {
                frames.SETTINGS_HEADER_TABLE_SIZE: 0,
                frames.SETTINGS_ENABLE_PUSH: 0,
                frames.SETTINGS_INITIAL_WINDOW_SIZE: limits.stream_window,
                frames.SETTINGS_MAX_HEADER_LIST_SIZE: limits.max_header_block,
            },
        )
        + frames.window_update(0, limits.connection_window - frames.DEFAULT_WINDOW)
    )


class Answer:
    """A response whose header block has arrived, but not its end."""

    __slots__ = ("body", "head", "received", "unacknowledged")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.body: list[bytes] = []
        self.received = 0
        self.unacknowledged = 0


class EngineState(Generic[Key]):
    """Base of `engine.Engine`: what a connection knows, and how it and its streams end."""

    __slots__ = (
        "_answers",
        "_block",
        "_control_output",
        "_goaway_sent",
        "_idle_frames",
        "_keys",
        "_last_usable_id",
        "_limits",
        "_next_id",
        "_out",
        "_ping_payload",
        "_plain_type",
        "_preface_taken",
        "_reader",
        "_room",
        "_settings_acked",
        "_special",
        "_table_announced",
        "_table_shrunk",
        "_taken_id",
        "_typical_body",
        "_unflushed",
        "_uploads",
        "_window",
        "failure",
        "failure_code",
        "goaway",
        "ping_outstanding",
        "settings_received",
        "state",
        "stream_limit",
    )

    def __init__(self, limits: EngineLimits) -> None:
        self.state = ConnectionState.OPEN
        self.settings_received = False
        """Whether the server's first SETTINGS is in; until then `stream_limit` is an assumption."""
        self.stream_limit = limits.initial_stream_limit
        """The server's MAX_CONCURRENT_STREAMS as last announced; 2^31-1 where it announced none."""
        self.goaway: Goaway | None = None
        self.ping_outstanding = False
        self.failure = ""
        """What the server did wrong, where that ended the connection."""
        self.failure_code = 0
        """The code of the GOAWAY that said so."""
        self._limits = limits
        self._keys: dict[int, Key] = {}
        self._special: set[int] = set()  # streams with an unfinished upload or a begun answer
        self._answers: dict[int, Answer] = {}
        self._uploads = Uploads()
        self._reader = BlockReader(limits.max_header_block)
        self._block: tuple[int, int, bytearray] | None = None  # stream, flags, fragments so far
        self._plain_type = NO_TYPE
        self._next_id = 1
        self._last_usable_id = limits.last_stream_id
        self._taken_id = -1
        self._unflushed: set[int] = set()  # streams whose end was put out since the last take()
        self._room = min(self.stream_limit, limits.max_streams)
        self._typical_body = 1024
        self._table_announced = 4096
        self._table_shrunk = False
        self._window = limits.connection_window
        self._idle_frames = 0
        self._control_output = 0
        self._preface_taken = False
        self._goaway_sent = False
        self._settings_acked = False
        self._ping_payload = b""
        self._out: list[bytes] = [_hello(limits)]

    # -- ends of streams and of the connection

    def _fully_sent(self, stream_id: int) -> bool:
        return (
            stream_id <= self._taken_id
            and stream_id not in self._uploads.waiting
            and stream_id not in self._unflushed
        )

    def _forget(self, stream_id: int) -> bool:
        """Drop everything but the key; return whether the request was still being sent."""
        self._special.discard(stream_id)
        self._answers.pop(stream_id, None)
        self._unflushed.discard(stream_id)
        return self._uploads.drop(stream_id)

    def _finish(self, stream_id: int, error: StreamError, code: int, done: list[StreamResult[Key]]) -> None:
        """Turn an open stream into a result."""
        answer = self._answers.get(stream_id)
        head, body = (answer.head, b"".join(answer.body)) if answer is not None else (_NO_HEAD, b"")
        self._append(stream_id, head, body, error, code, done)
        self._forget(stream_id)

    def _append(
        self,
        stream_id: int,
        head: Head,
        body: bytes,
        error: StreamError,
        code: int,
        done: list[StreamResult[Key]],
    ) -> None:
        done.append(
            StreamResult(
                self._keys.pop(stream_id),
                head.status,
                head.apns_id,
                head.huffman,
                body,
                error,
                code,
                self._fully_sent(stream_id),
                head.retry_after,
                head.unique_id,
            ),
        )

    def _complete(self, stream_id: int, head: Head, body: bytes, done: list[StreamResult[Key]]) -> None:
        """End a stream with its answer. An upload that the server did not wait for is cancelled."""
        self._append(stream_id, head, body, StreamError.NONE, 0, done)
        if stream_id in self._special and self._forget(stream_id):
            self._control(frames.rst_stream(stream_id, ErrorCode.CANCEL))

    def _reset(self, stream_id: int, code: ErrorCode, done: list[StreamResult[Key]]) -> None:
        """End a stream whose answer cannot be used."""
        self._finish(stream_id, StreamError.PROTOCOL, code, done)
        self._control(frames.rst_stream(stream_id, code))

    def _drain(self) -> None:
        if self.state is ConnectionState.OPEN:
            self.state = ConnectionState.DRAINING
        self._room = 0

    def _end(self, done: list[StreamResult[Key]], code: int) -> None:
        """Close: every open stream becomes a result, and nothing that was not taken goes out any more."""
        for stream_id in list(self._keys):
            unseen = stream_id > self._taken_id
            self._finish(stream_id, StreamError.UNPROCESSED if unseen else StreamError.LOST, code, done)
        self.state = ConnectionState.CLOSED
        self._room = 0
        self._uploads.clear()
        self._block = None
        self.ping_outstanding = False
        self._out[:] = [] if self._preface_taken else [_hello(self._limits)]

    def _fail(self, fault: PeerError, done: list[StreamResult[Key]]) -> None:
        self.failure = str(fault)
        self.failure_code = fault.code
        self._end(done, fault.code)
        self._out.append(frames.goaway(fault.code))

    # -- bounds

    def _charge(self, cost: int) -> None:
        """Count frames that make no progress on any stream; raises PeerError when there are too many."""
        self._idle_frames += cost
        if self._idle_frames > self._limits.max_idle_frames + _FRAMES_PER_STREAM * len(self._keys):
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "a flood of frames without progress")

    def _oversized(self) -> NoReturn:
        raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "a frame above 16,384 bytes")

    def _control(self, frame: bytes) -> None:
        """Queue a frame that answers the server; raises PeerError when too many wait."""
        self._out.append(frame)
        self._control_output += len(frame)
        if self._control_output > self._limits.max_control_output:
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "answers pile up that the server does not read")

    def _pump(self) -> None:
        for stream_id in self._uploads.pump(self._out):
            self._unflushed.add(stream_id)
            if stream_id not in self._answers:
                self._special.discard(stream_id)

    def _must_exist(self, stream_id: int, what: str) -> None:
        """Refuse frames on the connection's stream, on a server's, and on one whose HEADERS are not out."""
        if not stream_id & 1 or stream_id > self._taken_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, f"{what} on stream {stream_id}")
