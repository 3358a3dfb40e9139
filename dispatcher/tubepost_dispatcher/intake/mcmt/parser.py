"""MCMT messages: from the bytes of a mail to push parts, or to a rejection that says what is wrong where.

The message is never copied as a whole and no byte is scanned more than a fixed number of times: delimiters
are found by `bytes.find` / `mmap.find`, nested multiparts draw on a budget of scanned bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tubepost_dispatcher.intake.mcmt.inner import decode_body, read_push_part
from tubepost_dispatcher.intake.mcmt.limits import DEFAULT_LIMITS, McmtLimits
from tubepost_dispatcher.intake.mcmt.message import NOT_MCMT, McmtMessage, NotMcmt, in_part
from tubepost_dispatcher.intake.mcmt.mime import (
    APN,
    BASE64,
    IDENTITY,
    PartHead,
    parse_part_head,
    part_head,
)
from tubepost_dispatcher.intake.mcmt.top import WINDOW, Content, Top, find, read_top, with_crlf
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply

_EMAIL_TYPES: Final = frozenset({b"message/rfc822", b"message/rfc2822"})
_CHANNEL_MULTIPARTS: Final = frozenset(
    {b"multipart/vnd.msys.mm7"}
)  # content of another channel, not ours to open
_VIEWED: Final = 1 << 16
"""Octets of an e-mail part above which it is not copied."""
_MIN_BUDGET: Final = 1 << 20  # so that a small message may nest as deep as the limits say

_FEW_LINES: Final = 64
"""Octets of a MIME header block whose lines are not worth counting."""

_CLOSE: Final = re.compile(rb"--[ \t]*+(?:\r\n|\Z)")
_PADDED: Final = re.compile(rb"[ \t]*+\r\n")
_HEX_RECIPIENT: Final = re.compile(r"[0-9A-Fa-f]{64,200}")


def fallback_token(context: Mapping[str, str], recipient_local_part: str) -> tuple[bytes | None, bool]:
    """The token of parts that have none, unchecked, and whether it is the recipient; None: there is none."""
    token = context.get("DLV_Dest_ID")
    if token:
        return token.encode("utf-8"), False
    if _HEX_RECIPIENT.fullmatch(recipient_local_part):
        return recipient_local_part.encode("ascii"), True
    return None, False


def is_mcmt(content: Content) -> bool:
    """Whether `parse_message` would take (or reject) this as an MCMT message; reads the header block only."""
    limits = DEFAULT_LIMITS
    return read_top(with_crlf(content[: limits.max_header_bytes + 5]), limits) is not NOT_MCMT


def parse_message(
    content: Content, *, recipient_local_part: str, limits: McmtLimits = DEFAULT_LIMITS
) -> McmtMessage | Reply | NotMcmt:
    """Take an MCMT message apart (Momentum, "The Multi-Channel Message Type").

    `content` is the whole mail with CRLF line ends; an mmap must stay open during the call only. A mail with
    the line ends of Unix from its first line on (Python's `smtplib` sends `Message.as_bytes()` so) is read as
    if it had CRLF; a mixture in the header block is refused. Mail whose
    Content-Type is neither `multipart/vnd.msys.mcmt` nor `message/vnd.msys.apn` is `NOT_MCMT`. The latter is
    taken as an MCMT message of one part whose MIME headers are the mail's; it has no closing boundary, so
    that a truncated one shows only by its JSON.

    Push parts may stand in multiparts inside the outer one. Parts are numbered from 1 in the order of the
    message, multiparts included. A device token comes from the part's inner header block, else its MIME
    headers, else the context variable DLV_Dest_ID of an `X-Tubepost-Context: NAME=value` header, else
    `recipient_local_part` when that is 64 to 200 hex digits. Never raises: every fault is a `Reply`,
    and one faulty part rejects the message.
    """
    content = with_crlf(content)
    top = read_top(content, limits)
    if not isinstance(top, Top):
        return top
    walk = _Walk(content, limits, top.context, recipient_local_part)
    if top.in_pieces:
        walk.noted.append("boundary-rfc2231")
    if top.boundary is None:
        return _single_part(walk, top)
    refused = walk.multipart(top.body, len(content), top.boundary, 1)
    if refused is not None:
        return refused
    if not walk.parts and walk.email is None:
        return refusal("NoPushPart")
    message = McmtMessage(
        walk.parts, top.context, walk.email, tuple(walk.ignored), token_of_recipient=walk.token_of_recipient
    )
    if walk.noted:
        message.warnings = tuple(dict.fromkeys(walk.noted))
        if walk.parts:
            walk.parts[0].warnings = (*message.warnings, *walk.parts[0].warnings)
    return message


def _single_part(walk: _Walk, top: Top) -> McmtMessage | Reply:
    size = len(walk.content) - top.body - 2
    if size > walk.limits.max_part_bytes:
        return in_part(1, _too_large(size, walk.limits))
    head = parse_part_head(top.head, walk.limits.max_boundary)
    if head.fault:
        return refusal(head.reason, head.fault)
    part = read_push_part(walk.content[top.body + 2 :], head, walk.limits, walk.fallback_token)
    if isinstance(part, Reply):
        return in_part(1, part)
    return McmtMessage([part], top.context, token_of_recipient=walk.token_of_recipient)


def _too_large(size: int, limits: McmtLimits) -> Reply:
    text = f"the push part has {size} bytes, the limit is {limits.max_part_bytes}"
    return refusal("PayloadTooLarge", text)


class _Walk:
    """One message being taken apart: what was found, and how much more may be looked at."""

    __slots__ = (
        "budget",
        "content",
        "context",
        "count",
        "email",
        "false_delimiters",
        "ignored",
        "limits",
        "lines",
        "noted",
        "parts",
        "push_bytes",
        "recipient",
        "token_of_recipient",
    )

    def __init__(self, content: Content, limits: McmtLimits, context: dict[str, str], recipient: str) -> None:
        self.content = content
        self.limits = limits
        self.context = context
        self.recipient = recipient
        self.token_of_recipient = False
        self.parts: list[PushPart] = []
        self.email: bytes | memoryview | None = None
        self.noted: list[str] = []
        self.lines = 0
        self.push_bytes = 0
        self.ignored: list[str] = []
        self.count = 0
        self.false_delimiters = 0
        self.budget = max(_MIN_BUDGET, 4 * len(content))

    def fallback_token(self) -> bytes | None:
        """The token of parts that have none, unchecked; None: there is none."""
        token, self.token_of_recipient = fallback_token(self.context, self.recipient)
        return token

    def multipart(self, start: int, end: int, boundary: bytes, depth: int) -> Reply | None:
        """Read the parts between `start` (the CRLF before them) and `end` (the CRLF after them)."""
        self.budget -= end - start
        if self.budget < 0:
            return refusal("LimitExceeded", "the multiparts of the message are nested too deep for its size")
        number = self.count  # of this multipart; 0 is the message itself
        content = self.content
        delimiter = b"\r\n--" + boundary
        size = len(delimiter)
        small = end - start <= WINDOW
        begin = -1  # of the part being read; -1 in the preamble
        at = start
        while True:
            at = content.find(delimiter, at, end) if small else find(content, delimiter, at, end)
            if at < 0:
                where = f"part {number}" if number else "the message"
                return refusal(
                    "MessageTruncated", f"{where} is truncated: its multipart has no closing boundary"
                )
            after = at + size
            ending = content[after : after + 2]
            closing = False
            if ending == b"\r\n":
                following = after + 2
            elif ending == b"--" and _CLOSE.match(content, after) is not None:
                closing = True
                following = 0
            else:
                padded = _PADDED.match(content, after) if ending[:1] in {b" ", b"\t"} else None
                if padded is None:  # only the beginning of a longer line, such as another boundary
                    self.false_delimiters += 1
                    if self.false_delimiters > self.limits.max_false_delimiters:
                        return refusal(
                            "LimitExceeded", "too many lines that look like a boundary and are none"
                        )
                    at = after
                    continue
                following = padded.end()
            if begin >= 0:
                refused = self._part(begin, at, depth)
                if refused is not None:
                    return refused
            if closing:
                return None
            begin = following
            at = begin - 2

    def _part(self, begin: int, end: int, depth: int) -> Reply | None:
        self.count = number = self.count + 1
        limits = self.limits
        if number > limits.max_parts:
            return refusal("LimitExceeded", f"the message has more than {limits.max_parts} parts")
        content = self.content
        # The blank line may be made of the CRLF that belongs to the next delimiter: then the part is empty.
        blank = content.find(b"\r\n\r\n", begin - 2, min(end + 2, begin + limits.max_header_bytes + 2))
        if blank < 0:
            if end - begin > limits.max_header_bytes:
                text = f"MIME headers larger than {limits.max_header_bytes} bytes"
                return in_part(number, refusal("LimitExceeded", text))
            return in_part(number, refusal("BadMessage", "no blank line after the MIME headers"))
        raw = content[begin - 2 : blank + 2]
        if len(raw) > _FEW_LINES:
            lines = raw.count(b"\r\n") - 1
            if lines > limits.max_headers:
                text = f"more than {limits.max_headers} MIME header lines"
                return in_part(number, refusal("LimitExceeded", text))
            self.lines += lines
            if self.lines > limits.max_lines:
                return self._too_many_lines()
        head = part_head(raw, limits.max_boundary)
        if head.fault:
            return in_part(number, refusal(head.reason, head.fault))
        body = blank + 4
        type_ = head.content_type.type
        if type_ == APN:
            if end - body > limits.max_part_bytes:
                return in_part(number, _too_large(end - body, limits))
            raw = content[body:end] if body < end else b""
            if self.parts:
                self.push_bytes += len(raw)
                self.lines += raw.count(b"\n")
                if self.lines > limits.max_lines:
                    return self._too_many_lines()
                if self.push_bytes > limits.max_push_bytes:
                    return refusal(
                        "LimitExceeded",
                        f"the push parts of the message have more than {limits.max_push_bytes} bytes",
                    )
            part = read_push_part(raw, head, limits, self.fallback_token)
            if isinstance(part, Reply):
                return in_part(number, part)
            if len(self.parts) >= limits.max_push_parts:
                return refusal(
                    "LimitExceeded", f"the message has more than {limits.max_push_parts} push parts"
                )
            self.parts.append(part)
            return None
        if type_.startswith(b"multipart/") and type_ not in _CHANNEL_MULTIPARTS:
            return self._nested(number, head, blank + 2, end, depth)
        if type_ in _EMAIL_TYPES:
            return self._email(number, head, body, end)
        self.ignored.append(type_.decode("ascii") or "unreadable")
        return None

    def _too_many_lines(self) -> Reply:
        text = f"the parts of the message have more than {self.limits.max_lines} lines of headers"
        return refusal("LimitExceeded", text)

    def _nested(self, number: int, head: PartHead, start: int, end: int, depth: int) -> Reply | None:
        found = head.content_type
        if found.fault:
            return in_part(number, refusal("BadMessage", found.fault))
        if found.boundary is None:
            return in_part(number, refusal("BadMessage", "the Content-Type has no boundary"))
        if found.in_pieces:
            self.noted.append("boundary-rfc2231")
        if head.encoding is not IDENTITY:
            text = "the Content-Transfer-Encoding of a multipart is not 7bit, 8bit or binary"
            return in_part(number, refusal("BadMessage", text))
        if depth >= self.limits.max_depth:
            text = f"multiparts nested deeper than {self.limits.max_depth}"
            return in_part(number, refusal("LimitExceeded", text))
        return self.multipart(start, end, found.boundary, depth + 1)

    def _email(self, number: int, head: PartHead, begin: int, end: int) -> Reply | None:
        if self.email is not None:
            return in_part(number, refusal("BadMessage", "a second e-mail part; one is allowed"))
        if head.encoding is None:
            return in_part(number, refusal("BadMessage", "unknown Content-Transfer-Encoding"))
        if head.encoding is not IDENTITY and end - begin > self.limits.max_encoded_email:
            text = f"the encoded e-mail part exceeds {self.limits.max_encoded_email} bytes; send it as 8bit"
            return in_part(number, refusal("EmailPartTooLarge", text))
        if head.encoding is IDENTITY and begin < end:
            # With the CR LF of the delimiter, unless there is one before it.
            stop = end if self.content[end - 2 : end] == b"\r\n" else end + 2
            if stop - begin > _VIEWED:
                self.email = memoryview(self.content)[begin:stop]
            else:
                self.email = self.content[begin:stop]
            return None
        decoded = decode_body(self.content[begin:end] if begin < end else b"", head.encoding, self.noted)
        if isinstance(decoded, Reply):
            return in_part(number, decoded)
        if head.encoding is BASE64:
            decoded = decoded.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        self.email = decoded if decoded.endswith(b"\r\n") else decoded + b"\r\n"
        return None
