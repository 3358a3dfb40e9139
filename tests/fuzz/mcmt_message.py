"""The reader of MCMT messages.

No exception; a refusal is a permanent reply of one printable line; what is taken is within its limits and fit
for APNs; `is_mcmt` agrees with `parse_message`; a message with line ends of Unix is read like its twin with
CRLF; the same message is read the same from a map of a file; a stored notification comes back as it was; no
refusal holds a whole device token.
"""

from __future__ import annotations

import re

import orjson

from tests.fuzz.target import Target
from tests.support.mcmt import SEED, mail, message, nested, part
from tests.support.slots import slot_values
from tubepost_api.config import McmtReception
from tubepost_dispatcher.intake.mcmt.limits import DEFAULT_LIMITS
from tubepost_dispatcher.intake.mcmt.message import NOT_MCMT, McmtMessage
from tubepost_dispatcher.intake.mcmt.parser import is_mcmt, parse_message
from tubepost_dispatcher.intake.receive import Push, receive
from tubepost_dispatcher.notification import decode, encode
from tubepost_dispatcher.reasons.catalogue import REASONS
from tubepost_dispatcher.reasons.message import WARNINGS
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.replies import render
from tubepost_dispatcher.transaction import Recipient, SessionFacts, Transaction

_RECIPIENTS = ("user", "ab" * 32, "AB" * 40, "", "\u00fc")
_REPLY = re.compile(rb"5\d\d 5\.\d\.\d+ [\x20-\x7e]*\r\n").fullmatch
_TOKEN = re.compile(rb"(?<![0-9a-fA-F])[0-9a-fA-F]{64,200}(?![0-9a-fA-F])").findall
_HEX = re.compile(rb"[0-9a-f]+").fullmatch
_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


def run(data: bytes) -> None:
    """Byte 0: the recipient. Then the message."""
    recipient = _RECIPIENTS[data[0] % len(_RECIPIENTS)] if data else ""
    content = data[1:]
    found = parse_message(content, recipient_local_part=recipient)
    assert is_mcmt(content) == (found is not NOT_MCMT)
    if isinstance(found, Reply):
        _check_refusal(found, content)
    elif isinstance(found, McmtMessage):
        _check_message(found)
    if b"\r" not in content:
        twin = parse_message(content.replace(b"\n", b"\r\n"), recipient_local_part=recipient)
        # The line ends of Unix are recognised in header blocks of ordinary size only.
        if b"\n\n" in content[:1_000] and not content.startswith(b"\n"):
            assert _seen(twin) == _seen(found)
    _receive(content, recipient)


def _check_refusal(reply: Reply, content: bytes) -> None:
    line = render(reply)
    assert _REPLY(line), line
    assert len(line) <= 512
    assert reply.reason in REASONS, reply
    for token in _TOKEN(content):
        assert token not in line, line
        assert token.lower() not in line, line


def _check_message(found: McmtMessage) -> None:
    assert found.parts or found.email is not None
    assert len(found.parts) <= DEFAULT_LIMITS.max_push_parts
    assert found.email is None or found.email.endswith(b"\r\n")
    for part_ in found.parts:
        assert _HEX(part_.token), part_.token
        assert len(part_.payload) <= DEFAULT_LIMITS.max_payload
        assert isinstance(orjson.loads(part_.payload), dict)
        assert set(part_.warnings) <= set(WARNINGS)
        assert part_.apns_id is None or _UUID(part_.apns_id)
        for value in (part_.topic, part_.push_type, part_.collapse_id):
            assert value is None or (value.isascii() and b"\r" not in value and b"\n" not in value)
        assert part_.return_path is None or part_.return_path.isprintable()


def _seen(found: object) -> object:
    if not isinstance(found, McmtMessage):
        return found
    parts = [slot_values(one) for one in found.parts]
    return parts, found.email, found.ignored, found.context


class _Nobody:
    def transaction_done(self, transaction: object, reply: Reply) -> None:
        raise AssertionError


def _receive(content: bytes, recipient: str) -> None:
    to: Recipient[str] = Recipient(f"{recipient}@push.example", "push.example", "")
    other: Recipient[str] = Recipient(f"{'cd' * 32}@push.example", "push.example", "")
    transaction = Transaction(
        _Nobody(), SessionFacts("192.0.2.1", 1), "id", "a@b.example", [to, other], content
    )
    for reception in McmtReception:
        result = receive(transaction, reception, relay=True, next_id=lambda: b"0" * 36, now=1_000.0)
        if isinstance(result, Reply):
            assert _REPLY(render(result))
        elif isinstance(result, Push):
            assert len(result.notifications) == result.parts * len(result.recipients)
            for one in result.notifications:
                stored = encode(one)
                assert encode(decode(stored)) == stored


_FULL = message(
    part(
        head=[b"Return-Path: <bounce@sender.example>"],
        inner=[b"apns-topic: com.example.app", b"apns-priority: 5"],
    ),
    part(encoding=b"base64", token=b"<abcd1234 " + b"ef01" * 14 + b">"),
    part(encoding=b"quoted-printable", inner=[b"apns-expiration: 1700000000", b"apns-collapse-id: x"]),
    nested(part(inner=[b"apns-push-type: background"]), b"Content-Type: text/plain\r\n\r\nhi", boundary=b"C"),
    b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nbody",
    headers=[b"X-Tubepost-Context: DLV_Dest_ID=" + b"ab" * 32, b"MIME-Version: 1.0"],
)
TARGET = Target(
    run,
    8_192,
    (
        b"\0" + SEED,
        b"\0" + SEED.replace(b"\r\n", b"\n"),
        b"\0" + mail(),
        b"\0" + _FULL,
        b"\1" + message(part(token=None)),
        b"\0Content-Type: message/vnd.msys.apn\r\nX-Device-Token: " + b"ab" * 32 + b"\r\n\r\n{}",
        b"\0"
        + message(
            part(
                b'{"aps":{"content-available":1}}',
                inner=[b"apns-id: " + b"0" * 8 + b"-0000" * 3 + b"-" + b"0" * 12],
            )
        ),
        b"\0"
        + message(part(), content_type=b"multipart/vnd.msys.mcmt; boundary*0=B; boundary*1*=us-ascii''x"),
        b"\0Subject: mail\r\n\r\nno push\r\n",
    ),
    (
        b"Content-Type: ",
        b"multipart/vnd.msys.mcmt",
        b"message/vnd.msys.apn",
        b"message/rfc822",
        b"multipart/mixed",
        b"; boundary=",
        b"\r\n--B\r\n",
        b"\r\n--B--",
        b"X-Device-Token: ",
        b"apns-topic: ",
        b"apns-push-type: ",
        b"apns-priority: ",
        b"apns-expiration: ",
        b"apns-collapse-id: ",
        b"apns-id: ",
        b"Return-Path: ",
        b"Content-Transfer-Encoding: ",
        b"base64",
        b"quoted-printable",
        b"8bit",
        b"X-Tubepost-Context: ",
        b"DLV_Dest_ID=",
        b"=\r\n",
        b"=20",
        b"\r\n\r\n",
        b"\n\n",
        b"\r\n ",
        b'{"aps":',
        b'{"mdm":"x"}',
        b",}",
        b"\\ud800",
        b"voip",
        b"liveactivity",
        b"background",
        b"*0*=",
        b"utf-8''",
    ),
)
