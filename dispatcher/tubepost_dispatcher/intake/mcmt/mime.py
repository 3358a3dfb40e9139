"""MIME headers: finding fields, reading Content-Type and Content-Transfer-Encoding. Every step is linear.

Header blocks are handed about with a CRLF before their first line and one after their last, so that a field
name is always found by its line end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

MCMT: Final = b"multipart/vnd.msys.mcmt"
APN: Final = b"message/vnd.msys.apn"
_DEFAULT_TYPE: Final = b"text/plain"  # RFC 2045 section 5.2
_MAX_TYPE: Final = 127  # RFC 6838 section 4.2 allows 127 for either half
_MAX_CONTENT_TYPE: Final = 16_384  # bytes of the field; bounds the work on nested comments

IDENTITY: Final = b""
BASE64: Final = b"base64"
QUOTED_PRINTABLE: Final = b"quoted-printable"
_ENCODINGS: Final = {
    b"": IDENTITY,
    b"7bit": IDENTITY,
    b"8bit": IDENTITY,
    b"binary": IDENTITY,
    b"base64": BASE64,
    b"quoted-printable": QUOTED_PRINTABLE,
}

PUSH_FIELDS: Final = frozenset(
    {
        b"x-device-token",
        b"return-path",
        b"apns-topic",
        b"apns-push-type",
        b"apns-priority",
        b"apns-expiration",
        b"apns-collapse-id",
        b"apns-channel-id",
        b"apns-id",
    }
)
"""Header fields that say something about a notification, in a part's MIME headers or its inner block."""

_SINGLE: Final = PUSH_FIELDS | {b"content-type", b"content-transfer-encoding"}
_USUAL_SPELLING: Final = {spelled: name for name in _SINGLE for spelled in (name, name.title())}
_BLANKS: Final = frozenset({b" ", b"\t"})

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_USUAL_TYPE: Final = re.compile(
    rb"[ \t]*+(" + _TOKEN + rb"/" + _TOKEN + rb")[ \t]*+"
    rb"(?:;[ \t]*+[Bb][Oo][Uu][Nn][Dd][Aa][Rr][Yy]="
    rb"(?:\"([^\"\\]++)\"|([0-9A-Za-z'+_,\-./:=?]++))[ \t]*+)?;?+[ \t]*+"
)
_TOKEN_RE: Final = re.compile(_TOKEN)
_ATTRIBUTE: Final = re.compile(rb"[^\x00- \x7f-\xff()<>@,;:\\\"/\[\]?=]++")
_QUOTED: Final = re.compile(rb"\"((?:[^\"\\]++|\\.)*+)\"", re.DOTALL)
_BARE_VALUE: Final = re.compile(rb"[^\x00- \x7f-\xff()<>@,;\\\"\[\]]++")
_SPACE: Final = re.compile(rb"[ \t]*+")
_COMMENT_STEP: Final = re.compile(rb"[^()\\]*+(?:\\.[^()\\]*+)*+", re.DOTALL)
_UNESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_ENCODED_WORD: Final = re.compile(rb"=\?[^?]++\?[QqBb]\?")
_PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_NOT_BOUNDARY: Final = re.compile(rb"[^ -~]")


class ContentType:
    """A Content-Type field. `fault` says why its parameters cannot be trusted, empty when they can."""

    __slots__ = ("boundary", "fault", "in_pieces", "type")

    def __init__(
        self, type_: bytes, boundary: bytes | None, fault: str = "", *, in_pieces: bool = False
    ) -> None:
        self.type = type_
        """Lower-case `type/subtype`, empty where none could be read."""
        self.boundary = boundary
        self.fault = fault
        self.in_pieces = in_pieces
        """The boundary was split or encoded as of RFC 2231: nobody needs that, some writers do it."""


class PartHead:
    """The MIME headers of one part. Instances are shared between messages: nobody changes one."""

    __slots__ = ("content_type", "encoding", "fault", "fields", "reason")

    def __init__(
        self, content_type: ContentType, encoding: bytes | None, fields: Mapping[bytes, bytes]
    ) -> None:
        self.content_type = content_type
        self.encoding = encoding
        """`IDENTITY`, `BASE64`, `QUOTED_PRINTABLE`; None for an encoding that nobody knows."""
        self.fields = fields
        """`PUSH_FIELDS` that stand among the MIME headers, unfolded, without surrounding blanks."""
        self.fault = ""
        """Why these headers cannot be read, empty when they can."""
        self.reason = ""


class Fields:
    """Fields of one header block by name; `fault` says why it is malformed, `reason` what kind."""

    __slots__ = ("fault", "reason", "values")

    def __init__(self, values: dict[bytes, bytes], fault: str = "", reason: str = "BadMessage") -> None:
        self.values = values
        self.fault = fault
        self.reason = reason


def read_fields(lines: list[bytes], what: str) -> Fields:
    """The push and content fields among `lines`; `what` names the block in the text of a fault.

    Unknown fields are skipped, folded ones unfolded (RFC 5322 section 2.2.3); a field that may stand once
    and stands twice is a fault.
    """
    values: dict[bytes, bytes] = {}
    last: bytes | None = None
    folds: list[bytes] = []
    for number, line in enumerate(lines, 1):
        spelled, colon, value = line.partition(b":")
        name = _USUAL_SPELLING.get(spelled)
        if name is None:
            if line[:1] in _BLANKS:
                if number == 1:
                    return Fields(values, f"{what} line 1 is indented, so it is no header")
                if last is not None:
                    folds.append(line)
                continue
            name = spelled.rstrip(b" \t").lower()
            if name not in _SINGLE:
                if _TOKEN_RE.fullmatch(name) is None or not colon:
                    text = f"{what} line {number} is no header; a blank line must end the headers"
                    return Fields(values, text)
                name = None
        if folds and last is not None:
            values[last] = b"".join((values[last], *folds)).strip(b" \t")
            folds = []
        last = name
        if name is not None:
            if not colon:
                return Fields(values, f"{what} line {number} is no header; a blank line must end the headers")
            if name in values:
                return Fields(values, f"two {name.decode()} headers in one block", "DuplicateHeaders")
            values[name] = value.strip(b" \t")
    if folds and last is not None:
        values[last] = b"".join((values[last], *folds)).strip(b" \t")
    return Fields(values)


def field_bodies(head: bytes, lower: bytes, name: bytes) -> list[bytes]:
    r"""Unfolded bodies of all fields called `name` (given as b"\r\nname"); `lower` is `head.lower()`."""
    found = []
    at = lower.find(name)
    while at >= 0:
        at += len(name)
        if lower[at] != 58:  # a colon
            blanks = _SPACE.match(lower, at)
            at = blanks.end() if blanks else at
        if lower[at] == 58:
            end = head.find(b"\r\n", at)
            while head[end + 2 : end + 3] in _BLANKS:
                end = head.find(b"\r\n", end + 2)
            body = head[at + 1 : end]
            found.append(body.replace(b"\r\n", b"") if b"\r\n" in body else body)
            at = end
        at = lower.find(name, at)
    return found


def has_bare_line_ends(block: bytes) -> bool:
    """Whether a CR or LF stands alone, or there is a NUL: readers would disagree on where lines end."""
    # Two passes, where three searches and the copy for them would be five.
    return len(block) - len(block.translate(None, b"\r\n\0")) != 2 * block.count(b"\r\n")


def transfer_encoding(value: bytes) -> bytes | None:
    """The encoding that a Content-Transfer-Encoding body names (RFC 2045 section 6), None if unknown."""
    known = _ENCODINGS.get(value.strip().lower())
    if known is not None:
        return known
    token = _TOKEN_RE.match(value, _skip(value, 0) or 0)
    if token is None:
        return None
    end = _skip(value, token.end())
    if end is None or value[end:].strip(b"; \t"):
        return None
    return _ENCODINGS.get(token[0].lower())


def parse_content_type(value: bytes, max_boundary: int) -> ContentType:
    """Read an unfolded Content-Type body (RFC 2045 section 5.1), tolerant of comments and stray semicolons.

    What two readers could take for two different boundaries is a fault: a boundary given twice, once plainly
    and once as of RFC 2231, holding an encoded word, or not quoted though it must be.
    """
    if len(value) > _MAX_CONTENT_TYPE:
        return ContentType(b"", None, f"the Content-Type is longer than {_MAX_CONTENT_TYPE} bytes")
    usual = _USUAL_TYPE.fullmatch(value)
    if usual is not None:
        type_, quoted, bare = usual.groups()
        boundary = quoted or bare
    else:
        parsed = _parse_slowly(value)
        if parsed.fault or parsed.boundary is None:
            return parsed
        fault = _boundary_fault(parsed.boundary, max_boundary)
        return ContentType(parsed.type, parsed.boundary, fault, in_pieces=parsed.in_pieces)
    type_ = type_[: 2 * _MAX_TYPE].lower()
    if boundary is None:
        return ContentType(type_, None)
    return ContentType(type_, boundary, _boundary_fault(boundary, max_boundary))


def _boundary_fault(boundary: bytes, max_boundary: int) -> str:
    if not boundary:
        return "the boundary is empty"
    if len(boundary) > max_boundary:
        return f"the boundary has {len(boundary)} bytes, the limit is {max_boundary}"
    if _NOT_BOUNDARY.search(boundary):
        return "the boundary holds a byte that is not printable ASCII"
    if boundary[-1] == 32:
        return "the boundary ends with a blank"
    if b"=?" in boundary and _ENCODED_WORD.search(boundary):
        return "the boundary is an encoded word"
    return ""


def _skip(value: bytes, at: int) -> int | None:
    """Where blanks and (nested) comments end; None: a comment is not closed (RFC 5322 section 3.2.2)."""
    while True:
        blanks = _SPACE.match(value, at)
        at = blanks.end() if blanks else at
        if value[at : at + 1] != b"(":
            return at
        depth = 1
        at += 1
        while depth:
            step = _COMMENT_STEP.match(value, at)
            at = step.end() if step else at
            mark = value[at : at + 1]
            if mark not in {b"(", b")"}:
                return None
            depth += 1 if mark == b"(" else -1
            at += 1


def _parse_slowly(value: bytes) -> ContentType:
    at = _skip(value, 0)
    major = _TOKEN_RE.match(value, at) if at is not None else None
    at = _skip(value, major.end()) if major else None
    if major is None or at is None or value[at : at + 1] != b"/":
        return ContentType(b"", None, "the Content-Type is not of the form type/subtype")
    at = _skip(value, at + 1)
    minor = _TOKEN_RE.match(value, at) if at is not None else None
    if minor is None:
        return ContentType(b"", None, "the Content-Type is not of the form type/subtype")
    type_ = (major[0] + b"/" + minor[0])[: 2 * _MAX_TYPE].lower()
    at = _skip(value, minor.end())
    boundary: bytes | None = None
    pieces: dict[bytes, bytes] = {}
    while at is not None and at < len(value):
        if value[at] != 59:  # a semicolon
            return ContentType(type_, None, "the parameters of the Content-Type are malformed")
        at = _skip(value, at + 1)
        if at is None or at == len(value) or value[at] == 59:
            continue
        attribute = _ATTRIBUTE.match(value, at)
        at = _skip(value, attribute.end()) if attribute else None
        if attribute is None or at is None or value[at : at + 1] != b"=":
            return ContentType(type_, None, "the parameters of the Content-Type are malformed")
        at = _skip(value, at + 1)
        content = _QUOTED.match(value, at) or _BARE_VALUE.match(value, at) if at is not None else None
        if content is None:
            return ContentType(type_, None, "the parameters of the Content-Type are malformed")
        name = attribute[0].lower()
        if name == b"boundary":
            if boundary is not None:
                return ContentType(type_, None, "the Content-Type has two boundaries")
            if content.re is _QUOTED:
                boundary = _UNESCAPE.sub(rb"\1", content[1])
            else:
                boundary = content[0]
                if value[content.end() : content.end() + 1] == b"(":
                    return ContentType(type_, None, "the boundary must be quoted")
        elif name.startswith(b"boundary*"):
            if name in pieces:
                return ContentType(type_, None, "the Content-Type has two boundaries")
            if value[content.end() : content.end() + 1] == b"(":
                return ContentType(type_, None, "the boundary must be quoted")
            pieces[name] = _UNESCAPE.sub(rb"\1", content[1]) if content.re is _QUOTED else content[0]
        at = _skip(value, content.end())
    if at is None:
        return ContentType(type_, None, "a comment in the Content-Type is not closed")
    if pieces:
        if boundary is not None:
            return ContentType(type_, None, "the Content-Type has two boundaries, one of them as of RFC 2231")
        boundary = _put_together(pieces)
        if boundary is None:
            return ContentType(type_, None, "the boundary is split or encoded, and not as of RFC 2231")
        return ContentType(type_, boundary, in_pieces=True)
    return ContentType(type_, boundary)


def _put_together(pieces: dict[bytes, bytes]) -> bytes | None:
    """The value of a parameter as of RFC 2231; None where one piece is missing or is malformed."""
    if b"boundary*" in pieces and len(pieces) > 1:
        return None
    whole = []
    for number in range(len(pieces)):
        name = b"boundary*%d" % number
        encoded = name + b"*"
        if number == 0 and b"boundary*" in pieces:
            encoded = b"boundary*"
        if (name in pieces) is (encoded in pieces):
            return None
        value = pieces.get(name)
        if value is None:
            value = pieces[encoded]
            if number == 0:
                charset, quote, value = value.partition(b"'")
                _, quote, value = value.partition(b"'") if quote else (b"", b"", b"")
                if not quote or charset.lower() not in {b"", b"us-ascii", b"utf-8", b"iso-8859-1"}:
                    return None
            if value.count(b"%") != len(_PERCENT.findall(value)):
                return None
            value = _PERCENT.sub(lambda found: bytes([int(found[1], 16)]), value)
        whole.append(value)
    return b"".join(whole)


def parse_part_head(head: bytes, max_boundary: int) -> PartHead:
    """Read a part's MIME headers; the limits on its size and number of lines are the caller's."""
    lines = head[2:-2].split(b"\r\n") if len(head) > 2 else []
    fields = read_fields(lines, "MIME header")
    values = fields.values
    value = values.pop(b"content-type", None)
    content_type = (
        ContentType(_DEFAULT_TYPE, None) if value is None else parse_content_type(value, max_boundary)
    )
    encoding = transfer_encoding(values.pop(b"content-transfer-encoding", b""))
    parsed = PartHead(content_type, encoding, values)
    parsed.fault, parsed.reason = fields.fault, fields.reason
    if has_bare_line_ends(head):
        parsed.fault = "a bare CR, bare LF or NUL in the MIME headers"
        parsed.reason = "BadMessage"
    return parsed


_remembered_head = lru_cache(512)(parse_part_head)

_MEMORABLE: Final = 512
"""Bytes of the largest header block that is remembered: senders repeat theirs from message to message."""


def part_head(head: bytes, max_boundary: int) -> PartHead:
    """`parse_part_head`, remembered for blocks of usual size."""
    if len(head) <= _MEMORABLE:
        return _remembered_head(head, max_boundary)
    return parse_part_head(head, max_boundary)
