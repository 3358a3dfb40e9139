"""Pieces of HTTP/2 (RFC 9113) that the `h2` library lacks; no sockets."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable

from tubepost_simulator.reasons import Reason

MAX_STREAM_ID = 2**31 - 1
_GOAWAY = 0x7
_CONNECTION_SPECIFIC = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_PSEUDO = frozenset({b":method", b":path", b":scheme", b":authority"})


def goaway_frame(last_stream_id: int, error_code: int, debug_data: bytes) -> bytes:
    """A GOAWAY frame (section 6.8). Made by hand, since `h2` sends nothing more after a GOAWAY."""
    payload = struct.pack("!LL", last_stream_id, error_code) + debug_data
    return struct.pack("!HBBBL", len(payload) >> 8, len(payload) & 0xFF, _GOAWAY, 0, 0) + payload


def goaway_data(reason: str) -> bytes:
    """The debug data that APNs puts into a GOAWAY; empty without a reason."""
    return json.dumps({"reason": reason}).encode() if reason else b""


def error_body(reason: Reason, timestamp: int) -> bytes:
    """The body of an answer that is not 200; `timestamp` (ms) is left out when 0."""
    if timestamp:
        return b'{"reason":"%s","timestamp":%d}' % (reason.encode(), timestamp)
    return b'{"reason":"%s"}' % reason.encode()


class MalformedRequestError(ValueError):
    """A request that is malformed in the sense of section 8.1.1: a stream error PROTOCOL_ERROR."""


def read_fields(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str, list[tuple[str, str]]]:
    """Split a header block into method, path and ordinary fields, as latin-1 text.

    Raises:
        MalformedRequestError: section 8.2 or 8.3 is violated. (`h2` could check this; here it costs less.)
    """
    pseudo: dict[bytes, bytes] = {}
    fields: list[tuple[str, str]] = []
    for name, value in headers:
        if name[:1] == b":":
            if fields or name in pseudo or name not in _PSEUDO:
                raise MalformedRequestError(f"pseudo-header field {name!r} late, repeated or unknown")
            pseudo[name] = value
            continue
        if not name or name != name.lower() or name in _CONNECTION_SPECIFIC:
            raise MalformedRequestError(f"field name {name!r}")
        if b"\n" in value or b"\r" in value or b"\0" in value or value[:1].isspace() or value[-1:].isspace():
            raise MalformedRequestError(f"value of {name!r}")
        if name == b"te" and value != b"trailers":
            raise MalformedRequestError("te is not trailers")
        fields.append((name.decode("latin-1"), value.decode("latin-1")))
    method, path = pseudo.get(b":method"), pseudo.get(b":path")
    if not method or not path or b":scheme" not in pseudo:
        raise MalformedRequestError(":method, :scheme or :path is missing")
    return method.decode("latin-1"), path.decode("latin-1"), fields
