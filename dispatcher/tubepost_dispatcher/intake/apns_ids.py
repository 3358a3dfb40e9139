"""Identifiers for notifications."""

from __future__ import annotations

import os
from collections.abc import Callable


def apns_ids() -> Callable[[], bytes]:
    """A source of random UUIDs (version 4, RFC 9562) in the form of an `apns-id`: lower-case ASCII.

    Random bytes are fetched in blocks: one system call serves 256 notifications.
    """
    pool = b""
    offset = 0

    def next_id() -> bytes:
        nonlocal pool, offset
        if offset >= len(pool):
            pool, offset = os.urandom(16 * 256), 0
        digits = pool[offset : offset + 16].hex()
        offset += 16
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}".encode()

    return next_id
