"""One HTTP/2 client connection without I/O (RFC 9113), made for many small requests.

The owner passes bytes that were read to `receive`, writes what `take` returns, and submits requests while
`capacity` allows. Nothing here waits, knows the time, or raises on what a server sends: an error of the
server's ends the connection, and every stream still comes back exactly once, either from `receive` or from
`eof`, unless the owner cancelled it. Not thread-safe.

What a result says about the server's side is exact where HTTP/2 makes it so, and cautious elsewhere; see
`results.StreamError`. `take` is the border: what it has returned counts as sent, whether or not it reached
the network; what it has not returned is dropped when the connection ends, and its streams are UNPROCESSED.

Memory is bounded whatever a server sends: one partial frame of 16 KiB, one header block, `max_body` for
each open stream, and `max_control_output` of answers that wait for `take`. Work is bounded by counting frames
that bring no stream nearer to its end; see `EngineLimits.max_idle_frames`.
"""

from __future__ import annotations

from typing import Final

from tubepost_dispatcher.apns.http2 import frames
from tubepost_dispatcher.apns.http2.receiving import Receiver
from tubepost_dispatcher.apns.http2.response import unique_id_in
from tubepost_dispatcher.apns.http2.results import (
    ConnectionState,
    EngineLimits,
    ErrorCode,
    Key,
    StreamResult,
)
from tubepost_dispatcher.apns.http2.state import PeerError

_HEAD: Final = frames.HEAD
_BOTH_ENDS: Final = frames.END_STREAM | frames.END_HEADERS
DEFAULT_LIMITS: Final = EngineLimits()


class Engine(Receiver[Key]):
    """A connection: see the module's text for how to drive it."""

    __slots__ = ("_buffer", "_wanted")

    def __init__(self, limits: EngineLimits = DEFAULT_LIMITS) -> None:
        super().__init__(limits)
        self._buffer = bytearray()
        self._wanted = 0

    @property
    def open_streams(self) -> int:
        """Streams submitted and not finished."""
        return len(self._keys)

    def capacity(self) -> int:
        """Return how many requests may be submitted now, never less than 0.

        The connection's send window is counted in bodies of the size seen lately, so a batch of larger ones
        may wait in part for a WINDOW_UPDATE; their streams are not `fully_sent` meanwhile. A stream window
        of 0 does not count: a server opens that one only for streams that exist.
        """
        room = self._room - len(self._keys)
        window = self._uploads.window
        if room <= 0 or window <= 0:
            return 0
        return min(room, window // (self._typical_body or 1) or 1)

    def submit(self, block: bytes, body: bytes, key: Key) -> int:
        """Start a request and return its stream id.

        `block` is an encoded header block that touches no dynamic table, as `hpackenc` builds them. `key`
        comes back in the result. Raises RuntimeError when no stream may be opened, which `capacity` tells
        beforehand.
        """
        keys = self._keys
        if len(keys) >= self._room:
            raise RuntimeError("submit() without capacity()")
        stream_id = self._next_id
        self._next_id = stream_id + 2
        keys[stream_id] = key
        size = len(body)
        self._typical_body += (size - self._typical_body) >> 4
        uploads = self._uploads
        max_frame = uploads.max_frame
        if self._table_shrunk:
            # RFC 9113, section 4.3.1: the next block says that our table shrank; to 0, since it is unused.
            self._table_shrunk = False
            block = b"\x20" + block
        if (
            0 < size <= uploads.window
            and size <= uploads.initial
            and size <= max_frame
            and len(block) <= max_frame
        ):
            uploads.window -= size
            self._out += (
                _HEAD.pack(len(block) << 8 | frames.HEADERS, frames.END_HEADERS, stream_id),
                block,
                _HEAD.pack(size << 8 | frames.DATA, frames.END_STREAM, stream_id),
                body,
            )
        else:
            flags = 0 if size else frames.END_STREAM
            self._out += frames.header_frames(block, stream_id, flags, max_frame)
            if size:
                self._special.add(stream_id)
                uploads.add(stream_id, body)
                self._pump()
        if stream_id >= self._last_usable_id:
            self._drain()
        return stream_id

    def take(self) -> bytes:
        """Return what is to be written, joined once; empty when there is nothing."""
        out = self._out
        if not out:
            return b""
        data = b"".join(out)
        out.clear()
        self._taken_id = self._next_id - 2
        self._unflushed.clear()
        self._control_output = 0
        self._preface_taken = True
        return data

    def receive(self, data: bytes | bytearray | memoryview) -> list[StreamResult[Key]]:
        """Process bytes from the server and return the streams that they finished.

        Never raises on what a server sends: an error of its making queues a GOAWAY, closes the connection
        (`failure` says why) and returns every open stream. After that, nothing is processed.
        """
        if self.state is ConnectionState.CLOSED:
            return []
        buffer = self._buffer
        if buffer:
            # Parsed only once its first frame is complete, so that bytes are not copied over and over
            # while a frame trickles in.
            buffer += data
            if len(buffer) < self._wanted:
                return []
            data = bytes(buffer)
            buffer.clear()
        elif type(data) is not bytes:
            data = bytes(data)
        done: list[StreamResult[Key]] = []
        pos = 0
        end = len(data)
        keys = self._keys
        special = self._special
        reader = self._reader
        unpack = _HEAD.unpack_from
        form, standalone = reader.form, reader.standalone
        try:
            # Set between frames: HEADERS where no header block is open, else a type that does not exist.
            plain = self._plain_type
            while end - pos >= 9:
                word, flags, stream_id = unpack(data, pos)
                start = pos + 9
                stop = start + (word >> 8)
                if stop > end:
                    if word >> 8 > frames.DEFAULT_MAX_FRAME:
                        self._oversized()
                    break
                # The common answer: a block that is `:status 200` and `apns-id`, with the end of the stream.
                # Fields after the id are not needed, and may be skipped where no dynamic table is involved.
                if (
                    word & 0xFF == plain
                    and flags == _BOTH_ENDS
                    and data.startswith(form, start)
                    and stream_id in keys
                    and stream_id not in special
                ):
                    at = start + len(form)
                    if at < stop:
                        size = data[at]
                        at += 1
                        after = at + (size & 0x7F)
                        if (after == stop or (standalone and after < stop)) and size & 0x7F != 0x7F:
                            done.append(
                                StreamResult(keys.pop(stream_id), 200, data[at:after], size > 0x7F),
                            )
                            if after != stop:
                                done[-1].unique_id = unique_id_in(data[after:stop])
                            pos = stop
                            continue
                self._frame(word & 0xFF, flags, stream_id & frames.STREAM_ID_MASK, data[start:stop], done)
                plain, form, standalone = self._plain_type, reader.form, reader.standalone
                pos = stop
        except PeerError as fault:
            self._fail(fault, done)
            buffer.clear()
            return done
        if pos < end:
            rest = end - pos
            buffer += data[pos:] if pos else data
            self._wanted = 9 if rest < 9 else 9 + (_HEAD.unpack_from(buffer)[0] >> 8)
        if done:
            self._idle_frames = 0
        return done

    def ping(self, payload: bytes = b"tubepost") -> None:
        """Queue a PING of eight bytes; nothing while one is outstanding or the connection is closed.

        Raises ValueError for another length. When the answer is in, `ping_outstanding` is False again.
        """
        if len(payload) != 8:
            raise ValueError("a PING holds eight bytes")
        if not self.ping_outstanding and self.state is not ConnectionState.CLOSED:
            self._ping_payload = bytes(payload)
            self.ping_outstanding = True
            self._out.append(frames.ping(self._ping_payload))

    def cancel(self, stream_id: int) -> int:
        """Give a stream up: RST_STREAM CANCEL is queued and no result will come; nothing if it has ended.

        Returns the status of an answer that has begun, else 0. Servers count resets as a sign of attack, and
        the slot is free at once: do not cancel in masses.
        """
        if stream_id in self._keys:
            del self._keys[stream_id]
            answer = self._answers.get(stream_id)
            self._forget(stream_id)
            self._out.append(frames.rst_stream(stream_id, ErrorCode.CANCEL))
            return answer.head.status if answer is not None else 0
        return 0

    def close(self) -> None:
        """Queue GOAWAY NO_ERROR and take no more requests; open streams may still be answered."""
        if self.state is not ConnectionState.CLOSED and not self._goaway_sent:
            self._goaway_sent = True
            self._out.append(frames.goaway(ErrorCode.NO_ERROR))
            self._drain()

    def eof(self) -> list[StreamResult[Key]]:
        """Note that the transport is gone and return what was open: LOST, or UNPROCESSED if never taken."""
        if self.state is ConnectionState.CLOSED:
            return []
        done: list[StreamResult[Key]] = []
        self._end(done, self.goaway.error_code if self.goaway else 0)
        self._buffer.clear()
        return done
