"""A report to a sender, with any message and any text in what it tells of.

It is lines of printable text, none too long; its head and its fields for programs have the names that we give
them, and no others; it has as many parts as it should; the device token and the payload are not in it, unless
the sender's own words have them.
"""

from __future__ import annotations

import re

from tests.fuzz.target import Target, fields
from tubepost_dispatcher.bounces.decision import wanted
from tubepost_dispatcher.bounces.report import Event, Reporter, report
from tubepost_dispatcher.bounces.wishes import wishes_of
from tubepost_dispatcher.intake.kept_headers import MOST, kept_headers
from tubepost_dispatcher.notification import Notification, PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind

_TOKEN = "c0ffee11" * 8
_PAYLOAD = b'{"aps":{"alert":"7b1d6f0e5a"}}'
_KINDS = ("bounce", "delay", "success")
_HEAD = {
    "From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
    "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}  # fmt: skip
_STATUS = {
    "Original-Envelope-Id", "Reporting-MTA", "X-Tubepost-Message-Id", "Arrival-Date", "Original-Recipient",
    "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code", "Last-Attempt-Date",
    "Will-Retry-Until", "X-Tubepost-Apns-Id", "X-Tubepost-Token-Invalid-Since",
}  # fmt: skip
_COUNT = 10
_SAFE = re.compile(r"[ -~\t\u00a1-\U0010ffff]*")


def run(data: bytes) -> None:
    """Byte 0: kind, byte 1: status and places. Then the message and the values."""
    kind, places = (*data[:2], 0, 0)[:2]
    raw = fields(data[2:], _COUNT)
    texts = [part.decode("utf-8", "replace") for part in raw]
    headers = kept_headers(raw[0])
    assert len(headers.encode()) <= 3 * (MOST + 300)
    sender, recipient, reason, detail, envid, orcpt, notify, apns_id, path = texts[1:]
    if places & 1:
        recipient = f"{recipient}{_TOKEN.upper()}@x"
    if places & 2:
        detail = f"{_TOKEN} {detail}"
    push = PushPart(_TOKEN.encode(), _PAYLOAD, return_path=path if places & 4 else None)
    dsn = {"ENVID": envid, "ORCPT": orcpt, "NOTIFY": notify} if places & 8 else None
    notification = Notification(
        push, b"id", "m1", sender, recipient, "apn.example", dsn=dsn, headers=headers, accepted_at=1.8e9
    )
    outcomes = (OutcomeKind.PERMANENT, OutcomeKind.TRANSIENT, OutcomeKind.DELIVERED)
    what = _KINDS[kind % 3]
    assert (wanted(notification, what) is None) or notification.return_path
    outcome = Outcome(
        outcomes[kind % 3], reason, 410 if places & 16 else 0, apns_id, 1_700_000_000_000, detail
    )
    event = Event(what, notification, outcome, 1.8e9, 1.8e9, 1.9e9, "apns.example")
    content = report(event, Reporter("mx.example"), wishes_of(dsn)).content
    _check(content.decode(), own="".join([headers, *texts]).lower())


def _check(content: str, own: str) -> None:
    lines = content.split("\r\n")
    assert all(_SAFE.fullmatch(line) and len(line.encode()) <= 998 for line in lines)
    head, _, body = content.partition("\r\n\r\n")
    boundary = re.search(r'boundary="([^"]+)"', head)
    assert boundary is not None
    names = [line.partition(":")[0] for line in head.split("\r\n") if line[:1] not in " \t"]
    assert len(set(names)) == len(names)
    assert set(names) <= _HEAD
    parts = body.split(f"--{boundary[1]}")
    assert len(parts) in (4, 5)
    assert parts[-1] == "--\r\n"
    status = parts[2].partition("\r\n\r\n")[2].strip("\r\n")
    assert status.count("\r\n\r\n") == 1
    for line in filter(None, status.split("\r\n")):
        assert line.partition(":")[0] in _STATUS, line
    for secret in (_TOKEN, "7b1d6f0e5a"):
        assert secret[:12] in own or secret not in content.lower()


_NUL = b"\x00"
_MESSAGE = b"From: a@x.example\r\nMessage-ID: <1@x.example>\r\nSubject: x\r\n\r\nbody\r\n"
TARGET = Target(
    run=run,
    max_length=8_192,
    seeds=(b"", b"\x00\x1f" + _MESSAGE, b"\x01\x0f" + _MESSAGE, b"\x02\x08" + _MESSAGE),
    words=(
        b"\r\n", b"\r\n\r\n", b"--=_", b"Content-Type: ", b"Auto-Submitted: auto-replied", b"rfc822;",
        b"utf-8;\\x{e4}", b"+0D+0A", b"<1@x>", b'"', b"NEVER", b"SUCCESS,DELAY", b"\xc3\xa4", _NUL,
    ),
)  # fmt: skip
