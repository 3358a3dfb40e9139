"""What the engine tells its caller: results of streams, the state of the connection, its limits."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Generic, TypeVar

from tubepost_dispatcher.apns.http2.huffman import huffman_decode

Key = TypeVar("Key")
"""What the caller names a request with."""


class ErrorCode(enum.IntEnum):
    """Error codes of RST_STREAM and GOAWAY (RFC 9113, section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class StreamError(enum.Enum):
    """Why a stream ended without a complete answer, and what that says about the server's side.

    `NONE`: the answer is complete.
    `REFUSED`: RST_STREAM with REFUSED_STREAM before any answer; the server did nothing with the request
    (RFC 9113, section 8.7). Safe to repeat.
    `UNPROCESSED`: above a GOAWAY's last stream id with no answer begun, or never handed out by `Engine.take`
    before the connection ended. The server did nothing with the request (section 6.8). Safe to repeat.
    `RESET`: RST_STREAM with another code; the server may have acted on the request.
    `PROTOCOL`: this side reset the stream because the answer was malformed or too long; the server has
    seen the request. `status` is set where it had been read.
    `LOST`: the connection ended; the server may have acted on the request.

    For `RESET` and `LOST`, `StreamResult.fully_sent` tells a request that may have been acted on from one
    whose end was never handed out: a server that needs the whole body, as APNs does, cannot have acted.
    """

    NONE = "none"
    REFUSED = "refused"
    RESET = "reset"
    UNPROCESSED = "unprocessed"
    LOST = "lost"
    PROTOCOL = "protocol"


class ConnectionState(enum.Enum):
    """Whether a connection takes requests (`OPEN`), finishes those it has (`DRAINING`), or is over."""

    OPEN = "open"
    DRAINING = "draining"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Goaway:
    """The GOAWAY that is in force: lowest last stream id announced, latest code and debug data.

    `debug` is cut at 1,024 bytes; APNs puts JSON with a `reason` there.
    """

    last_stream_id: int
    error_code: int
    debug: bytes


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Limits of one connection. Sizes are in bytes."""

    max_body: int = 16 * 1024
    """Response body kept for a stream; a longer one resets the stream."""
    max_header_block: int = 16 * 1024
    """Encoded response header block, and the decoded list as RFC 7541 counts it; more ends the connection."""
    stream_window: int = 32 * 1024
    """SETTINGS_INITIAL_WINDOW_SIZE announced: what a server may send on a stream before it hears from us."""
    connection_window: int = 16 * 1024 * 1024
    """What a server may send on all streams together; replenished at half."""
    initial_stream_limit: int = 1
    """Streams assumed to be allowed until the first SETTINGS: with a provider token, APNs allows one."""
    max_streams: int = 4096
    """Own bound on open streams, for a server that announces none."""
    max_idle_frames: int = 10_000
    """Frames taken while no stream ends (16 more for each open stream); more is a flood."""
    max_control_output: int = 64 * 1024
    """Acknowledgements and resets waiting for `take`; more means that the server sends and does not read."""
    last_stream_id: int = 2**31 - 1
    """Highest stream id to use; after it the connection drains (RFC 9113, section 5.1.1)."""


class StreamResult(Generic[Key]):
    """One finished stream.

    `key` is what was submitted. `status` is the HTTP status, 0 where none was read. `error_code` is the
    HTTP/2 code of the RST_STREAM or GOAWAY that ended it. `fully_sent`: the end of the request had been
    handed out by `Engine.take`. `retry_after` and `unique_id` (`apns-unique-id`) are those response headers
    as they came, empty if none.
    """

    __slots__ = (
        "_apns_id",
        "_huffman",
        "body",
        "error",
        "error_code",
        "fully_sent",
        "key",
        "retry_after",
        "status",
        "unique_id",
    )

    def __init__(
        self,
        key: Key,
        status: int = 0,
        apns_id: bytes = b"",
        huffman: bool = False,
        body: bytes = b"",
        error: StreamError = StreamError.NONE,
        error_code: int = 0,
        fully_sent: bool = True,
        retry_after: bytes = b"",
        unique_id: bytes = b"",
    ) -> None:
        self.key = key
        self.status = status
        self._apns_id = apns_id
        self._huffman = huffman
        self.body = body
        self.error = error
        self.error_code = error_code
        self.fully_sent = fully_sent
        self.retry_after = retry_after
        self.unique_id = unique_id

    @property
    def apns_id(self) -> bytes:
        """The response's `apns-id`, empty if none or not decodable.

        Decoded when first read: a caller that chose the id itself does not pay for reading it back.
        """
        if self._huffman:
            self._apns_id = huffman_decode(self._apns_id) or b""
            self._huffman = False
        return self._apns_id

    def __repr__(self) -> str:
        return (
            f"StreamResult(key={self.key!r}, status={self.status}, apns_id={self.apns_id!r}, "
            f"body={self.body!r}, error={self.error.name}, error_code={self.error_code}, "
            f"fully_sent={self.fully_sent})"
        )
