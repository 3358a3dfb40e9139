"""The header block of a message: whether it is an MCMT message, its boundary, its context variables."""

from __future__ import annotations

import mmap
import re
from typing import Final

from tubepost_dispatcher.intake.mcmt.limits import DEFAULT_LIMITS, McmtLimits
from tubepost_dispatcher.intake.mcmt.message import NOT_MCMT, NotMcmt
from tubepost_dispatcher.intake.mcmt.mime import (
    APN,
    IDENTITY,
    MCMT,
    field_bodies,
    has_bare_line_ends,
    parse_content_type,
    transfer_encoding,
)
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.text import printable

Content = bytes | mmap.mmap
"""A whole message as received: CRLF line ends, dot-stuffing undone."""

_MARK: Final = b"vnd.msys."  # stands in the Content-Type of every MCMT message, and in hardly any other mail
WINDOW: Final = 1 << 17
"""Octets that are searched or converted in one step: other threads have a turn between two steps."""

# What most senders write: one quoted boundary of the length that RFC 2046 allows. Only a short cut: the
# general way gives the same.
_USUAL_TOP: Final = re.compile(
    rb"\r\n[Cc]ontent-[Tt]ype: multipart/vnd\.msys\.mcmt;(?: |\r\n[ \t])boundary="
    rb"\"([0-9A-Za-z'+_,\-./:= ]{0,69}[0-9A-Za-z'+_,\-./:=])\"\r\n(?![ \t])"
)
_CONTEXT: Final = re.compile(rb"[ \t]*+([0-9A-Za-z_]{1,64})=([ -~]{0,1000})")


class Top:
    """What the outer header block says. `boundary` None: the message is itself one push part."""

    __slots__ = ("body", "boundary", "context", "head", "in_pieces")

    def __init__(
        self,
        body: int,
        boundary: bytes | None,
        context: dict[str, str],
        head: bytes,
        *,
        in_pieces: bool = False,
    ) -> None:
        self.body = body
        self.boundary = boundary
        self.context = context
        self.head = head
        self.in_pieces = in_pieces


def with_crlf(content: Content) -> Content:
    """`content` with CRLF throughout where its header block has the line ends of Unix; else itself."""
    first = content.find(b"\n", 0, 1_000)
    if first <= 0 or content[first - 1] == 13:
        return content
    blank = content.find(b"\n\n", first, DEFAULT_LIMITS.max_header_bytes)
    if blank < 0 or content.find(b"\r", 0, blank) >= 0:
        return content
    pieces = []
    begin, size = 0, len(content)
    while begin < size:
        end = min(begin + WINDOW, size)
        if end < size and content[end - 1] == 13 and content[end] == 10:
            end += 1
        pieces.append(content[begin:end].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        begin = end
    return b"".join(pieces)


def find(content: Content, what: bytes, start: int, end: int) -> int:
    """`content.find`, in steps of at most `WINDOW` octets."""
    while end - start > WINDOW:
        found = content.find(what, start, start + WINDOW)
        if found >= 0:
            return found
        start += WINDOW - len(what) + 1
    return content.find(what, start, end)


def read_top(content: Content, limits: McmtLimits) -> Top | Reply | NotMcmt:
    """Read the header block of a message whose line ends are CRLF."""
    end = content.find(b"\r\n\r\n", 0, limits.max_header_bytes + 4)
    if end < 0:
        return _read_endless_top(content, limits)
    head = b"\r\n" + content[: end + 2]
    lower = head.lower()
    at = lower.find(b"\r\ncontent-t")
    usual = _USUAL_TOP.match(head, at) if at >= 0 else None
    if usual is None and _MARK not in lower:
        return NOT_MCMT
    if content[:2] == b"\r\n":  # an empty header block: what follows is text
        return NOT_MCMT
    if has_bare_line_ends(head):
        if _looks_like_mcmt(_uniform(head), limits) or _looks_like_mcmt(head, limits):
            return refusal("BadMessage", "a bare CR, bare LF or NUL in the header block")
        return NOT_MCMT
    if usual is not None:
        boundary: bytes = usual[1]
        if (
            lower.find(b"\r\ncontent-t", usual.end() - 2) < 0
            and lower.find(b"\r\nx-tubepost-context") < 0
            and len(head) <= 2 * limits.max_headers
            and len(boundary) <= limits.max_boundary
        ):
            return Top(end + 2, boundary, {}, head)
    bodies = field_bodies(head, lower, b"\r\ncontent-type")
    types = [parse_content_type(body, limits.max_boundary) for body in bodies[:8]]
    if not any(found.type in {MCMT, APN} for found in types):
        return NOT_MCMT
    if len(bodies) > 1:
        return refusal("BadMessage", f"the message has {len(bodies)} Content-Type headers")
    if len(head) > 2 * limits.max_headers and head.count(b"\r\n") > limits.max_headers + 1:
        return refusal("LimitExceeded", f"the message has more than {limits.max_headers} header lines")
    context = _read_context(head, lower, limits)
    if isinstance(context, Reply):
        return context
    found = types[0]
    if found.type == APN:
        return Top(end + 2, None, context, head)
    if found.fault:
        return refusal("BadMessage", found.fault)
    if found.boundary is None:
        return refusal("BadMessage", "the Content-Type of the message has no boundary")
    encodings = field_bodies(head, lower, b"\r\ncontent-transfer-encoding")
    if len(encodings) > 1:
        return refusal("BadMessage", f"the message has {len(encodings)} Content-Transfer-Encoding headers")
    if encodings and transfer_encoding(encodings[0]) is not IDENTITY:
        return refusal(
            "BadMessage",
            f"Content-Transfer-Encoding {printable(encodings[0].strip())} of a multipart is not 7bit, 8bit "
            "or binary",
        )
    return Top(end + 2, found.boundary, context, head, in_pieces=found.in_pieces)


def _read_endless_top(content: Content, limits: McmtLimits) -> Reply | NotMcmt:
    head = content[: limits.max_header_bytes]
    if _MARK not in head.lower():
        return NOT_MCMT
    # Line ends of Unix, a header block that is cut off, or one beyond the limit.
    uniform = _uniform(head).partition(b"\r\n\r\n")[0]
    if not _looks_like_mcmt(b"\r\n" + uniform + b"\r\n", limits):
        return NOT_MCMT
    if len(content) > limits.max_header_bytes:
        return refusal("LimitExceeded", f"no end of the header block within {limits.max_header_bytes} bytes")
    return refusal("MessageTruncated", "the header block has no end (a blank line, CR LF CR LF)")


def _uniform(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def _looks_like_mcmt(head: bytes, limits: McmtLimits) -> bool:
    bodies = field_bodies(head, head.lower(), b"\r\ncontent-type")
    return any(parse_content_type(body, limits.max_boundary).type in {MCMT, APN} for body in bodies[:8])


def _read_context(head: bytes, lower: bytes, limits: McmtLimits) -> dict[str, str] | Reply:
    context: dict[str, str] = {}
    bodies = field_bodies(head, lower, b"\r\nx-tubepost-context")
    if len(bodies) > limits.max_context:
        return refusal("LimitExceeded", f"more than {limits.max_context} X-Tubepost-Context headers")
    for body in bodies:
        pair = _CONTEXT.fullmatch(body)
        if pair is None:
            return refusal("BadMessage", f"X-Tubepost-Context {printable(body.strip())} is not NAME=value")
        name = pair[1].decode("ascii")
        if name in context:
            return refusal("DuplicateHeaders", f"two X-Tubepost-Context headers for {name}")
        context[name] = pair[2].decode("ascii").strip()
    return context
