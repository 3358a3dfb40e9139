"""One push part: transfer encoding, inner header block, header values."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from typing import Final

from tubepost_dispatcher.intake.mcmt.limits import McmtLimits
from tubepost_dispatcher.intake.mcmt.mime import (
    BASE64,
    IDENTITY,
    QUOTED_PRINTABLE,
    PartHead,
    read_fields,
    transfer_encoding,
)
from tubepost_dispatcher.intake.mcmt.payload import check_payload
from tubepost_dispatcher.intake.mcmt.values import read_token, read_values, unword
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply

_HEADER_START: Final = re.compile(rb"[0-9A-Za-z_.\-]++[ \t]*+:")
_BAD_ESCAPE: Final = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n|\Z)")
_PADDED_BREAK: Final = re.compile(rb"=[ \t]++(?=\r?\n|\Z)")
_STEP: Final = 1 << 16
_WHITE: Final = b" \t\r\n"

# What nearly every sender writes: the token alone. Only a short cut; the general way gives the same.
_TOKEN_ONLY: Final = re.compile(rb"[Xx]-[Dd]evice-[Tt]oken: ?([0-9A-Fa-f]{64,200}+)\r\n\r\n(?={)")


def decode_body(body: bytes, encoding: bytes, noted: list[str]) -> bytes | Reply:
    """Undo a transfer encoding (RFC 2045 section 6), strictly: what is no valid encoding is rejected.

    Blanks that transport has added behind a soft line break are no fault (section 6.7, rule 3); they are
    `noted` with a warning slug.
    """
    if encoding is BASE64:
        try:
            return binascii.a2b_base64(body.translate(None, _WHITE), strict_mode=True)
        except binascii.Error as error:
            return refusal("BadMessage", f"malformed base64: {str(error).lower()}")
    if encoding is QUOTED_PRINTABLE:
        bad = _BAD_ESCAPE.search(body)
        if bad is not None:
            padded, body = body, _without_padding(body)
            if len(body) != len(padded):
                noted.append("quoted-printable-padding")
            bad = _BAD_ESCAPE.search(body)
        if bad is not None:
            line = body.count(b"\n", 0, bad.start()) + 1
            return refusal("BadMessage", f"malformed quoted-printable in line {line} of the part's body")
        return binascii.a2b_qp(body)
    return body


def _without_padding(body: bytes) -> bytes:
    """Take blanks behind soft line breaks away, some lines at a time, so that other threads have a turn."""
    pieces = []
    begin = 0
    while begin < len(body):
        end = body.find(b"\n", begin + _STEP) + 1 or len(body)
        pieces.append(_PADDED_BREAK.sub(b"=", body[begin:end]))
        begin = end
    return b"".join(pieces)


def read_push_part(
    body: bytes, head: PartHead, limits: McmtLimits, fallback_token: Callable[[], bytes | None]
) -> PushPart | Reply:
    """Read one part of type message/vnd.msys.apn; `body` is what follows the blank line after `head`.

    Transfer encodings may cover inner block and JSON, or the JSON alone after a clear inner block. A clear
    inner block may also name the encoding of the JSON itself. Where both blocks have a field, the inner one
    wins. Rejections do not name the part's number: the caller knows it.
    """
    encoding = head.encoding
    if encoding is None:
        return refusal("BadMessage", "unknown Content-Transfer-Encoding")
    fields: Mapping[bytes, bytes] = head.fields
    if encoding is IDENTITY and not fields:
        simple = _TOKEN_ONLY.match(body)
        if simple is not None:
            return _build(simple[1].lower(), body[simple.end() :], None, limits)
    noted: list[str] = []
    encoded = encoding is not IDENTITY
    if encoded and (encoding is QUOTED_PRINTABLE or not _HEADER_START.match(body.lstrip(_WHITE))):
        decoded = decode_body(body, encoding, noted)
        if isinstance(decoded, Reply):
            return decoded
        body = decoded
        encoded = False
    split = _split(body, limits)
    if isinstance(split, Reply):
        return split
    inner, payload = split
    named = inner.pop(b"content-transfer-encoding", None)
    if named is not None:
        own = transfer_encoding(named)
        if own is None:
            return refusal("BadMessage", "unknown Content-Transfer-Encoding in the inner header block")
        if own is not encoding and encoding is not IDENTITY and (encoded or own is not IDENTITY):
            return refusal("BadMessage", "the two Content-Transfer-Encoding headers of the part contradict")
        if own is encoding and encoding is not IDENTITY and not encoded:
            return refusal("BadMessage", "the part is encoded, and its inner header block says so again")
        encoding, encoded = own, own is not IDENTITY
    if encoded:
        decoded = decode_body(payload, encoding, noted)
        if isinstance(decoded, Reply):
            return decoded
        payload = decoded
    part = build_part({**fields, **inner} if fields else inner, payload, limits, fallback_token)
    if noted and not isinstance(part, Reply):
        part.warnings = (*noted, *part.warnings)
    return part


def _split(body: bytes, limits: McmtLimits) -> tuple[dict[bytes, bytes], bytes] | Reply:
    """Inner header block and payload; line ends are CRLF or LF here, since encoders on Unix write LF."""
    text = body.lstrip(b"\r\n") if body[:1] in {b"\r", b"\n"} else body
    if _HEADER_START.match(text) is None:
        return {}, text
    crlf = text.find(b"\n\r\n")
    bare = text.find(b"\n\n", 0, crlf + 1 if crlf >= 0 else len(text))
    if bare >= 0:
        block, payload = text[:bare], text[bare + 2 :]
    elif crlf >= 0:
        block, payload = text[:crlf], text[crlf + 3 :]
    else:
        block, payload = text, b""
    if len(block) > limits.max_header_bytes or block.count(b"\n") >= limits.max_headers:
        return refusal("LimitExceeded", "the inner header block is too large")
    lines = block.replace(b"\r\n", b"\n").split(b"\n")
    if lines[-1][-1:] in {b"\r", b""}:
        lines[-1] = lines[-1][:-1]
        if not lines[-1]:
            lines.pop()
    fields = read_fields(lines, "inner header")
    if fields.fault:
        return refusal(fields.reason, fields.fault)
    fields.values.pop(b"content-type", None)
    return fields.values, payload


def build_part(
    fields: dict[bytes, bytes], text: bytes, limits: McmtLimits, fallback_token: Callable[[], bytes | None]
) -> PushPart | Reply:
    """Check a part's fields (`mime.PUSH_FIELDS`, by name; changed) and its payload, and put it together.

    `fallback_token` gives the token of a part that has none, unchecked; None: there is none.
    """
    raw_token = fields.pop(b"x-device-token", None)
    where = "X-Device-Token"
    if b"apns-channel-id" in fields:
        if raw_token is not None:
            return refusal(
                "BadChannelId",
                "the part has X-Device-Token and apns-channel-id: it goes to a device or to a channel",
            )
        return _build(b"", text, fields, limits)
    if raw_token is None:
        raw_token = fallback_token()
        where = "the device token of the message"
        if raw_token is None:
            return refusal(
                "MissingDeviceToken",
                "no X-Device-Token, no apns-channel-id, no context variable DLV_Dest_ID, and the recipient "
                "is no device token",
            )
    token = read_token(raw_token, where)
    if isinstance(token, Reply):
        return token
    part = _build(token, text, fields, limits)
    if not isinstance(part, Reply) and len(token) != len(raw_token) and len(token) != len(unword(raw_token)):
        part.warnings = ("decorated-token", *part.warnings)
    return part


def _build(
    token: bytes, text: bytes, fields: dict[bytes, bytes] | None, limits: McmtLimits
) -> PushPart | Reply:
    payload = check_payload(text, limits.max_payload)
    if isinstance(payload, Reply):
        return payload
    part = PushPart(token, payload.data)
    part.warnings = payload.warnings
    part.background = payload.background
    part.is_mdm = payload.is_mdm
    if token and (
        len(token) < 64 or len(token) & 1
    ):  # the tokens that APNs has given so far are 32 bytes and more
        part.warnings = (*part.warnings, "unusual-token-length")
    if fields:
        refused = read_values(fields, part)
        if refused is not None:
            return refused
    return part
