"""Header blocks: what a real decoder reads in them, and what is refused at the edge."""

from __future__ import annotations

import pytest
from hpack import Decoder, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.apns.http2 import hpackenc

NAMES = st.from_regex(rb"[a-z][a-z0-9-]{0,200}", fullmatch=True)
VALUES = st.binary(max_size=1000).map(lambda raw: raw.translate(None, b"\r\n\0").strip(b" \t"))


def decoded(block: bytes) -> list[tuple[bytes, bytes]]:
    decoder = Decoder()
    decoder.max_allowed_table_size = 0
    decoder.header_table_size = 0
    return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]


def test_a_request_reads_back_as_it_was_meant() -> None:
    block = (
        hpackenc.request_prefix(b"api.push.apple.com:443")
        + hpackenc.path_field(b"/3/device/00ff")
        + hpackenc.field(b"apns-topic", b"com.example.app")
        + hpackenc.field(b"authorization", b"bearer x", never_indexed=True)
    )
    assert decoded(block) == [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"api.push.apple.com:443"),
        (b":path", b"/3/device/00ff"),
        (b"apns-topic", b"com.example.app"),
        (b"authorization", b"bearer x"),
    ]


def test_secrets_are_marked_never_to_be_indexed() -> None:
    block = hpackenc.path_field(b"/3/device/00") + hpackenc.field(b"authorization", b"b", never_indexed=True)
    fields = list(Decoder().decode(block, raw=True))
    assert all(isinstance(one, NeverIndexedHeaderTuple) for one in fields)
    plain = list(Decoder().decode(hpackenc.field(b"authorization", b"b"), raw=True))
    assert not isinstance(plain[0], NeverIndexedHeaderTuple)


@given(NAMES, VALUES, st.booleans())
def test_any_valid_field_reads_back(name: bytes, value: bytes, never: bool) -> None:
    assert decoded(hpackenc.field(name, value, never_indexed=never)) == [(name, value)]


@pytest.mark.parametrize("name", sorted(hpackenc._STATIC_NAMES))
def test_a_static_name_is_the_one_it_stands_for(name: bytes) -> None:
    block = hpackenc.field(name, b"v")
    assert len(block) < len(name) + 3
    assert decoded(block) == [(name, b"v")]


@pytest.mark.parametrize(
    "name", [b"", b"Apns-Topic", b":path", b"a b", b"a\r", b"a\n", b"a\0", b"\xe4", b"x\n"]
)
def test_a_bad_name_is_refused(name: bytes) -> None:
    with pytest.raises(ValueError):
        hpackenc.field(name, b"v")


@pytest.mark.parametrize("value", [b"a\rb", b"a\nb", b"a\0b", b" a", b"a ", b"\ta", b"a\t", b" ", b"a\n"])
def test_a_bad_value_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError):
        hpackenc.field(b"authorization", value)


def test_a_refused_value_is_not_quoted() -> None:
    with pytest.raises(ValueError) as caught:
        hpackenc.field(b"authorization", b"secret\n")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("path", [b"", b"3/device", b"/a b", b"/a\r\n", b"/\xff", b"/a\0", b"/a\n"])
def test_a_bad_path_is_refused(path: bytes) -> None:
    with pytest.raises(ValueError):
        hpackenc.path_field(path)


@pytest.mark.parametrize("authority", [b"", b"a b", b"a\n"])
def test_a_bad_authority_is_refused(authority: bytes) -> None:
    with pytest.raises(ValueError):
        hpackenc.request_prefix(authority)


@pytest.mark.parametrize(
    ("value", "bits", "encoded"),
    # The examples of RFC 7541, appendix C.1.
    [(10, 5, b"\x0a"), (1337, 5, b"\x1f\x9a\x0a"), (42, 8, b"\x2a")],
)
def test_integers_are_those_of_the_rfc(value: int, bits: int, encoded: bytes) -> None:
    assert hpackenc.integer(value, bits, 0) == encoded
