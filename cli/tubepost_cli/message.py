"""Building an MCMT message around a push payload."""

from __future__ import annotations

import secrets
from email.utils import formatdate, make_msgid

BOUNDARY_PREFIX = "tubepost-"


def push_message(
    payload: bytes,
    *,
    sender: str,
    recipient: str,
    token: str | None,
    headers: dict[str, str] | None = None,
    subject: str = "Push notification",
) -> bytes:
    """An MCMT message with one push part, with CRLF line ends.

    Args:
        payload: the JSON payload, UTF-8; sent as 8bit when it is not ASCII.
        sender: address for From.
        recipient: address for To.
        token: the device token, None to leave it out.
        headers: inner headers of the push part, such as `apns-topic`.
        subject: the mail's subject, which push delivery does not use.
    """
    boundary = BOUNDARY_PREFIX + secrets.token_hex(12)
    encoding = "7bit" if payload.isascii() else "8bit"
    inner = [f"{name}: {value}" for name, value in (headers or {}).items()]
    if token is not None:
        inner.insert(0, f"X-Device-Token: {token}")
    lines = [
        f"From: {sender}",
        f"To: {recipient}",
        f"Subject: {subject}",
        f"Date: {formatdate()}",
        f"Message-ID: {make_msgid(domain='tubepost.invalid')}",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/vnd.msys.mcmt; boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: message/vnd.msys.apn",
        f"Content-Transfer-Encoding: {encoding}",
        "",
        *inner,
        "",
    ]
    head = "\r\n".join(lines).encode() + b"\r\n"
    body = payload.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return head + body + f"\r\n--{boundary}--\r\n".encode()
