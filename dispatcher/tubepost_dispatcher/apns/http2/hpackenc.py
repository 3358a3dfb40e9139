"""Header blocks for requests: literals and static-table references only (RFC 7541).

No block refers to the dynamic table or adds to it, so a block can be built once, kept, and used on any
connection. Values that a caller passes are checked here, at the edge: the engine sends blocks as they are.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

# Names of the static table that a request may carry (RFC 7541, appendix A).
_STATIC_NAMES: Final = {
    b"accept": 19,
    b"accept-encoding": 16,
    b"authorization": 23,
    b"cache-control": 24,
    b"content-length": 28,
    b"content-type": 31,
    b"user-agent": 58,
}
_METHOD_POST: Final = b"\x83"
_SCHEME_HTTPS: Final = b"\x87"
_AUTHORITY: Final = 1
_PATH: Final = 4
_WITHOUT_INDEXING: Final = 0x00
_NEVER_INDEXED: Final = 0x10

# RFC 9110, section 5.6.2, in the lower case that RFC 9113, section 8.2.1 asks for.
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
# RFC 9113, section 8.2.1: no NUL, CR or LF, and no blank at either end.
_VALUE: Final = re.compile(rb"(?![ \t])[^\x00\r\n]*(?<![ \t])")
_VISIBLE: Final = re.compile(rb"[\x21-\x7e]+")


def integer(value: int, prefix_bits: int, pattern: int) -> bytes:
    """Encode an integer with the given prefix length under a bit pattern (RFC 7541, section 5.1)."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes((pattern | value,))
    out = bytearray((pattern | limit,))
    value -= limit
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_LENGTHS: Final = tuple(integer(length, 7, 0) for length in range(512))


def _string(value: bytes) -> bytes:
    size = len(value)
    return (_LENGTHS[size] if size < 512 else integer(size, 7, 0)) + value


@lru_cache(maxsize=256)
def _name(name: bytes, pattern: int) -> bytes:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"not a lower-case field name: {name!r}")
    index = _STATIC_NAMES.get(name)
    return integer(index, 4, pattern) if index is not None else bytes((pattern,)) + _string(name)


def field(name: bytes, value: bytes, *, never_indexed: bool = False) -> bytes:
    """Encode one header field as a literal without indexing, or as one never to be indexed.

    Raises ValueError for a name that is no lower-case token (pseudo-headers included) and for a value with
    NUL, CR, LF or a blank at an end. The value is not quoted in the error: it may be a secret.
    """
    if _VALUE.fullmatch(value) is None:
        raise ValueError(f"the value of {name!r} cannot stand in a header field")
    return _name(name, _NEVER_INDEXED if never_indexed else _WITHOUT_INDEXING) + _string(value)


def request_prefix(authority: bytes) -> bytes:
    """Encode `:method POST`, `:scheme https` and `:authority`, with which every block starts.

    Raises ValueError for an authority that is empty or holds other than visible ASCII.
    """
    if _VISIBLE.fullmatch(authority) is None:
        raise ValueError(f"not an authority: {authority!r}")
    return _METHOD_POST + _SCHEME_HTTPS + integer(_AUTHORITY, 4, _WITHOUT_INDEXING) + _string(authority)


_PATH_NAME: Final = integer(_PATH, 4, _NEVER_INDEXED)


def path_field(path: bytes) -> bytes:
    """Encode `:path`, never indexed: it holds a device token. It belongs right behind `request_prefix`.

    Raises ValueError for a path that does not start with a slash or holds other than visible ASCII.
    """
    if path[:1] != b"/" or _VISIBLE.fullmatch(path) is None:
        raise ValueError("not a request path")
    return _PATH_NAME + _string(path)
