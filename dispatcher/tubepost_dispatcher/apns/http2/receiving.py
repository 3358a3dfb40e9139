"""The engine's reading half: one method per frame type (RFC 9113, section 6)."""

from __future__ import annotations

from typing import Final

from tubepost_dispatcher.apns.http2 import frames
from tubepost_dispatcher.apns.http2.response import CompressionError, is_trailer
from tubepost_dispatcher.apns.http2.results import (
    ConnectionState,
    ErrorCode,
    Goaway,
    Key,
    StreamError,
    StreamResult,
)
from tubepost_dispatcher.apns.http2.state import NO_TYPE, Answer, EngineState, PeerError

_DEBUG_KEPT: Final = 1024
_SETTINGS_COST: Final = 16


class Receiver(EngineState[Key]):
    """Base of `engine.Engine`: handles every type of frame."""

    __slots__ = ()

    def _frame(
        self, kind: int, flags: int, stream_id: int, body: bytes, done: list[StreamResult[Key]]
    ) -> None:
        """Handle one frame; raises PeerError."""
        if len(body) > frames.DEFAULT_MAX_FRAME:
            self._oversized()
        if self._block is not None:
            if kind != frames.CONTINUATION or stream_id != self._block[0]:
                raise PeerError(ErrorCode.PROTOCOL_ERROR, "a frame inside a header block")
            self._continuation(flags, body, done)
        elif not self.settings_received and (kind != frames.SETTINGS or flags & frames.ACK):
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "the first frame is no SETTINGS")
        elif kind == frames.DATA:
            self._data(flags, stream_id, body, done)
        elif kind == frames.HEADERS:
            self._headers(flags, stream_id, body, done)
        elif kind == frames.RST_STREAM:
            self._rst_stream(stream_id, body, done)
        elif kind == frames.SETTINGS:
            self._settings(flags, stream_id, body)
        elif kind == frames.PING:
            self._ping(flags, stream_id, body)
        elif kind == frames.GOAWAY:
            self._goaway(stream_id, body, done)
        elif kind == frames.WINDOW_UPDATE:
            self._window_update(stream_id, body, done)
        elif kind in {frames.PUSH_PROMISE, frames.CONTINUATION}:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, or CONTINUATION of nothing")
        else:
            # PRIORITY is deprecated, and unknown types are to be ignored (RFC 9113, sections 5.3.2 and 5.5).
            self._charge(1)

    def _headers(self, flags: int, stream_id: int, body: bytes, done: list[StreamResult[Key]]) -> None:
        self._must_exist(stream_id, "HEADERS")
        block = _unpadded(flags, body)
        if flags & frames.HAS_PRIORITY:
            if len(block) < 5:
                raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            block = block[5:]
        if flags & frames.END_HEADERS:
            self._header_block(flags, stream_id, block, done)
        else:
            self._charge(1)
            self._block = (stream_id, flags, bytearray(block))
            self._plain_type = NO_TYPE

    def _continuation(self, flags: int, body: bytes, done: list[StreamResult[Key]]) -> None:
        assert self._block is not None
        stream_id, first_flags, block = self._block
        self._charge(1)
        if len(block) + len(body) > self._limits.max_header_block:
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "a header block that is too long")
        block += body
        if flags & frames.END_HEADERS:
            self._block = None
            self._plain_type = frames.HEADERS
            self._header_block(first_flags, stream_id, bytes(block), done)

    def _header_block(self, flags: int, stream_id: int, block: bytes, done: list[StreamResult[Key]]) -> None:
        if len(block) > self._limits.max_header_block:
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "a header block that is too long")
        try:
            head = self._reader.read(block)
        except CompressionError as error:
            code = ErrorCode.ENHANCE_YOUR_CALM if error.oversized else ErrorCode.COMPRESSION_ERROR
            raise PeerError(code, f"a header block that cannot be read: {error}") from error
        if stream_id not in self._keys:
            # Ended or cancelled here while this was on its way; read only for the sake of HPACK's state.
            self._charge(1)
            return
        ends = flags & frames.END_STREAM
        answer = self._answers.get(stream_id)
        if answer is not None:
            if ends and is_trailer(head):
                self._complete(stream_id, answer.head, b"".join(answer.body), done)
            else:
                self._reset(stream_id, ErrorCode.PROTOCOL_ERROR, done)
        elif head.malformed:
            self._reset(stream_id, ErrorCode.PROTOCOL_ERROR, done)
        elif head.status < 200:
            self._charge(1)
            if ends or head.status == 101:
                self._reset(stream_id, ErrorCode.PROTOCOL_ERROR, done)
        elif ends:
            self._complete(stream_id, head, b"", done)
        else:
            self._answers[stream_id] = Answer(head)
            self._special.add(stream_id)

    def _data(self, flags: int, stream_id: int, body: bytes, done: list[StreamResult[Key]]) -> None:
        self._must_exist(stream_id, "DATA")
        ends = flags & frames.END_STREAM
        if not ends:
            self._charge(1)
        size = len(body)
        content = _unpadded(flags, body)
        self._window -= size
        if self._window < 0:
            raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the connection's window")
        if self._window < self._limits.connection_window // 2:
            self._control(frames.window_update(0, self._limits.connection_window - self._window))
            self._window = self._limits.connection_window
        answer = self._answers.get(stream_id)
        if answer is None:
            if stream_id in self._keys:
                self._reset(stream_id, ErrorCode.PROTOCOL_ERROR, done)
            else:
                self._charge(1)
            return
        answer.received += len(content)
        if answer.received > self._limits.max_body:
            self._reset(stream_id, ErrorCode.CANCEL, done)
            return
        if content:
            answer.body.append(content)
        if ends:
            self._complete(stream_id, answer.head, b"".join(answer.body), done)
            return
        # Only padding can get near the stream's window, which is twice the body that is allowed.
        answer.unacknowledged += size
        if answer.unacknowledged >= self._limits.stream_window // 2:
            self._control(frames.window_update(stream_id, answer.unacknowledged))
            answer.unacknowledged = 0

    def _rst_stream(self, stream_id: int, body: bytes, done: list[StreamResult[Key]]) -> None:
        if len(body) != 4:
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM of a wrong length")
        self._must_exist(stream_id, "RST_STREAM")
        if stream_id not in self._keys:
            self._charge(1)
            return
        (code,) = frames.WORD.unpack(body)
        # A server that has begun to answer has processed the request, whatever its code says.
        refused = code == ErrorCode.REFUSED_STREAM and stream_id not in self._answers
        self._finish(stream_id, StreamError.REFUSED if refused else StreamError.RESET, code, done)

    def _settings(self, flags: int, stream_id: int, body: bytes) -> None:
        if stream_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if len(body) % 6 or (flags & frames.ACK and body):
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong length")
        self._charge(_SETTINGS_COST + len(body) // 6)
        if flags & frames.ACK:
            if not self._settings_acked:
                self._settings_acked = True
                self._reader.acknowledged()
            return
        if not self.settings_received:
            self.settings_received = True
            self._plain_type = frames.HEADERS
            self.stream_limit = frames.LARGEST_WINDOW
        initial = self._uploads.initial
        for name, value in frames.SETTING.iter_unpack(body):
            if name == frames.SETTINGS_MAX_CONCURRENT_STREAMS:
                self.stream_limit = value
            elif name == frames.SETTINGS_INITIAL_WINDOW_SIZE:
                if value > frames.LARGEST_WINDOW:
                    raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE above 2^31-1")
                initial = value
            elif name == frames.SETTINGS_MAX_FRAME_SIZE:
                if not frames.DEFAULT_MAX_FRAME <= value <= frames.LARGEST_MAX_FRAME:
                    raise PeerError(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of its range")
                self._uploads.max_frame = value
            elif name == frames.SETTINGS_HEADER_TABLE_SIZE:
                self._table_shrunk |= value < self._table_announced
                self._table_announced = value
            elif name == frames.SETTINGS_ENABLE_PUSH and value:
                raise PeerError(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH from a server")
        if not self._uploads.set_initial(initial):
            raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window above 2^31-1")
        if self.state is ConnectionState.OPEN:
            self._room = min(self.stream_limit, self._limits.max_streams)
        self._control(frames.SETTINGS_ACK)
        self._pump()

    def _ping(self, flags: int, stream_id: int, body: bytes) -> None:
        if stream_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(body) != 8:
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "PING of a wrong length")
        if not flags & frames.ACK:
            self._charge(1)
            self._control(frames.ping(body, frames.ACK))
        elif self.ping_outstanding and body == self._ping_payload:
            self.ping_outstanding = False
            self._idle_frames = 0
        else:
            self._charge(1)

    def _goaway(self, stream_id: int, body: bytes, done: list[StreamResult[Key]]) -> None:
        if stream_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(body) < 8:
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of a wrong length")
        self._charge(_SETTINGS_COST)
        last, code = frames.PAIR.unpack_from(body)
        last &= frames.STREAM_ID_MASK
        if self.goaway is not None:
            # It must not rise (RFC 9113, section 6.8), and streams above it have been given back already.
            last = min(last, self.goaway.last_stream_id)
        self.goaway = Goaway(last, code, body[8 : 8 + _DEBUG_KEPT])
        self._drain()
        # A stream that the server has begun to answer was processed, whatever this GOAWAY says.
        unseen = [open_id for open_id in self._keys if open_id > last and open_id not in self._answers]
        if self._out and (self._next_id - 2 > max(last, self._taken_id) or unseen):
            # Do not rely on the server to ignore them: the owner may send these elsewhere at once. With them
            # go streams that were cancelled before they were sent: no header block may be left whose
            # predecessor, and a change of the table's size in it, is not sent.
            unsent = range(max(last, self._taken_id) + 1, self._next_id)
            self._out[:] = [frames.without_streams(b"".join(self._out), {*unseen, *unsent})]
        for open_id in unseen:
            self._finish(open_id, StreamError.UNPROCESSED, code, done)

    def _window_update(self, stream_id: int, body: bytes, done: list[StreamResult[Key]]) -> None:
        if len(body) != 4:
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong length")
        self._charge(1)
        increment = frames.WORD.unpack(body)[0] & frames.LARGEST_WINDOW
        if not stream_id:
            if not increment:
                raise PeerError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
            if not self._uploads.open_connection(increment):
                raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window above 2^31-1")
        else:
            self._must_exist(stream_id, "WINDOW_UPDATE")
            if stream_id not in self._keys:
                return
            if not increment or not self._uploads.open_stream(stream_id, increment):
                code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
                self._reset(stream_id, code, done)
                return
        if self._uploads.waiting:
            self._pump()


def _unpadded(flags: int, body: bytes) -> bytes:
    """Return a payload without its padding (RFC 9113, section 6.1); raises PeerError."""
    if not flags & frames.PADDED:
        return body
    if not body:
        raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "no room for the length of the padding")
    padding = body[0]
    if padding >= len(body):
        raise PeerError(ErrorCode.PROTOCOL_ERROR, "padding longer than its frame")
    return body[1 : len(body) - padding]
