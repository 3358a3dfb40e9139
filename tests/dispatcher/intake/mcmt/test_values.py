from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tubepost_dispatcher.intake.mcmt.values import (
    is_collapse_id,
    is_topic,
    read_address,
    read_token,
    read_values,
    unword,
)
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.reply import Reply


def read(name: bytes, value: bytes) -> object:
    part = PushPart(b"ab", b"{}")
    refused = read_values({name: value}, part)
    attribute = name.decode().removeprefix("apns-").replace("-", "_").replace("id", "id")
    if refused is not None:
        return refused.reason
    return getattr(part, {"id": "apns_id"}.get(attribute, attribute))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (b"apns-topic", b"com.example.App-1_x.voip", b"com.example.App-1_x.voip"),
        (b"apns-topic", b"", "BadTopic"),
        (b"apns-topic", b"com.example\r\napns-id: x", "BadTopic"),
        (b"apns-topic", b"a b", "BadTopic"),
        (b"apns-topic", b"\xc3\xa9", "BadTopic"),
        (b"apns-topic", b"a" * 255, b"a" * 255),
        (b"apns-topic", b"a" * 256, "TopicTooLong"),
        (b"apns-topic", b"=?utf-8?q?com=2Eexample?=", b"com.example"),
        (b"apns-push-type", b"Background", b"background"),
        (b"apns-push-type", b"a" * 65, "InvalidPushType"),
        (b"apns-push-type", b"", "InvalidPushType"),
        (b"apns-priority", b"1", 1),
        (b"apns-priority", b"5", 5),
        (b"apns-priority", b"10", 10),
        (b"apns-priority", b"05", "BadPriority"),
        (b"apns-priority", b"high", "BadPriority"),
        (b"apns-expiration", b"0", 0),
        (b"apns-expiration", b"9223372036854775807", 2**63 - 1),
        (b"apns-expiration", b"9223372036854775808", "BadExpirationDate"),
        (b"apns-expiration", b"1" * 20, "BadExpirationDate"),
        (b"apns-expiration", b"-1", "BadExpirationDate"),
        (b"apns-expiration", b"1_0", "BadExpirationDate"),
        (b"apns-expiration", "\u0661".encode(), "BadExpirationDate"),
        (b"apns-collapse-id", b"order 17!", b"order 17!"),
        (b"apns-collapse-id", b"=?not an encoded word", b"=?not an encoded word"),
        (b"apns-collapse-id", b"x" * 64, b"x" * 64),
        (b"apns-collapse-id", b"x" * 65, "BadCollapseId"),
        (b"apns-collapse-id", b"", "BadCollapseId"),
        (b"apns-collapse-id", b"\x7f", "BadCollapseId"),
        (b"apns-collapse-id", b"=?utf-8?b?ZQpm?=", "BadCollapseId"),
        (b"apns-id", b"123E4567-E89B-12D3-A456-426614174000", b"123e4567-e89b-12d3-a456-426614174000"),
        (b"apns-id", b"123e4567e89b12d3a456426614174000", "BadMessageId"),
        (b"apns-id", b"{123e4567-e89b-12d3-a456-426614174000}", "BadMessageId"),
        (b"return-path", b"<>", ""),
        (b"return-path", b"<a@b.example>", "a@b.example"),
        (b"return-path", b"a@b.example", "a@b.example"),
        (b"return-path", b"<a@b.example", "BadReturnPath"),
    ],
)
def test_header_values(name: bytes, value: bytes, expected: object) -> None:
    assert read(name, value) == expected


@pytest.mark.parametrize(
    "address",
    [
        "a@b", "a.b+c=d@e-f.example", '"a b\\"c"@x_y.example', "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]",
        "!#$%&'*+/=?^_`{|}~-@x.example", "a@" + "b" * 63,
    ],
)  # fmt: skip
def test_addresses(address: str) -> None:
    assert read_address(f"<{address}>".encode()) == address


@pytest.mark.parametrize(
    "address",
    [
        "", "a", "@b", "a@", "a@b@c", "a..b@c", ".a@c", "a@b..c", "a@-b", "a b@c", "a@b c", '"a@b', "@x:a@b",
        "a@b\r\nX: y", "a\0@b", "é@b.example", "a@é.example", '"a\x01"@b', "<<a@b>>", "a@" + "b" * 64,
        "a" * 250 + "@b.ex",
    ],
)  # fmt: skip
def test_what_is_no_address(address: str) -> None:
    assert read_address(address.encode()) is None


def test_tokens() -> None:
    assert read_token(b"ABcd09", "x") == b"abcd09"
    assert read_token(b"=?utf-8?q?AB?=\t=?us-ascii?B?Y2Q=?=", "x") == b"abcd"
    for bad in (
        b"",
        b"'",
        b'"',
        b"<",
        b"ab cd",
        b"0x12",
        b"ab\n",
        "\uff41\uff42".encode(),
        b"=?utf-8?b?!!!?=",
    ):
        refused = read_token(bad, "the field")
        assert isinstance(refused, Reply)
        assert (refused.code, refused.enhanced) == (550, "5.1.1")
        assert refused.text.startswith("the field ")


@settings(deadline=None)  # shared machines stall
@given(st.binary(max_size=80))
def test_any_bytes_in_any_field(value: bytes) -> None:
    for name in (b"apns-topic", b"apns-push-type", b"apns-collapse-id", b"apns-id"):
        found = read(name, value)
        assert isinstance(found, str) or (isinstance(found, bytes) and found.decode("ascii").isprintable())
    path = read_address(value)
    assert path is None or (path.isascii() and path.isprintable())
    token = read_token(value, "x")
    assert isinstance(token, Reply) or token.isalnum()
    unword(b"=?" + value + b"?=")


def test_predicates() -> None:
    assert is_topic(b"com.example")
    assert not is_topic(b"com example")
    assert is_collapse_id(b"a b")
    assert not is_collapse_id(b" a")
    assert not is_collapse_id(b"a" * 65)
