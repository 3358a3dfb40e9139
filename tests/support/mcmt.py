"""MCMT messages, built byte by byte."""

from __future__ import annotations

import base64
import quopri
from collections.abc import Iterable

TOKEN = b"ab" * 32
PAYLOAD = b'{"aps":{"alert":"hi"}}'
SEED = b"""From: alerts@sender.example
To: subscriber@apn_example.com
Subject: You have mail
Message-ID: <seed-sample-1@sender.example>
Date: Mon, 23 Nov 2026 12:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/vnd.msys.mcmt; boundary="MCMT_BOUNDARY"

--MCMT_BOUNDARY
Content-Type: message/vnd.msys.apn

X-Device-Token: 123acb90ffa0978cbade354ddffee76665a

{
  "aps" : {
    "alert" : "You have mail",
    "badge" : 9,
    "sound" : "dingdong.aiff"
   },
   "app-key" : "bar",
}
--MCMT_BOUNDARY--
""".replace(b"\n", b"\r\n")
"""The manual's sample, made whole."""


def part(
    payload: bytes = PAYLOAD,
    *,
    token: bytes | None = TOKEN,
    inner: Iterable[bytes] = (),
    head: Iterable[bytes] = (),
    encoding: bytes = b"",
    kind: bytes = b"message/vnd.msys.apn",
) -> bytes:
    """One push part without delimiters; `encoding` covers inner block and payload."""
    lines = [*([b"X-Device-Token: " + token] if token is not None else []), *inner]
    body = b"\r\n".join([*lines, b"", payload]) if lines else payload
    if encoding == b"base64":
        body = base64.encodebytes(body).replace(b"\n", b"\r\n")
    elif encoding == b"quoted-printable":
        body = quopri.encodestring(body.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    fields = [b"Content-Type: " + kind, *head]
    if encoding:
        fields.append(b"Content-Transfer-Encoding: " + encoding)
    return b"\r\n".join([*fields, b"", body])


def multipart(*parts: bytes, boundary: bytes = b"B") -> bytes:
    """Parts between delimiters, without headers."""
    return (
        b"".join(b"--" + boundary + b"\r\n" + one + b"\r\n" for one in parts) + b"--" + boundary + b"--\r\n"
    )


def nested(*parts: bytes, boundary: bytes, subtype: bytes = b"mixed") -> bytes:
    """A multipart as a part."""
    head = b"Content-Type: multipart/" + subtype + b'; boundary="' + boundary + b'"\r\n\r\n'
    return head + multipart(*parts, boundary=boundary)


def message(
    *parts: bytes,
    boundary: bytes = b"B",
    content_type: bytes | None = None,
    headers: Iterable[bytes] = (),
) -> bytes:
    """A whole MCMT message."""
    if content_type is None:
        content_type = b'multipart/vnd.msys.mcmt; boundary="' + boundary + b'"'
    head = b"\r\n".join([b"From: a@sender.example", *headers, b"Content-Type: " + content_type, b"", b""])
    return head + multipart(*parts, boundary=boundary)


def mail(payload: bytes = PAYLOAD, *, token: bytes = TOKEN) -> bytes:
    """A message as an application sends it, with one push part."""
    headers = [b"To: x@apn_example.com", b"Subject: push", b"MIME-Version: 1.0"]
    return message(part(payload, token=token), headers=headers)
