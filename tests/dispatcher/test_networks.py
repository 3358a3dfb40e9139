from __future__ import annotations

import pytest

from tubepost_dispatcher.networks import network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::"),
        ("2001:db8:0:0:ffff:1:2:3", "2001:db8::"),
        ("2001:db8:0:1::1", "2001:db8:0:1::"),
    ],
)
def test_a_client_is_an_address_or_a_64(address: str, network: str) -> None:
    assert network_of(address) == network
