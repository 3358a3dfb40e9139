"""What is kept of a message's header block, for reports to its sender. Pure."""

from __future__ import annotations

import re
from typing import Final

from tubepost_dispatcher.transaction import Content

MOST: Final = 4_096
"""Octets that are kept of a header block: whole lines from its beginning."""
_LONGEST: Final = 102_400
"""Octets of the longest header block that a listener takes."""
_AUTO_SUBMITTED: Final = re.compile(rb"\r\nauto-submitted:[^\r\n]{0,200}", re.IGNORECASE)


def kept_headers(content: Content) -> str:
    """The header block of a message, or its beginning; what is longer than `MOST` ends with a whole line.

    Whether the message is an automatic reply is kept in any case: its sender must not get a report.
    """
    head = content[: MOST + 4]
    if b"\r\n" not in head:
        head = head.replace(b"\n", b"\r\n")  # a message with the line ends of Unix
    end = head.find(b"\r\n\r\n")
    if 0 <= end <= MOST:
        block = head[: end + 2]
    else:
        end = max(head.rfind(b"\r\n", 0, MOST), 0)
        block = head[: end + 2] if end else b""
        rest = content[end : _LONGEST + 4].partition(b"\r\n\r\n")[0]
        found = _AUTO_SUBMITTED.search(rest)
        if found is not None:
            block += found[0][2:] + b"\r\n"
    return block.decode("utf-8", "replace")
