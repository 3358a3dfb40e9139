"""The header of the PROXY protocol: it is read, not one, or not yet whole, however it is cut; nothing else is raised."""

from __future__ import annotations

import ipaddress

from tests.fuzz.target import Target
from tubepost_dispatcher.smtp.proxy_header import MAX_V2, Header, MalformedHeader, read_header

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def _read(data: bytes) -> Header | None:
    try:
        return read_header(data)
    except MalformedHeader:
        return None


def run(data: bytes) -> None:
    """One input."""
    whole = _read(data)
    for end in range(0, len(data), max(1, len(data) // 16)):
        part = _read(data[:end])
        assert part is None or part == whole
    if whole is None:
        return
    assert 0 < whole.size <= min(len(data), MAX_V2)
    assert 0 <= whole.port < 65_536
    if whole.address:
        assert str(ipaddress.ip_address(whole.address)) == whole.address


TARGET = Target(
    run=run,
    max_length=MAX_V2 + 64,
    seeds=(
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\nEHLO x\r\n",
        b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\n",
        b"PROXY UNKNOWN\r\n",
        _SIGNATURE + b"\x21\x11\x00\x0c" + bytes(12),
        _SIGNATURE + b"\x21\x21\x00\x24" + bytes(36),
        _SIGNATURE + b"\x20\x00\x00\x00",
    ),
    words=(b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", _SIGNATURE, b"::ffff:", b"\r\n"),
)
