"""What a webhook's receiver answers, and what a killed process leaves in an outbox: read or refused, never a fault.

An answer has one meaning, a bounded wait, and words that are printable and show neither the authorization nor
a device token; an outbox gives back whole events only, and no more than it holds.
"""

from __future__ import annotations

import json

from tests.fuzz.target import Target, fields
from tubepost_dispatcher.feeds.webhook.answer import MOST_WAIT, Verdict, judge
from tubepost_dispatcher.feeds.webhook.outbox import read_lines
from tubepost_dispatcher.text import MAX_TEXT

_AUTHORIZATION = "Bearer s3cret-of-the-receiver"
_TOKEN = "a1b2c3d4" * 8


def run(data: bytes) -> None:
    """Two bytes of status; Retry-After and body; the same body as the contents of an outbox."""
    status = 200 + int.from_bytes(data[:2]) % 400
    retry_after, body = fields(data[2:], 2)
    said = body + (_AUTHORIZATION.encode() if len(body) % 3 == 1 else b"") + _TOKEN.encode() * (len(body) % 2)
    answer = judge(status, retry_after, said, 1_767_225_600.0, _AUTHORIZATION)
    assert 0.0 <= answer.wait <= MOST_WAIT
    assert (answer.verdict is Verdict.TAKEN) == (200 <= status < 300)
    assert answer.text.isprintable()
    assert len(answer.text) <= MAX_TEXT + 100
    assert _TOKEN[:40] not in answer.text
    assert "s3cret" not in answer.text or b"s3cret" in body
    good, unreadable = read_lines(body)
    assert len(good) + unreadable <= body.count(b"\n")
    for line in good:
        assert isinstance(json.loads(line), dict)
        assert line + b"\n" in body


TARGET = Target(
    run=run,
    max_length=1_024,
    seeds=(
        b"\x00\x00\xff{}\n",
        b"\x00\x04120\xff" + b'{"id":"1"}\n{"id":"2"}\n-1\n{"id":"3"',
        b"\x00\xc8Thu, 01 Jan 2026 00:01:00 GMT\xffno such event",
        b"\x00\xd5\xff<html>Request Entity Too Large",
        b"\x01\x2bsoon\xff" + b"-3\n[]\n\x00{}\n",
        b"\x00\x66\xffBearer abc eyJhbGciOiJIUzI1NiJ9.e30.x",
    ),
    words=(b"\n", b"-1\n", b'{"a":1}\n', b"Bearer ", b"\xff", b" GMT", b"eyJ", b"\x1b[2K", b"a1b2c3d4"),
)
