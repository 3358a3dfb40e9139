from __future__ import annotations

import socket

import pytest

from tubepost_runtime import addresses
from tubepost_runtime.addresses import bind, bind_all, listening_addresses, with_port


def connect(host: str, port: int) -> None:
    socket.create_connection((host, port), 3).close()


@pytest.mark.parametrize("host", ["::", "localhost"])
def test_both_families_are_listened_on(host: str) -> None:
    bound = bind_all(host, 0)
    try:
        for sock in bound:
            sock.listen()
        (port,) = {sock.getsockname()[1] for sock in bound}
        for address in ("127.0.0.1", "::1"):
            connect(address, port)
    finally:
        for sock in bound:
            sock.close()


def test_without_ipv6_all_addresses_are_those_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    assert listening_addresses("::") == ("0.0.0.0",)


@pytest.mark.parametrize(("there", "bound"), [({"127.0.0.1"}, ("127.0.0.1",)), ({"::1"}, ("::1",))])
def test_loopback_is_what_the_machine_has_of_it(
    monkeypatch: pytest.MonkeyPatch, there: set[str], bound: tuple[str, ...]
) -> None:
    def only(address: str, port: int) -> socket.socket:
        if address not in there:
            raise OSError(99, "Cannot assign requested address")
        return bind("127.0.0.1", port)

    monkeypatch.setattr(addresses, "bind", only)
    assert listening_addresses("localhost") == bound


def test_other_hosts_stand_for_themselves() -> None:
    assert listening_addresses("0.0.0.0") == ("0.0.0.0",)
    assert listening_addresses("2001:db8::1") == ("2001:db8::1",)


def test_one_address_of_ipv6_takes_no_ipv4() -> None:
    with bind("::1", 0) as sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_a_port_that_is_taken_leaves_nothing_open() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            bind_all("localhost", port)
        with bind("127.0.0.1", port) as free:
            assert free.getsockname()[1] == port


def test_an_ipv6_address_with_a_port_has_brackets() -> None:
    assert with_port("2001:db8::1", 443) == "[2001:db8::1]:443"
    assert with_port("192.0.2.1", 443) == "192.0.2.1:443"
    assert with_port("relay.example.com", 25) == "relay.example.com:25"
