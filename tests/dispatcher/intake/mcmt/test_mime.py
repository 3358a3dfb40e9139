from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tubepost_dispatcher.intake.mcmt.mime import (
    BASE64,
    IDENTITY,
    QUOTED_PRINTABLE,
    field_bodies,
    has_bare_line_ends,
    parse_content_type,
    part_head,
    read_fields,
    transfer_encoding,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", IDENTITY), (b" 7BIT ", IDENTITY), (b"8bit", IDENTITY), (b"Binary", IDENTITY),
        (b"base64", BASE64), (b"Base64 (why) ;", BASE64), (b"(a) quoted-printable", QUOTED_PRINTABLE),
        (b"x-uuencode", None), (b"base64 7bit", None), (b"base64, 7bit", None), (b"=?x?=", None),
        (b"base64 (", None), (b"(", None),
    ],
)  # fmt: skip
def test_transfer_encodings(value: bytes, expected: bytes | None) -> None:
    assert transfer_encoding(value) == expected


@pytest.mark.parametrize(
    "value", [b"", b"text", b"/", b"text/", b"=?utf-8?q?text/plain?=", b"(text/plain", b"te xt/x"]
)
def test_unreadable_types(value: bytes) -> None:
    found = parse_content_type(value, 70)
    assert found.type == b""
    assert found.fault


def test_a_type_survives_malformed_parameters() -> None:
    found = parse_content_type(b"Message/Vnd.Msys.Apn; name=push notification.json", 70)
    assert (found.type, found.boundary) == (b"message/vnd.msys.apn", None)
    assert found.fault
    assert parse_content_type(b"multipart/mixed; boundary=" + b" " * 20_000, 70).type == b""


def test_boundary_forms() -> None:
    for value in (
        b'multipart/x; boundary="a b"',
        b'multipart/x; charset=x; boundary="a\\ b"',
        b'multipart/x;boundary="a b";',
    ):
        assert parse_content_type(value, 70).boundary == b"a b"
    assert parse_content_type(b"multipart/x; boundary=a=b:c", 70).boundary == b"a=b:c"


def test_field_bodies() -> None:
    head = b"\r\nA: 1\r\nab: 2\r\na : 3\r\n 4\r\n\t5\r\nb: a: 6\r\n"
    assert field_bodies(head, head.lower(), b"\r\na") == [b" 1", b" 3 4\t5"]
    assert field_bodies(b"\r\na\r\n", b"\r\na\r\n", b"\r\na") == []


def test_bare_line_ends() -> None:
    assert not has_bare_line_ends(b"\r\na\r\n\r\n")
    for block in (b"\r\n\n", b"\r\r\n", b"a\rb", b"\n\r", b"\0"):
        assert has_bare_line_ends(block)


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b"a"])).map(b"".join))
def test_whatever_is_no_half_of_a_pair_is_bare(block: bytes) -> None:
    rest = block.replace(b"\r\n", b"")
    assert has_bare_line_ends(block) is any(octet in rest for octet in (b"\r", b"\n", b"\0"))


def test_read_fields() -> None:
    lines = [b"Other: x", b" folded", b"apns-topic: a", b" b", b"\tc", b"APNS-Id :  1 "]
    assert read_fields(lines, "x").values == {b"apns-topic": b"a b\tc", b"apns-id": b"1"}
    assert "line 2" in read_fields([b"a: b", b"no colon"], "x").fault
    assert "line 1" in read_fields([b"apns-topic"], "x").fault
    assert "line 1" in read_fields([b": x"], "x").fault
    assert "line 1" in read_fields([b"{x: y"], "x").fault
    assert "indented" in read_fields([b" a: b"], "x").fault
    twice = read_fields([b"apns-id: 1", b"Apns-Id: 2"], "x")
    assert (twice.reason, "apns-id" in twice.fault) == ("DuplicateHeaders", True)


def test_part_head_defaults() -> None:
    head = part_head(b"\r\n", 70)
    assert (head.content_type.type, head.encoding, dict(head.fields), head.fault) == (
        b"text/plain",
        b"",
        {},
        "",
    )


@settings(deadline=None)  # shared machines stall
@given(
    st.lists(
        st.sampled_from(
            [b"a/b", b";", b"boundary", b"=", b'"', b"x", b" ", b"(", b")", b"\\", b"*0", b"\xff"]
        ),
        max_size=30,
    )
)
def test_content_types_never_raise_and_never_guess(pieces: list[bytes]) -> None:
    found = parse_content_type(b"".join(pieces), 70)
    if found.boundary is not None and not found.fault:
        assert found.boundary
        assert found.boundary.isascii()
        assert b"".join(pieces).lower().count(b"boundary") >= 1


@settings(deadline=None)  # shared machines stall
@given(st.binary(max_size=200))
def test_part_heads_never_raise(block: bytes) -> None:
    part_head(b"\r\n" + block + b"\r\n", 70)
