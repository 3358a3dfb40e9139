"""A notification as the MCMT message that a sender would have submitted for it. Pure."""

from __future__ import annotations

import hashlib
from typing import Final

from tubepost_simulator.journal import Notification

DEFAULT_RECIPIENT: Final = "device@apn_example.com"
"""Of the domain in `examples/`."""
_SENDER: Final = "app@example.com"


def is_recipient(text: str) -> bool:
    """Whether a text can stand in a message as the address of its recipient."""
    local, at, domain = text.rpartition("@")
    return bool(at and local and domain) and len(text) <= 254 and text.isprintable() and " " not in text


def mcmt_message(record: Notification, recipient: str = DEFAULT_RECIPIENT) -> bytes:
    """The message, with CRLF line ends; the same every time.

    What APNs has worked out itself (a topic by certificate, an `apns-id`) is named as a header, too, but for
    the `apns-id`, which a new notification is to have of its own.

    Args:
        record: what is to be sent again.
        recipient: address for To, which selects the domain (see `is_recipient`).
    """
    inner = []
    if record.channel_id:
        inner.append(f"apns-channel-id: {record.channel_id}")
    elif record.token:
        inner.append(f"X-Device-Token: {record.token}")
    for name, value in (
        ("apns-topic", record.topic),
        ("apns-push-type", record.push_type),
        ("apns-priority", record.priority),
        ("apns-expiration", record.expiration),
        ("apns-collapse-id", record.collapse_id),
    ):
        if value is not None and value != "":
            inner.append(f"{name}: {_one_line(str(value))}")
    payload = b"\r\n".join(record.payload.splitlines())
    head = "\r\n".join(inner).encode()
    boundary = "tubepost-" + hashlib.sha256(head + payload).hexdigest()[:24]
    encoding = "7bit" if payload.isascii() and head.isascii() else "8bit"
    lines = [
        f"From: {_SENDER}",
        f"To: {recipient}",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/vnd.msys.mcmt; boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: message/vnd.msys.apn",
        f"Content-Transfer-Encoding: {encoding}",
        "",
    ]
    begin = "\r\n".join(lines).encode() + b"\r\n" + head + b"\r\n\r\n"
    return begin + payload + f"\r\n--{boundary}--\r\n".encode()


def _one_line(text: str) -> str:
    return " ".join(text.split())
