"""What a module prints, and where it was when it crashed: foreign text, for the log. Pure."""

from __future__ import annotations

import re
from typing import Final

from tubepost_dispatcher.policy.wire import FILE
from tubepost_dispatcher.text import hide_tokens, visible

MAX_LINE: Final = 300
"""Characters of a line that is logged."""

_ODD = re.compile(r"[^\x20-\x7e\xa1-\u02ff\u0370-\ud7ff\uf900-\ufffd]")
"""Controls, combining and private characters; not bidirectional controls, nor what is unassigned."""
_FRAME = re.compile(
    rb'File "' + re.escape(FILE.encode()) + rb'", line ([0-9]{1,6}) in ([A-Za-z0-9_<>]{1,80})'
)


class Lines:
    """Cuts what comes from a pipe into lines; a line without an end is cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are whole now, fit for the log; empty ones are left out."""
        *whole, rest = (self._rest + data).split(b"\n")
        if len(rest) > 4 * MAX_LINE:
            whole.append(rest)
            rest = b""
        self._rest = rest
        return [text for line in whole if (text := loggable(line.decode("utf-8", "replace")))]


def loggable(text: str) -> str:
    """Text of a module in one line, without control characters, device tokens in short form."""
    return visible(_ODD.sub("?", hide_tokens(text[: 4 * MAX_LINE].strip()))[:MAX_LINE])


def crashed_at(trace: bytes) -> tuple[int, str]:
    """Line and function of the module in what faulthandler wrote; 0 and empty where it names none."""
    found = _FRAME.search(trace)
    return (int(found[1]), found[2].decode("ascii")) if found else (0, "")
