"""The signature of a request: HMAC-SHA256 (RFC 2104) over time and body. Pure.

    Tubepost-Signature: t=1767225600,v1=5257a8...

`t` is when the request was made, in unix seconds, `v1` the HMAC of `t`, a full stop and the body, in hex. A
receiver computes it over the bytes that it received, compares in constant time, and refuses what is old: a
recorded request cannot be replayed later.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

HEADER: Final = "Tubepost-Signature"


def signature(key: bytes, timestamp: int, body: bytes) -> str:
    """The value of the header field."""
    signed = hmac.new(key, b"%d." % timestamp + body, hashlib.sha256)
    return f"t={timestamp},v1={signed.hexdigest()}"
