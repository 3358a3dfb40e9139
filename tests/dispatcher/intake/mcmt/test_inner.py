from __future__ import annotations

import base64
import quopri

import pytest

from tests.support.mcmt import PAYLOAD, TOKEN
from tubepost_dispatcher.intake.mcmt.inner import decode_body, read_push_part
from tubepost_dispatcher.intake.mcmt.limits import DEFAULT_LIMITS
from tubepost_dispatcher.intake.mcmt.mime import BASE64, IDENTITY, QUOTED_PRINTABLE, part_head
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.reply import Reply

HEADER = b"X-Device-Token: " + TOKEN


def read(body: bytes, *head: bytes) -> PushPart | Reply:
    block = b"\r\n" + b"".join(line + b"\r\n" for line in head)
    return read_push_part(body, part_head(block, 70), DEFAULT_LIMITS, lambda: None)


def taken(body: bytes, *head: bytes) -> PushPart:
    found = read(body, *head)
    assert isinstance(found, PushPart), found
    return found


def refused(body: bytes, *head: bytes) -> Reply:
    found = read(body, *head)
    assert isinstance(found, Reply)
    return found


B64 = b"Content-Transfer-Encoding: base64"
QP = b"Content-Transfer-Encoding: quoted-printable"


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (HEADER + b"\r\n\r\n" + PAYLOAD, ()),
        (HEADER + b"\n\n" + PAYLOAD, ()),
        (HEADER + b"\n\r\n" + PAYLOAD, ()),
        (HEADER + b"\r\n\n" + PAYLOAD, ()),
        (b"\r\n\r\n" + HEADER + b"\r\n\r\n\r\n" + PAYLOAD + b"\r\n\r\n", ()),
        (b"x-other: 1\r\n" + HEADER.upper() + b"\r\nX: y\r\n\tz\r\n\r\n" + PAYLOAD, ()),
        (b"X-Device-Token :\r\n " + TOKEN + b"\r\n\r\n" + PAYLOAD, ()),
        (PAYLOAD, (HEADER,)),
        (b"\r\n  " + PAYLOAD, (HEADER,)),
        (base64.b64encode(PAYLOAD), (HEADER, B64)),
        (base64.b64encode(HEADER + b"\n\n" + PAYLOAD), (B64,)),
        (
            b" \r\n" + base64.encodebytes(HEADER + b"\r\n\r\n" + PAYLOAD),
            (b"content-transfer-encoding: BASE64",),
        ),
        (HEADER + b"\r\n\r\n" + base64.encodebytes(PAYLOAD), (B64,)),
        (HEADER + b"\r\n" + B64 + b"\r\n\r\n" + base64.encodebytes(PAYLOAD), (B64,)),
        (HEADER + b"\r\n" + B64 + b"\r\n\r\n" + base64.encodebytes(PAYLOAD), ()),
        (HEADER + b"\r\n" + QP + b"\r\n\r\n" + PAYLOAD.replace(b"h", b"=68=\r\n"), ()),
        (quopri.encodestring(HEADER + b"\n\n" + PAYLOAD), (QP,)),
        (HEADER + b"\r\n\r\n" + quopri.encodestring(PAYLOAD), (QP,)),
        (HEADER + b"\nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\n" + PAYLOAD, (QP,)),
    ],
)
def test_forms_of_a_part(body: bytes, head: tuple[bytes, ...]) -> None:
    found = taken(body, *head)
    assert found.payload == PAYLOAD
    assert found.token == TOKEN


def test_fields_of_the_inner_block_win() -> None:
    found = taken(
        HEADER + b"\r\napns-topic: inner\r\n\r\n" + PAYLOAD,
        b"X-Device-Token: 00",
        b"apns-topic: outer",
        b"apns-priority: 5",
    )
    assert (found.token, found.topic, found.priority) == (TOKEN, b"inner", 5)


@pytest.mark.parametrize(
    ("body", "head", "reason", "words"),
    [
        (b"", (HEADER,), "PayloadEmpty", "empty"),
        (HEADER, (), "PayloadEmpty", "empty"),
        (HEADER + b"\r\n\r\n", (), "PayloadEmpty", "empty"),
        (HEADER + b"\r\n" + PAYLOAD, (), "BadMessage", "inner header line 2"),
        (HEADER + b"\r\n{\r\n" + PAYLOAD, (), "BadMessage", "inner header line 2"),
        (HEADER + b"\r\n" + HEADER + b"\r\n\r\n" + PAYLOAD, (), "DuplicateHeaders", "x-device-token"),
        (HEADER + b"\r\napns-id: 1\r\nApns-Id: 2\r\n\r\n{}", (), "DuplicateHeaders", "apns-id"),
        (PAYLOAD, (), "MissingDeviceToken", "DLV_Dest_ID"),
        (b"X-Device-Token:\r\n\r\n" + PAYLOAD, (), "MissingDeviceToken", "empty"),
        (b"X-Device-Token: <ab cd>\r\n\r\n" + PAYLOAD, (), "BadDeviceToken", '"<ab cd>"'),
        (b"X-Device-Token: ab\r\n cd\r\n\r\n" + PAYLOAD, (), "BadDeviceToken", '"ab cd"'),
        (b"X-Device-Token: ab\rX: y\r\n\r\n" + PAYLOAD, (), "BadDeviceToken", "\\x0d"),
        (b"X-Device-Token: " + b"a" * 201 + b"\r\n\r\n" + PAYLOAD, (), "DeviceTokenTooLong", "201"),
        (b"!!!", (HEADER, B64), "BadMessage", "base64"),
        (base64.b64encode(PAYLOAD)[:-3], (HEADER, B64), "BadMessage", "base64"),
        (b"{=4\r\n}", (HEADER, QP), "BadMessage", "quoted-printable in line 1"),
        (PAYLOAD, (HEADER, b"Content-Transfer-Encoding: uuencode"), "BadMessage", "unknown"),
        (HEADER + b"\r\nContent-Transfer-Encoding: x\r\n\r\n{}", (), "BadMessage", "inner header block"),
        (HEADER + b"\r\n" + QP + b"\r\n\r\n" + base64.b64encode(PAYLOAD), (B64,), "BadMessage", "contradict"),
        (base64.b64encode(HEADER + b"\n" + QP + b"\n\n" + PAYLOAD), (B64,), "BadMessage", "contradict"),
        (base64.b64encode(HEADER + b"\n" + B64 + b"\n\n" + PAYLOAD), (B64,), "BadMessage", "again"),
    ],
)
def test_what_is_refused(body: bytes, head: tuple[bytes, ...], reason: str, words: str) -> None:
    found = refused(body, *head)
    assert found.reason == reason
    assert words in found.text


@pytest.mark.parametrize(
    ("token", "unusual"),
    [(b"a" * 64, False), (b"a" * 200, False), (b"a" * 63, True), (b"a" * 65, True), (b"a", True)],
)
def test_unusual_token_lengths_are_warned_about(token: bytes, unusual: bool) -> None:
    found = taken(b"X-Device-Token: " + token + b"\r\n\r\n" + PAYLOAD)
    assert ("unusual-token-length" in found.warnings) == unusual


def test_decode_body() -> None:
    noted: list[str] = []
    assert decode_body(b"a=20", IDENTITY, noted) == b"a=20"
    assert decode_body(b"a=20=\r\nb=\nc=", QUOTED_PRINTABLE, noted) == b"a bc"
    assert decode_body(b"aGV\r\n sbG8=\r\n", BASE64, noted) == b"hello"
    assert isinstance(decode_body(b"b= c\r\n", QUOTED_PRINTABLE, noted), Reply)
    assert isinstance(decode_body(b"aGVsbG8", BASE64, noted), Reply)
    assert isinstance(decode_body(b"aGVsbG8=aGVsbG8=", BASE64, noted), Reply)
    assert noted == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"b= \r\nc", b"bc"),
        (b"b=\t \nc", b"bc"),
        (b"b=  ", b"b"),
        (b"=  \r\n=\r\n=20= \r\n", b" "),
        (b"=" + b" " * 100_000 + b"\r\nc", b"c"),
    ],
)
def test_blanks_behind_a_soft_line_break_are_transports(body: bytes, text: bytes) -> None:
    noted: list[str] = []
    assert decode_body(body, QUOTED_PRINTABLE, noted) == text
    assert noted == ["quoted-printable-padding"]


def test_charity_is_noted_with_the_part() -> None:
    padded = HEADER + b"\r\n\r\n" + PAYLOAD.replace(b":", b":= \r\n", 1)
    assert taken(padded, QP).warnings == ("quoted-printable-padding",)
    assert taken(padded, QP).payload == PAYLOAD
    grouped = b"<" + b" ".join(TOKEN[at : at + 8] for at in range(0, len(TOKEN), 8)) + b">"
    for written in (grouped, grouped.strip(b"<>"), b'"' + TOKEN + b'"', grouped.replace(b" ", b"\r\n ", 1)):
        found = taken(b"X-Device-Token: " + written + b"\r\n\r\n" + PAYLOAD)
        assert (found.token, found.warnings) == (TOKEN, ("decorated-token",))
    assert taken(b"X-Device-Token: =?utf-8?q?" + TOKEN + b"?=\r\n\r\n" + PAYLOAD).warnings == ()
    part = read_push_part(PAYLOAD, part_head(b"\r\n", 70), DEFAULT_LIMITS, lambda: grouped)
    assert isinstance(part, PushPart)
    assert (part.token, part.warnings) == (TOKEN, ("decorated-token",))


@pytest.mark.parametrize(
    "written",
    [
        b"{length = 32, bytes = 0x124686a5 556a72ca d808f572 ... 9f6b8b5f }",
        b"<124686a5 556a72ca d808f572 ... 9f6b8b5f>",
    ],
)
def test_a_token_without_its_middle_is_refused_in_words(written: bytes) -> None:
    reply = refused(b"X-Device-Token: " + written + b"\r\n\r\n" + PAYLOAD)
    assert reply.reason == "BadDeviceToken"
    assert "NSData" in reply.text
    assert "124686a5" not in reply.text


def test_expirations_in_other_units_are_noted() -> None:
    second = 1_764_000_000
    for digits, slug in ((3, "milliseconds"), (6, "microseconds"), (9, "nanoseconds")):
        value = str(second * 10**digits + 7).encode()
        found = taken(HEADER + b"\r\napns-expiration: " + value + b"\r\n\r\n" + PAYLOAD)
        assert (found.expiration, found.warnings) == (second, (f"expiration-in-{slug}",))
    for value in (b"0", b"1000000000", b"1764000000", b"4102444800", b"9223372036854775807"):
        found = taken(HEADER + b"\r\napns-expiration: " + value + b"\r\n\r\n" + PAYLOAD)
        assert (found.expiration, found.warnings) == (int(value), ())
    found = taken(HEADER + b"\r\napns-expiration: 3600\r\n\r\n" + PAYLOAD)
    assert (found.expiration, found.warnings) == (3600, ("expiration-relative",))


def test_padding_of_a_large_part_is_taken_away_step_by_step() -> None:
    line = b"x" * 70 + b"= \t\r\n"
    noted: list[str] = []
    assert decode_body(line * 5_000 + b"\r\nend= ", QUOTED_PRINTABLE, noted) == b"x" * 350_000 + b"\r\nend"
    assert noted == ["quoted-printable-padding"]


CHANNEL = b"apns-channel-id: dHN0LXNyY2gtY2hubA=="


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (CHANNEL + b"\r\n\r\n" + PAYLOAD, ()),
        (PAYLOAD, (CHANNEL,)),
        (PAYLOAD, (CHANNEL.replace(b"apns", b"APNS"),)),
        (base64.b64encode(CHANNEL + b"\r\n\r\n" + PAYLOAD), (B64,)),
    ],
)
def test_a_channel_stands_for_the_token(body: bytes, head: tuple[bytes, ...]) -> None:
    def nobody_asks() -> bytes:
        raise AssertionError("the token of the message is looked for")

    block = b"\r\n" + b"".join(line + b"\r\n" for line in head)
    found = read_push_part(body, part_head(block, 70), DEFAULT_LIMITS, nobody_asks)
    assert isinstance(found, PushPart), found
    assert (found.token, found.channel_id, found.warnings) == (b"", b"dHN0LXNyY2gtY2hubA==", ())


def test_a_part_goes_to_a_device_or_to_a_channel() -> None:
    both = refused(HEADER + b"\r\n" + CHANNEL + b"\r\n\r\n" + PAYLOAD)
    assert (both.reason, both.code) == ("BadChannelId", 550)
    assert "X-Device-Token and apns-channel-id" in both.text
    assert refused(HEADER + b"\r\n\r\n" + PAYLOAD, CHANNEL).reason == "BadChannelId"
    token = refused(b"apns-channel-id: " + TOKEN + b"\r\n\r\n" + PAYLOAD)
    assert "is a device token" in token.text
    assert TOKEN.decode() not in token.text
    assert "no apns-channel-id" in refused(b"x: y\r\n\r\n" + PAYLOAD).text
