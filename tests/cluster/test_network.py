from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from tests.cluster.network import Block, free_block

indexes = st.integers(min_value=0, max_value=31)


@given(indexes, indexes)
def test_blocks_of_two_runs_share_no_address(one: int, other: int) -> None:
    assert Block(one).network.overlaps(Block(other).network) == (one == other)


@given(indexes)
def test_link_services_and_pods_of_a_block_are_apart_and_inside(index: int) -> None:
    block = Block(index)
    link = ipaddress.ip_network(f"{block.machine}/30", strict=False)
    networks = [link, block.services, block.pods]
    assert ipaddress.ip_address(block.node) in link
    assert all(network.subnet_of(block.network) for network in networks)  # type: ignore[arg-type]  # all are version 4
    assert not any(a.overlaps(b) for a in networks for b in networks if a is not b)


@given(indexes)
def test_interface_names_fit_into_what_linux_allows(index: int) -> None:
    assert len(Block(index).link) <= 15


def test_a_free_block_avoids_other_runs_and_routes_of_the_machine() -> None:
    assert free_block(set(), []) == Block(0)
    assert free_block({0, 1}, []) == Block(2)
    assert free_block({0}, ["default", "198.18.16.0/22", "fe80::/64"]) == Block(2)
    assert free_block(set(), ["192.0.2.0/24"]) == Block(0)
    assert free_block(set(), [], ["eth0", "tubepost0"]) == Block(1)


def test_no_block_is_free_when_all_are_taken_or_the_range_is_routed() -> None:
    assert free_block(set(range(32)), []) is None
    assert free_block(set(), ["198.18.0.0/15"]) is None
