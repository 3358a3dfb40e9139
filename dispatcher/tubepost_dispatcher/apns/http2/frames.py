"""Frame types, flags and the few frames that a client writes (RFC 9113, sections 4 and 6)."""

from __future__ import annotations

import struct
from typing import Final

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

SETTINGS_HEADER_TABLE_SIZE: Final = 1
SETTINGS_ENABLE_PUSH: Final = 2
SETTINGS_MAX_CONCURRENT_STREAMS: Final = 3
SETTINGS_INITIAL_WINDOW_SIZE: Final = 4
SETTINGS_MAX_FRAME_SIZE: Final = 5
SETTINGS_MAX_HEADER_LIST_SIZE: Final = 6

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEFAULT_WINDOW: Final = 65_535
DEFAULT_MAX_FRAME: Final = 16_384
LARGEST_MAX_FRAME: Final = 2**24 - 1
LARGEST_WINDOW: Final = 2**31 - 1
STREAM_ID_MASK: Final = 2**31 - 1

HEAD: Final = struct.Struct(">IBI")
"""A frame header read as three numbers: length << 8 | type, flags, stream id with its reserved bit."""
HEAD_SIZE: Final = 9
SETTING: Final = struct.Struct(">HI")
WORD: Final = struct.Struct(">I")
PAIR: Final = struct.Struct(">II")

SETTINGS_ACK: Final = HEAD.pack(SETTINGS, ACK, 0)


def settings(values: dict[int, int]) -> bytes:
    """Build a SETTINGS frame."""
    body = b"".join(SETTING.pack(name, value) for name, value in values.items())
    return HEAD.pack(len(body) << 8 | SETTINGS, 0, 0) + body


def window_update(stream_id: int, increment: int) -> bytes:
    """Build a WINDOW_UPDATE frame; stream 0 is the connection."""
    return HEAD.pack(4 << 8 | WINDOW_UPDATE, 0, stream_id) + WORD.pack(increment)


def rst_stream(stream_id: int, code: int) -> bytes:
    """Build a RST_STREAM frame."""
    return HEAD.pack(4 << 8 | RST_STREAM, 0, stream_id) + WORD.pack(code)


def ping(payload: bytes, flags: int = 0) -> bytes:
    """Build a PING frame from its eight bytes."""
    return HEAD.pack(8 << 8 | PING, flags, 0) + payload


def goaway(code: int, debug: bytes = b"") -> bytes:
    """Build a client's GOAWAY frame: its last stream id is 0, since no server opens streams here."""
    return HEAD.pack((8 + len(debug)) << 8 | GOAWAY, 0, 0) + PAIR.pack(0, code) + debug


def header_frames(block: bytes, stream_id: int, flags: int, max_frame: int) -> list[bytes]:
    """Build HEADERS and the CONTINUATION frames that a block longer than one frame needs."""
    out: list[bytes] = []
    kind = HEADERS
    for start in range(0, len(block), max_frame):
        piece = block[start : start + max_frame]
        if start + max_frame >= len(block):
            flags |= END_HEADERS
        out += (HEAD.pack(len(piece) << 8 | kind, flags, stream_id), piece)
        kind = CONTINUATION
        flags = 0
    return out


def without_streams(written: bytes, gone: set[int]) -> bytes:
    """Drop the frames of some streams from our output."""
    kept = []
    pos = 0
    if written.startswith(PREFACE):
        kept.append(PREFACE)
        pos = len(PREFACE)
    while pos < len(written):
        word, _, stream_id = HEAD.unpack_from(written, pos)
        stop = pos + HEAD_SIZE + (word >> 8)
        if stream_id not in gone:
            kept.append(written[pos:stop])
        pos = stop
    return b"".join(kept)
