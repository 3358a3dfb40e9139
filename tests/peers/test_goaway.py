"""GOAWAY in the middle of a thousand requests: none is lost, none is sent twice that the server took."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.conftest import MakeSender, Tls
from tests.peers.sender import Sender, identity, numbered
from tests.peers.servers import GoPeer, Nginx
from tubepost_dispatcher.outcome import OutcomeKind

pytestmark = pytest.mark.peer
COUNT = 1_000


def assert_all_delivered_once(sender: Sender) -> None:
    assert sender.kinds() == {OutcomeKind.DELIVERED: COUNT}
    assert {len(outcomes) for outcomes in sender.outcomes.values()} == {1}


@pytest.mark.parametrize("last", ["exact", "zero", "notice"])
@pytest.mark.parametrize("after", [1, 100, 999])
async def test_a_raw_goaway(tls: Tls, apns_pool: MakeSender, after: int, last: str) -> None:
    flags = {"script": "goaway", "after": after, "times": 2, "last": last}
    with GoPeer("rawpeer", tls.certificate, tls.key, **flags) as peer:
        sender = apns_pool(peer.port, max_connections=1)
        await sender.send(numbered(COUNT))
        stats = await peer.stats()
    assert_all_delivered_once(sender)
    assert (stats["distinct"], stats["duplicates"]) == (COUNT, {})
    assert len(stats["connections"]) == (3 if 2 * after <= COUNT else 2)


async def test_a_goaway_on_every_connection_while_requests_keep_coming(
    tls: Tls, apns_pool: MakeSender
) -> None:
    with GoPeer("rawpeer", tls.certificate, tls.key, max_streams=100) as peer:
        sender = apns_pool(peer.port, max_connections=4)
        for part in range(5):
            sender.submit(numbered(COUNT // 5, f"part{part}-"))
            await sender.told_but(COUNT // 10)
            await peer.go_away()
        await sender.answers()
        stats = await peer.stats()
    assert_all_delivered_once(sender)
    assert (stats["distinct"], stats["duplicates"]) == (COUNT, {})


async def test_the_graceful_goaway_of_go(tls: Tls, apns_pool: MakeSender) -> None:
    flags = {"goaway_after": 100, "goaways": 3, "delay": "1ms"}
    with GoPeer("apnsserver", tls.certificate, tls.key, **flags) as peer:
        sender = apns_pool(peer.port, max_connections=2)
        await sender.send(numbered(COUNT))
        stats = await peer.stats()
    assert_all_delivered_once(sender)
    assert (stats["distinct"], stats["duplicates"]) == (COUNT, {})
    assert stats["statuses"] == {"200": COUNT}
    assert len(stats["connections"]) >= 3


async def test_nginx_leaves_after_every_hundred(tls: Tls, apns_pool: MakeSender, tmp_path: Path) -> None:
    with Nginx(tmp_path, tls.certificate, tls.key, requests=100) as nginx:
        sender = apns_pool(nginx.port, max_connections=2)
        await sender.send(numbered(COUNT))
    assert_all_delivered_once(sender)
    assert nginx.answered() == {identity(name): 1 for name in numbered(COUNT)}
    assert nginx.connections() >= 10
