from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.smtp.proxy_header import MAX_V1, MAX_V2, Header, MalformedHeader, read_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


def addresses(source: Any, port: int) -> bytes:
    return source.packed + source.packed + port.to_bytes(2, "big") + (25).to_bytes(2, "big")


HEADERS = [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n", ("192.0.2.7", 4711)),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 65535 25\r\n", ("2001:db8::7", 65_535)),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.1 1 25\r\n", ("192.0.2.7", 1)),
    (b"PROXY UNKNOWN\r\n", ("", 0)),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", ("", 0)),
    (v2(0x21, 0x11, addresses(ipaddress.ip_address("192.0.2.7"), 4711)), ("192.0.2.7", 4711)),
    (v2(0x21, 0x21, addresses(ipaddress.ip_address("2001:db8::7"), 4711)), ("2001:db8::7", 4711)),
    # With what load balancers add: the id of an AWS endpoint.
    (
        v2(0x21, 0x11, addresses(ipaddress.ip_address("192.0.2.7"), 1) + b"\xea\x00\x04\x01vpc"),
        ("192.0.2.7", 1),
    ),
    (v2(0x20, 0x00, b""), ("", 0)),
    (v2(0x21, 0x00, b"whatever"), ("", 0)),
    (v2(0x21, 0x31, bytes(216)), ("", 0)),
]


@pytest.mark.parametrize(("header", "expected"), HEADERS)
@pytest.mark.parametrize("rest", [b"", b"EHLO client.example\r\n", b"\r\n"])
def test_headers(header: bytes, expected: tuple[str, int], rest: bytes) -> None:
    assert read_header(header + rest) == Header(len(header), *expected)


@pytest.mark.parametrize(("header", "_"), HEADERS)
def test_however_it_is_cut(header: bytes, _: object) -> None:
    for end in range(len(header)):
        assert read_header(header[:end]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO client.example\r\n",
        b"\r\nEHLO",
        b"\x16\x03\x01",
        b"PROXY\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25 1\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 4711 25\r\n",
        b"PROXY TCP4 192.0.2.999 198.51.100.1 4711 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 \xb2 25\r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 4711 25\r\n",
        b"PROXY UNKNOWN" + b" " * MAX_V1,
        v2(0x22, 0x11, bytes(12)),
        v2(0x11, 0x11, bytes(12)),
        v2(0x21, 0x12, bytes(12)),
        v2(0x21, 0x11, bytes(11)),
        v2(0x21, 0x21, bytes(35)),
        v2(0x21, 0x11, bytes(MAX_V2)),
    ],
)
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(MalformedHeader):
        read_header(data)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary().map(lambda rest: SIGNATURE + rest),
        st.binary().map(lambda rest: b"PROXY " + rest),
    )
)
def test_anything_is_a_header_or_none_or_not_yet_one(data: bytes) -> None:
    try:
        header = read_header(data)
    except MalformedHeader:
        return
    if header is None:
        assert len(data) < MAX_V2
        return
    assert 0 < header.size <= len(data)
    assert 0 <= header.port < 65_536
    if header.address:
        ipaddress.ip_address(header.address)
    # What follows it changes nothing.
    assert read_header(data + b"EHLO") == header
