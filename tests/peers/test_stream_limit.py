"""The stream limit changes under way, as APNs changes it after rejections."""

from __future__ import annotations

import pytest

from tests.peers.conftest import MakeSender, Tls
from tests.peers.sender import numbered
from tests.peers.servers import GoPeer
from tubepost_dispatcher.outcome import OutcomeKind

pytestmark = pytest.mark.peer


@pytest.mark.parametrize("restore", [False, True], ids=["stays", "restored"])
@pytest.mark.parametrize("in_flight", [5, 20, 50, 150])
async def test_none_hangs_and_none_fails_when_the_limit_falls_from_1000_to_1(
    tls: Tls, apns_pool: MakeSender, in_flight: int, restore: bool
) -> None:
    flags = {"script": "limit", "hold": in_flight, "restore": restore, "times": 0}
    with GoPeer("rawpeer", tls.certificate, tls.key, **flags) as peer:
        sender = apns_pool(peer.port, max_connections=1)
        await sender.send(numbered(in_flight))
        await sender.send(numbered(20, "later"))
        stats = await peer.stats()
    assert sender.kinds() == {OutcomeKind.PERMANENT: 1, OutcomeKind.DELIVERED: in_flight + 19}
    assert {len(outcomes) for outcomes in sender.outcomes.values()} == {1}
    assert sender.reasons() == {"", "BadDeviceToken"}
    assert stats["duplicates"] == {}
    (connection,) = stats["connections"]
    assert (connection["violations"], connection["maxOpen"]) == (0, in_flight)


async def test_requests_in_waiting_take_turns_after_the_limit_fell(tls: Tls, apns_pool: MakeSender) -> None:
    with GoPeer(
        "rawpeer", tls.certificate, tls.key, script="limit", hold=50, limit=3, max_streams=50
    ) as peer:
        sender = apns_pool(peer.port, max_connections=1)
        await sender.send(numbered(300))
        stats = await peer.stats()
    assert sender.kinds() == {OutcomeKind.PERMANENT: 1, OutcomeKind.DELIVERED: 299}
    assert stats["duplicates"] == {}
    assert stats["connections"][0]["violations"] == 0


async def test_a_refused_stream_is_sent_again(tls: Tls, apns_pool: MakeSender) -> None:
    with GoPeer("rawpeer", tls.certificate, tls.key, script="refuse", after=7) as peer:
        sender = apns_pool(peer.port)
        await sender.send(numbered(100))
        stats = await peer.stats()
    assert sender.kinds() == {OutcomeKind.DELIVERED: 100}
    assert stats["duplicates"] == {}
    assert stats["connections"][0]["refused"] >= 14
