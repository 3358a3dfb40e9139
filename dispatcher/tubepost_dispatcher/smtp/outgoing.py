"""A mail on its way to a relay, slice by slice: line ends, dot-stuffing, size. Pure.

A copy of a whole message of 20 MB would hold the event loop for a tenth of a second, and memory for as long
as the relay takes.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

from tubepost_dispatcher.transaction import Mailing

SLICE = 64 * 1024
"""Octets of a message that are looked at in one turn of the loop."""
_UNMAP_EVERY = 16
"""Slices after which the pages of a mapped file are given back."""


class LineEnds:
    """Makes every bare CR and bare LF a CRLF, and drops NUL, across slices of any size."""

    __slots__ = ("_held", "ended")

    def __init__(self) -> None:
        self._held = False
        """The last slice ended with a CR, whose LF may follow."""
        self.ended = False
        """What has come out so far ends with CRLF."""

    def feed(self, piece: bytes) -> bytes:
        """The next slice; what comes out never ends between CR and LF."""
        if b"\0" in piece:
            piece = piece.replace(b"\0", b"")
        if self._held:
            piece = b"\r" + piece
        self._held = piece.endswith(b"\r")
        if self._held:
            piece = piece[:-1]
        if not piece:
            return piece
        pairs = piece.count(b"\r\n")
        if piece.count(b"\r") != pairs or piece.count(b"\n") != pairs:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
        self.ended = piece.endswith(b"\r\n")
        return piece

    def finish(self) -> bytes:
        """What is still missing for the content to end with CRLF."""
        missing = b"" if self.ended and not self._held else b"\r\n"
        self._held = False
        self.ended = True
        return missing


def clean_slices(content: Mailing) -> Iterator[bytes]:
    """`content` without NUL, with CRLF line ends and one at its end, in slices of about `SLICE` octets."""
    ends = LineEnds()
    for number, at in enumerate(range(0, len(content), SLICE), 1):
        yield ends.feed(bytes(content[at : at + SLICE]))
        if number % _UNMAP_EVERY == 0:
            unmap(content)
    yield ends.finish()
    unmap(content)


def stuffed_slices(content: Mailing) -> Iterator[bytes]:
    """`clean_slices` as they follow DATA and a line of our own (RFC 5321 4.5.2), without the final dot."""
    at_start = True
    for piece in clean_slices(content):
        if not piece:
            continue
        stuffed = piece.replace(b"\r\n.", b"\r\n..")
        yield b"." + stuffed if at_start and piece.startswith(b".") else stuffed
        at_start = piece.endswith(b"\r\n")


def unmap(content: Mailing) -> None:
    """Give the pages of a mapped file back: they are read again from the file when they are needed."""
    mapped = content.obj if isinstance(content, memoryview) else content
    if isinstance(mapped, mmap.mmap):
        mapped.madvise(mmap.MADV_DONTNEED)
