from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tubepost_dispatcher.intake.mcmt.payload import Payload, check_payload
from tubepost_dispatcher.reply import Reply


def ok(text: bytes) -> Payload:
    checked = check_payload(text, 5_120)
    assert isinstance(checked, Payload), checked
    return checked


def bad(text: bytes) -> Reply:
    checked = check_payload(text, 5_120)
    assert isinstance(checked, Reply)
    return checked


def test_payload_is_kept_byte_for_byte_without_the_blanks_around() -> None:
    text = b'{ "aps" :\r\n {"alert":"\xc3\xa9", "badge": 1.50}, "a": 1, "a": 2 }'
    checked = ok(b"\r\n \t" + text + b" \r\n\r\n")
    assert checked.data == text
    assert checked.warnings == ()


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        (b'{"aps":{},}', b'{"aps":{} }'),
        (b'{"aps":{"alert":"x",},"a":[1,2,\r\n ] , }', b'{"aps":{"alert":"x" },"a":[1,2 \r\n ]   }'),
        (b'{"aps":{"alert":",}"},}', b'{"aps":{"alert":",}"} }'),
        (b'{"aps":{"alert":"\\",]\\\\"},}', b'{"aps":{"alert":"\\",]\\\\"} }'),
    ],
)
def test_trailing_commas_are_repaired(text: bytes, repaired: bytes) -> None:
    checked = ok(text)
    assert checked.data == repaired
    assert checked.warnings == ("trailing-comma-repaired",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"a":1,,}', "line 1 column"),
        (b"{,}", "line 1 column 2"),
        (b'{"a":[,]}', "line 1 column 7"),
        (b'{"a":,}', "line 1 column 6"),
        (b'{"a":1},', "line 1 column 8"),
        (b'{"a":1,}x', "line 1 column 9"),
        (b'{"a":1,\r\n "b":tru,\r\n}', "line 2 column"),
        (b'{"a":NaN}', "line 1 column 6"),
        (b"{'a':1}", "line 1 column 2"),
        (b'{"a":"x\ny"}', "line 1 column"),
        (b'{"a":"\\ud800"}', "line 1 column"),
        (b'{"a":1} {"b":2}', "line 1 column"),
        (b'{"a', "line 1 column"),
        (b'{"a":"\\', "line 1 column"),
        (b"hello", "line 1 column 1"),
        (b"[1]", "an array"),
        (b'"x"', "a string"),
        (b"1", "a number"),
        (b"true", "a boolean"),
        (b"null", "null"),
        (b'\xef\xbb\xbf{"aps":{}}', "byte order mark"),
        (b'{"a":\n"\xe9"}', "byte 0xe9 at line 2 column 2 (offset 7)"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8: byte 0xff"),
        (b"[" * 5_000, "line 1 column"),
        (b'{"a":' * 900 + b"1" + b"}" * 100, "line 1 column"),
    ],
)
def test_anything_else_is_refused_and_located(text: bytes, words: str) -> None:
    refused = bad(text)
    assert (refused.code, refused.enhanced, refused.reason) == (554, "5.6.0", "BadPayload")
    assert words in refused.text


@pytest.mark.parametrize("text", [b"", b" \r\n\t"])
def test_an_empty_payload(text: bytes) -> None:
    assert bad(text).reason == "PayloadEmpty"


def test_the_size_limit_counts_no_surrounding_blanks() -> None:
    text = b'{"aps":"' + b"x" * 5_110 + b'"}'
    assert len(text) == 5_120
    assert ok(text + b"\r\n").data == text
    refused = bad(text.replace(b"x", b"xy", 1))
    assert (refused.code, refused.enhanced, refused.reason) == (552, "5.3.4", "PayloadTooLarge")
    assert "5121" in refused.text


@pytest.mark.parametrize(
    ("text", "background", "mdm", "warnings"),
    [
        (b'{"aps":{"content-available":1}}', True, False, ()),
        (b'{"aps":{"content-available":1,"category":"x"}}', True, False, ()),
        (b'{"aps":{"content-available":1,"badge":0}}', False, False, ()),
        (b'{"aps":{"content-available":1,"alert":"x"}}', False, False, ()),
        (b'{"aps":{"content-available":1,"sound":"x"}}', False, False, ()),
        (b'{"aps":{"content-available":0}}', False, False, ()),
        (b'{"aps":[]}', False, False, ()),
        (b'{"aps":null}', False, False, ()),
        (b'{"mdm":"x"}', False, True, ()),
        (b'{"aps":{},"mdm":"x"}', False, True, ()),
        (b"{}", False, False, ("payload-without-aps",)),
        (b'{"a":1,}', False, False, ("trailing-comma-repaired", "payload-without-aps")),
    ],
)
def test_what_the_payload_looks_like(text: bytes, background: bool, mdm: bool, warnings: Any) -> None:
    checked = ok(text)
    assert (checked.background, checked.is_mdm, checked.warnings) == (background, mdm, warnings)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(',}]{["\\ ab', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(',}"', max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


def dump(value: Any) -> str:
    """JSON with a trailing comma in everything that is not empty."""
    if isinstance(value, dict):
        return "{" + "".join(f"{json.dumps(key)}: {dump(item)} , " for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + "".join(f"{dump(item)},\r\n" for item in value) + "]"
    return json.dumps(value)


@settings(deadline=None)  # shared machines stall
@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_repair_changes_nothing_but_commas(value: dict[str, Any]) -> None:
    assert json.loads(ok(json.dumps(value).encode()).data) == value
    checked = ok(dump(value).encode())
    assert json.loads(checked.data) == value


@settings(deadline=None)  # shared machines stall
@given(st.text('{}[],:"\\ \r\n1a', max_size=60).map(str.encode) | st.binary(max_size=60))
def test_what_is_taken_is_json(text: bytes) -> None:
    checked = check_payload(text, 5_120)
    if isinstance(checked, Payload):
        assert isinstance(json.loads(checked.data), dict)
    else:
        assert checked.text.isascii()
        assert checked.text.isprintable()


def lines(count: int, end: bytes) -> bytes:
    return (
        b"{"
        + end
        + b'"aps":{},'
        + end
        + b",".join(b'"%04d":%d' % (n, n % 10) + end for n in range(count))
        + b"}"
    )


def test_cr_of_transport_does_not_count() -> None:
    data = lines(380, b"\r\n")
    assert len(data) > 4_096 > len(data.replace(b"\r", b""))
    found = check_payload(data, 5_120)
    assert isinstance(found, Payload)
    assert (found.data, found.warnings) == (data.replace(b"\r", b""), ("line-ends-compacted",))
    # Nor for the payloads that may be larger; where it makes no difference nothing is changed.
    data = lines(470, b"\r\n")
    assert len(data) > 5_120 > len(data.replace(b"\r", b"")) > 4_096
    found = check_payload(data, 5_120)
    assert isinstance(found, Payload)
    assert found.warnings == ("line-ends-compacted",)
    for data in (lines(420, b"\r\n"), lines(200, b"\r\n"), lines(370, b"\n")):
        found = check_payload(data, 5_120)
        assert isinstance(found, Payload)
        assert (found.data, found.warnings) == (data, ())
    refused = check_payload(lines(600, b"\r\n"), 5_120)
    assert isinstance(refused, Reply)
    assert refused.reason == "PayloadTooLarge"


@pytest.mark.parametrize(
    ("long", "fold"),
    [
        (b'{"aps":{"alert":"' + b"word " * 300 + b'"}}', b"\r\n"),
        (b'{"aps":{"alert":"' + b"word " * 300 + b'"}}', b"!\r\n "),
        (b'{"aps":{"alert":"' + "\u00e4".encode() * 600 + b'"}}', b"\r\n"),
        (b'{"aps":{"alert":"x' + "\u00e4".encode() * 600 + b'"}}', b"\r\n"),
        (b'{"aps":{"alert":"' + b"\\u00e4" * 200 + b'"}}', b"\n"),
        (b'{"aps":{}, "x": [' + b"1234567," * 200 + b"1]}", b"!\r\n "),
    ],
)
def test_a_line_that_a_mail_server_has_broken_is_named(long: bytes, fold: bytes) -> None:
    for width in (990, 997, 998, 1000):
        broken = long[:width] + fold + long[width:]
        found = check_payload(broken, 5_120)
        assert isinstance(found, Reply), found
        assert found.reason == "BadPayload"
        assert "line 1 was broken" in found.text
        assert "base64" in found.text


def test_a_short_line_is_not_blamed_on_a_mail_server() -> None:
    found = check_payload(b'{"aps":{"alert":"two\r\nlines"}}', 5_120)
    assert isinstance(found, Reply)
    assert "998" not in found.text
    assert "line 1" in found.text
