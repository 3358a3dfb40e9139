"""Servers that fall silent or flood: the connection is given up, everything else goes on."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest

from tests.peers import servers
from tests.peers.conftest import MakeSender, Tls
from tests.peers.sender import numbered
from tests.peers.servers import GoPeer
from tubepost_dispatcher.outcome import OutcomeKind

pytestmark = pytest.mark.peer

FLOODS = (
    *("body", "continuation", "data", "early", "empty-continuation"),
    *("ping", "reset", "settings", "unknown", "window"),
)
MEMORY = 64 * 1024 * 1024
"""Bytes by which the process may grow during a flood."""


@pytest.mark.parametrize("answered", [0, 10], ids=["at once", "after ten"])
async def test_a_silent_stall_moves_to_another_connection(
    tls: Tls, apns_pool: MakeSender, answered: int
) -> None:
    flags = {"script": "stall", "after": answered + 1, "times": 1}
    with GoPeer("rawpeer", tls.certificate, tls.key, **flags) as peer:
        sender = apns_pool(peer.port)
        names = numbered(30)
        await sender.insist(names, response_timeout=2.0)
        stats = await peer.stats()
    assert sender.kinds() == {OutcomeKind.DELIVERED: 30}
    assert "ResponseTimeout" not in sender.reasons()
    doubtful = [told[0] for told in sender.outcomes.values() if len(told) == 2]
    assert all(outcome.possible_double and outcome.reason == "ConnectionLost" for outcome in doubtful)
    assert stats["distinct"] == 30
    assert stats["duplicates"] == {}  # the peer acted on none that it did not answer
    assert stats["connections"][0]["requests"] == answered


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_ends_its_connection_and_nothing_else(
    tls: Tls, apns_pool: MakeSender, kind: str
) -> None:
    flags = {"script": f"flood-{kind}", "after": 6, "times": 1}
    with (
        GoPeer("rawpeer", tls.certificate, tls.key, **flags) as peer,
        GoPeer("apnsserver", tls.certificate, tls.key) as healthy,
    ):
        flooded, other = apns_pool(peer.port, max_connections=1), apns_pool(healthy.port)
        await other.send(["before"])
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async with asyncio.TaskGroup() as group:
            group.create_task(flooded.insist(numbered(20), response_timeout=10.0))
            group.create_task(other.send(numbered(200)))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024
        stats = await peer.stats_when(lambda found: "flood" in found["connections"][0])
    assert other.kinds() == {OutcomeKind.DELIVERED: 201}
    failed = {
        told[-1].reason for told in flooded.outcomes.values() if told[-1].kind is not OutcomeKind.DELIVERED
    }
    assert failed == ({"StreamReset"} if kind == "reset" else set())  # its first RST_STREAM was an answer
    assert grown < MEMORY
    flood = stats["connections"][0]["flood"]
    assert not flood["outlasted"], flood
    assert stats["duplicates"] == {}


def test_every_flood_of_the_peer_is_tried() -> None:
    source = Path(servers.__file__).parent / "go" / "rawpeer" / "flood.go"
    assert {f'"flood-{kind}":' for kind in FLOODS} == {
        word
        for word in source.read_text(encoding="utf-8").split()
        if word.startswith('"flood-') and word.endswith('":')
    }
