from __future__ import annotations

import base64
import mmap
import tempfile
import tracemalloc
from email import policy
from email.message import EmailMessage, Message
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.mcmt import PAYLOAD, SEED, TOKEN, message, multipart, nested, part
from tubepost_dispatcher.intake.mcmt.limits import McmtLimits
from tubepost_dispatcher.intake.mcmt.message import NOT_MCMT, McmtMessage, NotMcmt
from tubepost_dispatcher.intake.mcmt.parser import is_mcmt, parse_message
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.reasons.catalogue import REASONS
from tubepost_dispatcher.reasons.message import WARNINGS
from tubepost_dispatcher.reply import Reply


def parse(content: bytes, recipient: str = "subscriber") -> McmtMessage | Reply | NotMcmt:
    return parse_message(content, recipient_local_part=recipient)


def taken(content: bytes, recipient: str = "subscriber") -> McmtMessage:
    parsed = parse(content, recipient)
    assert isinstance(parsed, McmtMessage), parsed
    return parsed


def one(content: bytes, recipient: str = "subscriber") -> PushPart:
    parsed = taken(content, recipient)
    assert len(parsed.parts) == 1
    return parsed.parts[0]


def refused(content: bytes, reason: str, *words: str) -> Reply:
    parsed = parse(content)
    assert isinstance(parsed, Reply), parsed
    assert parsed.reason == reason
    for word in words:
        assert word in parsed.text
    return parsed


def test_the_manuals_sample_is_read_with_warnings() -> None:
    found = one(SEED)
    assert found.token == b"123acb90ffa0978cbade354ddffee76665a"
    assert found.warnings == ("trailing-comma-repaired", "unusual-token-length")
    assert set(found.warnings) <= set(WARNINGS)
    start = SEED.index(b"{")
    assert found.payload == SEED[start : SEED.rindex(b"}") + 1].replace(b'"bar",', b'"bar" ')


def test_usual_message_has_no_warnings() -> None:
    found = one(message(part()))
    assert (found.token, found.payload, found.warnings) == (TOKEN, PAYLOAD, ())


def test_an_mmap_is_read_like_bytes() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(SEED)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            parsed = parse_message(content, recipient_local_part="x")
            assert is_mcmt(content)
    assert isinstance(parsed, McmtMessage)
    assert parsed.parts[0].payload == one(SEED).payload


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"Subject: x\r\n\r\nhello\r\n",
        b"Content-Type: text/plain\r\n\r\nmultipart/vnd.msys.mcmt\r\n",
        b"Subject: multipart/vnd.msys.mcmt\r\nContent-Type: text/plain\r\n\r\nx\r\n",
        b"Content-Type: multipart/mixed; boundary=B\r\n\r\n" + multipart(part()),
        b"Content-Type: multipart/mixed; boundary=vnd.msys.mcmt\r\n\r\n" + multipart(part()),
        b"\r\nContent-Type: multipart/vnd.msys.mcmt; boundary=B\r\n\r\n" + multipart(part()),
        b"Subject: vnd.msys.\r\nX: a\nb\r\n\r\n",
        b"Subject: x\n\nContent-Type: multipart/vnd.msys.mcmt; boundary=B\n\n",
    ],
)
def test_other_mail_is_no_mcmt(content: bytes) -> None:
    assert parse(content) is NOT_MCMT
    assert not is_mcmt(content)


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/vnd.msys.mcmt; boundary=B",
        b"multipart/vnd.msys.mcmt;boundary=B",
        b'MULTIPART/Vnd.Msys.MCMT; BOUNDARY="B"',
        b'multipart/vnd.msys.mcmt;\r\n\tboundary="B"',
        b'multipart/vnd.msys.mcmt\r\n ; charset=utf-8 ;\r\n boundary="B" ;',
        b"multipart/vnd.msys.mcmt (a (nested) comment); boundary=B (another)",
        b'multipart/vnd.msys.mcmt; boundary="\\B"; type="a;boundary=C"',
        b"multipart / vnd.msys.mcmt ; boundary = B",
        b"\r\n multipart/vnd.msys.mcmt; boundary=B",
        b"multipart/vnd.msys.mcmt; x=; boundary=B".replace(b"x=", b'x=""'),
    ],
)
def test_content_types_that_clients_write(content_type: bytes) -> None:
    assert one(message(part(), content_type=content_type)).token == TOKEN


@pytest.mark.parametrize(
    ("content_type", "word"),
    [
        (b"multipart/vnd.msys.mcmt", "no boundary"),
        (b'multipart/vnd.msys.mcmt; boundary=""', "empty"),
        (b'multipart/vnd.msys.mcmt; boundary="B "', "blank"),
        (b"multipart/vnd.msys.mcmt; boundary=B; boundary=C", "two boundaries"),
        (b"multipart/vnd.msys.mcmt; boundary=B; Boundary=B", "two boundaries"),
        (b"multipart/vnd.msys.mcmt; boundary=B; boundary*=us-ascii''B", "RFC 2231"),
        (b"multipart/vnd.msys.mcmt; boundary*0=B; boundary=B", "RFC 2231"),
        (b"multipart/vnd.msys.mcmt; boundary*0=B; boundary*2=C", "RFC 2231"),
        (b"multipart/vnd.msys.mcmt; boundary*1=B", "RFC 2231"),
        (b"multipart/vnd.msys.mcmt; boundary*0=B; boundary*0*=us-ascii''B", "RFC 2231"),
        (b"multipart/vnd.msys.mcmt; boundary*=us-ascii''B; boundary*1=C", "RFC 2231"),
        (b"multipart/vnd.msys.mcmt; boundary*=B", "RFC 2231"),
        (b"multipart/vnd.msys.mcmt; boundary*=utf-16''B", "RFC 2231"),
        (b"multipart/vnd.msys.mcmt; boundary*=us-ascii''B%4", "RFC 2231"),
        (b"multipart/vnd.msys.mcmt; boundary*x=B", "RFC 2231"),
        (b"multipart/vnd.msys.mcmt; boundary*0=B; boundary*0=B", "two boundaries"),
        (b"multipart/vnd.msys.mcmt; boundary*0=B(c)", "quoted"),
        (b"multipart/vnd.msys.mcmt; boundary*=us-ascii''B%0D%0AX", "printable ASCII"),
        (b"multipart/vnd.msys.mcmt; boundary*=us-ascii''B%20", "blank"),
        (b'multipart/vnd.msys.mcmt; boundary="=?us-ascii?q?B?="', "encoded word"),
        (b"multipart/vnd.msys.mcmt; boundary=B(c)", "quoted"),
        (b"multipart/vnd.msys.mcmt; boundary=B C", "malformed"),
        (b'multipart/vnd.msys.mcmt; boundary="B', "malformed"),
        (b'multipart/vnd.msys.mcmt; boundary=B"C"', "malformed"),
        (b"multipart/vnd.msys.mcmt boundary=B", "malformed"),
        (b"multipart/vnd.msys.mcmt; boundary", "malformed"),
        (b"multipart/vnd.msys.mcmt; boundary=B (open", "comment"),
        (b'multipart/vnd.msys.mcmt; boundary="B\xe9"', "printable ASCII"),
        (b"multipart/vnd.msys.mcmt; boundary=" + b"B" * 2_049, "2049 bytes"),
    ],
)
def test_a_doubtful_boundary_is_refused(content_type: bytes, word: str) -> None:
    refused(message(part(), content_type=content_type), "BadMessage", word)


def test_a_boundary_of_2048_bytes_is_tolerated() -> None:
    assert one(message(part(), boundary=b"B" * 2_048)).token == TOKEN


@pytest.mark.parametrize(
    "second", [b"Content-Type: text/plain", b"content-type : multipart/vnd.msys.mcmt; boundary=C"]
)
def test_two_content_types_are_refused(second: bytes) -> None:
    refused(message(part(), headers=[second]), "BadMessage", "2 Content-Type headers")


@pytest.mark.parametrize("bad", [b"X: a\nb", b"X: a\rb", b"X: a\0b", b"X: a\nContent-Type: text/plain"])
def test_bare_line_ends_in_the_header_are_refused(bad: bytes) -> None:
    refused(message(part(), headers=[bad]), "BadMessage", "header block")


def test_a_mail_with_the_line_ends_of_unix_throughout_is_read() -> None:
    content = b"MIME-Version: 1.0\r\n" + message(part())
    for text in (content.replace(b"\r\n", b"\n"), content.replace(b"\r\n", b"\n") + b"\r\n"):
        parsed = parse(text)
        assert isinstance(parsed, McmtMessage), parsed
        assert parsed.parts[0].payload == PAYLOAD
        assert is_mcmt(text)


def test_push_parts_are_counted() -> None:
    limits = McmtLimits(max_push_parts=3)
    assert isinstance(
        parse_message(message(*[part()] * 3), recipient_local_part="x", limits=limits), McmtMessage
    )
    refusal = parse_message(message(*[part()] * 4), recipient_local_part="x", limits=limits)
    assert isinstance(refusal, Reply)
    assert refusal.reason == "LimitExceeded"


def test_a_type_behind_a_bare_line_end_is_refused_rather_than_overlooked() -> None:
    refused(
        b"X: a\nContent-Type: multipart/vnd.msys.mcmt; boundary=B\r\n\r\n" + multipart(part()), "BadMessage"
    )


def test_outer_transfer_encodings() -> None:
    for known in (b"7bit", b"8BIT", b"binary (really)"):
        assert one(message(part(), headers=[b"Content-Transfer-Encoding: " + known]))
    for bad in (b"base64", b"quoted-printable", b"x-uu"):
        refused(message(part(), headers=[b"Content-Transfer-Encoding: " + bad]), "BadMessage", "Encoding")
    two = [b"Content-Transfer-Encoding: 7bit"] * 2
    refused(message(part(), headers=two), "BadMessage", "2 Content-Transfer-Encoding")


def test_preamble_epilogue_padding_and_other_boundaries() -> None:
    body = b"preamble\r\n--BB\r\n--B \t\r\n" + part() + b"\r\n--Bx\r\n--B-- \r\nepilogue\r\n--B\r\n"
    content = b"Content-Type: multipart/vnd.msys.mcmt; boundary=B\r\n\r\n" + body
    refused(content, "BadPayload")  # the line --Bx is text of the part
    assert one(content.replace(b"\r\n--Bx", b"")).payload == PAYLOAD


def test_the_last_line_end_may_be_missing() -> None:
    assert one(message(part())[:-2]).token == TOKEN


@pytest.mark.parametrize("content", [SEED, message(part(), part(encoding=b"base64"), boundary=b"=_x--y")])
def test_a_message_cut_anywhere_yields_nothing(content: bytes) -> None:
    for length in range(len(content) - 2):
        assert not isinstance(parse(content[:length]), McmtMessage), length


def test_parts_are_found_in_nested_multiparts() -> None:
    inner = nested(part(b'{"aps":{"badge":2}}'), boundary=b"C")
    content = message(
        part(b'{"aps":{"badge":1}}'), nested(inner, boundary=b"D"), part(b'{"aps":{"badge":3}}')
    )
    assert [found.payload[-3:-2] for found in taken(content).parts] == [b"1", b"2", b"3"]


def test_faults_name_the_part() -> None:
    content = message(part(), nested(part(b"{}"), part(b"{]"), boundary=b"C"))
    refused(content, "BadPayload", "part 4: ", "line 1 column 2")
    refused(message(nested(part(), boundary=b"C").replace(b"--C--", b"")), "MessageTruncated", "part 1")


def test_email_and_other_channels() -> None:
    mail = b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nhello"
    sms = part(kind=b"message/vnd.msys.smpp")
    mm7 = b"Content-Type: multipart/vnd.msys.mm7; boundary=Z\r\n\r\nnot closed"
    parsed = taken(message(mail, sms, mm7, b"\r\ntext", part()))
    assert parsed.email == b"Subject: x\r\n\r\nhello\r\n"
    assert parsed.ignored == ("message/vnd.msys.smpp", "multipart/vnd.msys.mm7", "text/plain")
    assert len(parsed.parts) == 1
    refused(message(mail, mail.replace(b"822", b"2822"), part()), "BadMessage", "part 2", "second e-mail")
    alone = taken(message(mail))
    assert (alone.parts, alone.email) == ([], parsed.email)
    refused(message(sms), "NoPushPart")


def test_an_encoded_email_is_decoded_to_crlf() -> None:
    head = b"Content-Type: message/rfc2822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    mail = head + base64.encodebytes(b"Subject: x\n\nhello\n" * 30).replace(b"\n", b"\r\n")
    assert taken(message(mail)).email == b"Subject: x\r\n\r\nhello\r\n" * 30
    limits = McmtLimits(max_encoded_email=100)
    parsed = parse_message(message(mail), recipient_local_part="x", limits=limits)
    assert isinstance(parsed, Reply)
    assert parsed.code == 552
    refused(message(mail.replace(b"base64", b"x-mine")), "BadMessage", "Content-Transfer-Encoding")
    refused(message(mail + b"!"), "BadMessage", "base64")


def test_a_mail_that_is_itself_a_push_part() -> None:
    content = part(head=[b"From: a@b.example", b"X-Tubepost-Context: A=1"]) + b"\r\n"
    assert one(content).payload == PAYLOAD
    assert taken(content).context == {"A": "1"}
    assert one(part(encoding=b"base64") + b"\r\n").token == TOKEN
    refused(part(b"{") + b"\r\n", "BadPayload", "part 1")
    refused(part(b" " * 70_000), "PayloadTooLarge")
    refused(part(head=[b"no header"]), "BadMessage")


def test_where_tokens_come_from() -> None:
    bare = part(token=None)
    context = [b"X-Tubepost-Context: DLV_Dest_ID=" + b"CD" * 40]
    mime = part(token=None, head=[b"X-Device-Token: " + b"EF" * 32])
    assert one(message(part(), headers=context), "0" * 64).token == TOKEN
    assert one(message(mime, headers=context), "0" * 64).token == b"ef" * 32
    assert one(message(bare, headers=context), "0" * 64).token == b"cd" * 40
    assert one(message(bare), "0" * 64).token == b"0" * 64
    both = part(head=[b"X-Device-Token: " + b"EF" * 32])
    assert one(message(both)).token == TOKEN
    for recipient in ("0" * 63, "0" * 201, "g" * 64, ""):
        parsed = parse(message(bare), recipient)
        assert isinstance(parsed, Reply)
        assert (parsed.code, parsed.enhanced, parsed.reason) == (550, "5.1.1", "MissingDeviceToken")
    refused(message(bare, headers=[b"X-Tubepost-Context: DLV_Dest_ID=zz"]), "BadDeviceToken")


def test_context_variables() -> None:
    headers = [b"X-Tubepost-Context: A=b = c ", b"x-tubepost-context:\r\n B="]
    assert taken(message(part(), headers=headers)).context == {"A": "b = c", "B": ""}
    for bad in (b"A", b"=b", b"A B=c", b"A=\xe9", b"A=\x01", b"A=" + b"x" * 1_001):
        refused(message(part(), headers=[b"X-Tubepost-Context: " + bad]), "BadMessage", "NAME=value")
    refused(message(part(), headers=[b"X-Tubepost-Context: A=b"] * 2), "DuplicateHeaders", "for A")
    many = [b"X-Tubepost-Context: A%d=b" % number for number in range(65)]
    refused(message(part(), headers=many), "LimitExceeded", "64")


def test_malformed_part_headers() -> None:
    refused(message(b"Content-Type: message/vnd.msys.apn"), "BadMessage", "part 1", "blank line")
    refused(message(b" Content-Type: message/vnd.msys.apn\r\n\r\nx"), "BadMessage", "indented")
    refused(message(part(head=[b"what"])), "BadMessage", "line 2")
    refused(message(part(head=[b"Content-Type: text/plain"])), "DuplicateHeaders", "content-type")
    refused(message(part(head=[b"X: a\nb"])), "BadMessage", "bare LF")
    refused(message(part(head=[b"X-Device-Token: ab"] * 2)), "DuplicateHeaders", "x-device-token")
    refused(message(part(head=[b"Content-Transfer-Encoding: x"])), "BadMessage", "Transfer-Encoding")
    bad = nested(part(), boundary=b"C")
    refused(message(bad.replace(b"; boundary", b"; border")), "BadMessage", "part 1", "no boundary")
    refused(message(bad.replace(b'"C"', b'"C"; boundary=D')), "BadMessage", "two boundaries")
    encoded = b"Content-Transfer-Encoding: base64\r\n" + bad
    refused(message(encoded), "BadMessage", "Content-Transfer-Encoding of a multipart")
    refused(message(b""), "NoPushPart")
    refused(message().replace(b"--B--", b"--B\r\n--B--"), "BadMessage", "blank line")


# What mail libraries make of it.


def test_python_email_with_an_inner_message_object() -> None:
    inner = Message()
    inner["X-Device-Token"] = TOKEN.decode()
    inner["apns-topic"] = "com.example.app"
    inner.set_payload(PAYLOAD.decode())
    outer = MIMEMultipart("vnd.msys.mcmt")
    outer["Subject"] = "x"
    outer.attach(MIMEMessage(inner, "vnd.msys.apn"))
    found = one(outer.as_bytes(policy=policy.SMTP))
    assert (found.token, found.topic, found.payload) == (TOKEN, b"com.example.app", PAYLOAD)


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "base64", "quoted-printable"])
@pytest.mark.parametrize("digits", [64, 160, 200])
def test_python_email_with_an_inner_email_message(encoding: str, digits: int) -> None:
    text = "x" * 70 if encoding == "7bit" else "Grüße " * 9
    inner = EmailMessage()
    inner["X-Device-Token"] = "a" * digits  # folded, and beyond 78 characters made an encoded word
    inner["Return-Path"] = "<bounces+a=b.example@sender.example>"
    inner.set_content(f'{{"aps":{{"alert":"{text}"}}}}', cte=encoding)
    outer = MIMEMultipart("vnd.msys.mcmt")
    outer.attach(MIMEMessage(inner, "vnd.msys.apn"))
    found = one(outer.as_bytes(policy=policy.SMTP))
    assert found.token == b"a" * digits
    assert found.return_path == "bounces+a=b.example@sender.example"
    assert text.encode() in found.payload


def test_python_email_with_text_payloads() -> None:
    text = f"X-Device-Token: {TOKEN.decode()}\r\n\r\n{PAYLOAD.decode()}"
    clear = MIMENonMultipart("message", "vnd.msys.apn")
    clear.set_payload(text)
    encoded = MIMENonMultipart("message", "vnd.msys.apn")
    encoded.set_payload(base64.encodebytes(text.encode()).decode())
    encoded["Content-Transfer-Encoding"] = "base64"
    named = MIMENonMultipart("message", "vnd.msys.apn", name="push.json")
    named["X-Device-Token"] = TOKEN.decode()
    named.set_payload(PAYLOAD.decode())
    outer = MIMEMultipart("vnd.msys.mcmt", _subparts=[clear, encoded, named])
    mixed = MIMEMultipart("mixed", _subparts=[clear])
    outer.attach(mixed)
    for style in (policy.SMTP, policy.compat32.clone(linesep="\r\n")):
        found = taken(outer.as_bytes(policy=style)).parts
        assert [(one.token, one.payload) for one in found] == [(TOKEN, PAYLOAD)] * 4


def test_nodemailers_form() -> None:
    boundary = b"--_NmP-03d810638a967199-Part_1"
    content_type = b"multipart/vnd.msys.mcmt;\r\n boundary=" + b'"' + boundary + b'"'
    mime = b"Content-Type: message/vnd.msys.apn\r\nX-Device-Token:\r\n " + TOKEN + b"\r\n\r\n" + PAYLOAD
    inner = nested(part(encoding=b"base64"), boundary=b"--_NmP-03d810638a967199-Part_10")
    found = taken(message(part(), mime, inner, boundary=boundary, content_type=content_type)).parts
    assert [(one.token, one.payload) for one in found] == [(TOKEN, PAYLOAD)] * 3


# Attacks. The suite's timeout is the guard against time; the assertions are on what is looked at and kept.


def test_a_million_parts() -> None:
    tracemalloc.start()
    try:
        content = message(*([b"\r\n"] * 1)).replace(b"--B\r\n", b"--B\r\n\r\n\r\n" * 1_000_000)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        refused(content, "LimitExceeded", "1000 parts")
        assert tracemalloc.get_traced_memory()[1] - before < 1_000_000
    finally:
        tracemalloc.stop()


def test_depth_beyond_the_limit() -> None:
    def deep(depth: int) -> bytes:
        opening = b"".join(
            b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
            for level in range(depth)
        )
        return opening + part() + b"".join(b"\r\n--b%d--" % level for level in reversed(range(depth)))

    assert one(message(deep(99))).token == TOKEN
    refused(message(deep(100)), "LimitExceeded", "part 100", "deeper than 100")
    refused(message(deep(10_000)), "LimitExceeded")
    filled = deep(90).replace(PAYLOAD, PAYLOAD + b" " * 1_000_000)
    refused(message(filled), "LimitExceeded", "too deep for its size")


def test_half_a_million_headers() -> None:
    many = b"A: b\r\n" * 500_000
    assert parse(many + message(part())) is NOT_MCMT  # never looked at beyond the limit on header bytes
    refused(message(part(), headers=[b"A: b"] * 1_001), "LimitExceeded", "1000 header lines")
    refused(message(part(head=[b"A: b"] * 1_001)), "LimitExceeded", "part 1", "1000 MIME header lines")
    refused(message(part(head=[b"A: " + b"b" * 102_400])), "LimitExceeded", "102400 bytes")
    refused(message(part(inner=[b"A: b"] * 1_001)), "LimitExceeded", "inner header block")
    refused(b"Content-Type: multipart/vnd.msys.mcmt; boundary=B\r\n" + many, "LimitExceeded", "102400 bytes")


def test_one_enormous_line() -> None:
    line = b"a" * (64 << 20)
    refused(message(part(line)), "PayloadTooLarge", "part 1")
    text = b"Content-Type: text/plain\r\n\r\n" + line
    assert one(message(text, part())).token == TOKEN
    refused(message(text + b"\r\n--B" + b" " * 1_000 + b"x").replace(b"--B--", b""), "MessageTruncated")


def test_lines_that_only_look_like_delimiters() -> None:
    text = b"Content-Type: text/plain\r\n\r\n" + b"\r\n--Bx" * 10_001
    refused(message(text, part()), "LimitExceeded", "look like a boundary")


def test_comments_without_end_in_a_content_type() -> None:
    refused(
        message(part(), content_type=b"multipart/vnd.msys.mcmt; boundary=B " + b"(" * 10_000),
        "BadMessage",
        "comment",
    )
    nesting = b"(" * 8_000 + b")" * 8_000
    content_type = b"multipart/vnd.msys.mcmt; boundary=B " + nesting
    assert one(message(part(), content_type=content_type)).token == TOKEN


# Properties.

HOSTILE = st.lists(
    st.sampled_from(
        [
            b"\r\n", b"\n", b"\r", b"--B", b"--", b" ", b"\t", b":", b";", b"=", b'"', b"(", b")", b"\\", b"\0",
            b"Content-Type", b": multipart/vnd.msys.mcmt; boundary=B", b": message/vnd.msys.apn\r\n\r\n",
            b"X-Device-Token: abcdef", b"Content-Transfer-Encoding: base64\r\n", b"quoted-printable",
            b"apns-id: ", b"Return-Path: <", b"{", b"}", b"[", b",", b'{"aps":{}}', b"\xff", b"=?utf-8?q?", b"?=",
        ]
    )
    | st.binary(max_size=8),
    max_size=60,
).map(b"".join)  # fmt: skip


def check_outcome(parsed: McmtMessage | Reply | NotMcmt) -> None:
    if isinstance(parsed, Reply):
        assert parsed.text.isascii()
        assert parsed.text.isprintable()
        assert 0 < len(parsed.text) <= 400
        assert parsed.reason in REASONS
    elif isinstance(parsed, McmtMessage):
        for found in parsed.parts:
            assert set(found.token) <= set(b"0123456789abcdef")
            for value in (found.topic, found.push_type, found.collapse_id, found.apns_id):
                assert value is None or (value.decode().isprintable() and value.isascii())
            assert found.return_path is None or (
                found.return_path.isascii() and found.return_path.isprintable()
            )


@settings(deadline=None)  # shared machines stall
@given(HOSTILE)
def test_no_bytes_raise(content: bytes) -> None:
    parsed = parse(content)
    check_outcome(parsed)
    assert is_mcmt(content) == (parsed is not NOT_MCMT)
    check_outcome(parse(b"Content-Type: multipart/vnd.msys.mcmt; boundary=B\r\n\r\n--B\r\n" + content))
    check_outcome(parse(message(content)))
    check_outcome(parse(message(b"Content-Type: message/vnd.msys.apn\r\n\r\n" + content)))
    check_outcome(parse(message(part(head=[content], inner=[content]))))


BOUNDARIES = st.text("abcXYZ019'()+_,-./:=?", min_size=1, max_size=70).filter(lambda text: "=?" not in text)
TOKENS = st.text("0123456789abcdefABCDEF", min_size=1, max_size=200)
ALERTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
ENCODINGS = st.sampled_from([b"", b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable"])


@settings(deadline=None)  # shared machines stall
@given(
    boundary=BOUNDARIES,
    inside=st.booleans(),
    parts=st.lists(
        st.tuples(TOKENS, ALERTS, ENCODINGS, st.booleans(), st.booleans()), min_size=1, max_size=4
    ),
)
def test_built_messages_come_back(
    boundary: str, inside: bool, parts: list[tuple[str, str, bytes, bool, bool]]
) -> None:
    built, expected = [], []
    for token, alert, encoding, folded, mime in parts:
        escaped = alert.replace("\\", "\\\\").replace('"', '\\"')
        payload = f'{{"aps":{{"alert":"{escaped}"}}}}'.encode()
        field = b"X-Device-Token:" + (b"\r\n\t" if folded else b" ") + token.encode()
        place = {"head": [field]} if mime else {"inner": [field]}
        built.append(part(payload, token=None, encoding=encoding, **place))
        expected.append((token.lower().encode(), payload))
    name = boundary.encode()
    body = [nested(*built, boundary=b"inner." + name)] if inside else built
    found = taken(message(*body, boundary=name)).parts
    assert [(one.token, one.payload) for one in found] == expected


@settings(deadline=None)  # shared machines stall
@given(boundary=BOUNDARIES, encoding=ENCODINGS, data=st.data())
def test_no_cut_message_yields_parts(boundary: str, encoding: bytes, data: st.DataObject) -> None:
    content = message(part(encoding=encoding), part(), boundary=boundary.encode())
    length = data.draw(st.integers(0, len(content) - 3))
    assert not isinstance(parse(content[:length]), McmtMessage)


@pytest.mark.parametrize(
    "parameters",
    [
        b"boundary*0=BOU; boundary*1=NDARY",
        b'boundary*1="NDARY"; BOUNDARY*0="BOU"',
        b"boundary*=us-ascii'en'B%4FUNDARY",
        b"boundary*=utf-8''BOUNDARY",
        b"boundary*0*=us-ascii''BO; boundary*1*=%55; boundary*2=NDARY",
        b"charset=x; boundary*0=BOUNDARY; x*0=y",
    ],
)
def test_a_boundary_as_of_rfc_2231_is_read_with_a_warning(parameters: bytes) -> None:
    found = taken(
        message(part(), part(), boundary=b"BOUNDARY", content_type=b"multipart/vnd.msys.mcmt; " + parameters)
    )
    assert [p.warnings for p in found.parts] == [("boundary-rfc2231",), ()]
    assert found.warnings == ("boundary-rfc2231",)


def test_header_lines_are_bounded_over_the_whole_message() -> None:
    # Each part is within its own bound.
    parts = [part(token=None, head=[b"a: b"] * 900, kind=b"text/plain") for _ in range(22)]
    assert taken(message(part(), *parts)).parts
    refused(message(part(), *parts, *parts), "LimitExceeded", "20000 lines")
    inner = [part(inner=[b"a: b"] * 900) for _ in range(40)]
    refused(message(*inner), "LimitExceeded", "20000 lines")


def test_push_parts_are_bounded_over_the_whole_message() -> None:
    padded = part(PAYLOAD + b" " * 60_000)
    assert len(taken(message(*[padded] * 17)).parts) == 17
    refused(message(*[padded] * 20), "LimitExceeded", "1048576 bytes")


def test_a_large_email_part_is_a_view_of_the_message() -> None:
    mail = b"Subject: x\r\n\r\n" + b"y\r\n" * 100_000
    for ending in (b"", b"no line end"):
        found = taken(message(part(mail + ending, token=None, kind=b"message/rfc822"), part()))
        assert isinstance(found.email, memoryview)
        assert bytes(found.email) == mail + (ending + b"\r\n" if ending else b"")


def test_a_large_mail_with_line_ends_of_unix() -> None:
    mail = message(part(b"a\r\n" * 2_000_000, token=None, kind=b"text/plain"), part())
    assert one(mail.replace(b"\r\n", b"\n")).payload == PAYLOAD
    with tempfile.TemporaryFile() as file:
        file.write(mail.replace(b"\r\n", b"\n"))
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            parsed = parse_message(content, recipient_local_part="x")
            assert is_mcmt(content)
    assert isinstance(parsed, McmtMessage)
    assert parsed.parts[0].payload == PAYLOAD
