"""Servers that take connections or requests and do not answer: what is learned of it, and what it costs senders."""

from __future__ import annotations

import socket
from collections import Counter

import pytest

from tests.peers.conftest import MakeSender, Tls
from tests.peers.sender import numbered
from tests.peers.servers import GoPeer
from tests.peers.traffic import Traffic
from tubepost_dispatcher.outcome import OutcomeKind

pytestmark = pytest.mark.peer

TIMEOUT = 1.0
"""Seconds of response timeout: a fifth of the default, so that a test takes a fifth of the time."""


async def test_a_connection_that_answers_ping_and_no_request_is_replaced(
    tls: Tls, apns_pool: MakeSender
) -> None:
    with GoPeer("rawpeer", tls.certificate, tls.key, script="wedge", after=20) as peer:
        traffic = Traffic(apns_pool(peer.port, max_connections=1), response_timeout=TIMEOUT)
        await traffic.run(rate=50, seconds=6.0)
        await traffic.replies()
        stats = await peer.stats()
    assert stats["connections"][0]["pings"] > 0
    assert stats["connections"][0]["requests"] == 19
    assert 2 <= len(stats["connections"]) <= 3
    assert traffic.delivered() >= 0.95 * len(traffic.messages)
    before = max(message.ended_at for message in traffic.messages[:19])
    after = min(message.ended_at for message in traffic.messages[19:] if message.delivered)
    assert after - before < 3 * TIMEOUT + traffic.lag


@pytest.mark.parametrize("connect_timeout", [30.0, 5.0])
async def test_a_route_whose_handshake_hangs_is_left(
    tls: Tls, apns_pool: MakeSender, connect_timeout: float
) -> None:
    with (
        GoPeer("rawpeer", tls.certificate, tls.key, script="hang", times=0) as hanging,
        GoPeer("rawpeer", tls.certificate, tls.key) as serving,
    ):
        pools = [apns_pool(peer.port, connect_timeout=connect_timeout) for peer in (hanging, serving)]
        traffic = Traffic(*pools, response_timeout=5.0)
        await traffic.run(rate=50, seconds=2 * min(connect_timeout, 3.0) + 2.0)
        await traffic.replies()
        stats = await hanging.stats()
    assert traffic.delivered() == len(traffic.messages)
    served = min(message.ended_at for message in traffic.messages)
    assert served - traffic.messages[0].started < 5.0 + traffic.lag
    assert not traffic.over(1.5, traffic.since(served))
    assert 2 <= stats["dialled"] <= 10


async def test_a_route_that_never_answers_syn_is_left(tls: Tls, apns_pool: MakeSender) -> None:
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = full.getsockname()[1]
    fillers = []
    for _ in range(4):  # what the kernel's queue has no room for hangs in SYN
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    with GoPeer("rawpeer", tls.certificate, tls.key) as serving:
        traffic = Traffic(apns_pool(port), apns_pool(serving.port), response_timeout=5.0)
        await traffic.run(rate=50, seconds=6.0)
        await traffic.replies()
    for one in (full, *fillers):
        one.close()
    assert traffic.delivered() == len(traffic.messages)
    served = min(message.ended_at for message in traffic.messages)
    assert served - traffic.messages[0].started < 5.0 + traffic.lag
    assert not traffic.over(1.5, traffic.since(served))


async def test_a_route_that_was_left_is_taken_again_when_it_has_a_connection(
    tls: Tls, apns_pool: MakeSender
) -> None:
    with (
        GoPeer("rawpeer", tls.certificate, tls.key, script="hang", times=2) as first,
        GoPeer("rawpeer", tls.certificate, tls.key) as second,
    ):
        traffic = Traffic(apns_pool(first.port), apns_pool(second.port), response_timeout=5.0)
        await traffic.run(rate=20, seconds=8.0)
        await traffic.replies()
    assert traffic.delivered() == len(traffic.messages)
    assert {message.route for message in traffic.messages[:10]} == {"r1"}
    assert {message.route for message in traffic.messages[-10:]} == {"r0"}


async def test_beside_a_handshake_that_hangs_another_one_is_made(tls: Tls, apns_pool: MakeSender) -> None:
    with GoPeer("rawpeer", tls.certificate, tls.key, script="hang", times=1) as peer:
        traffic = Traffic(apns_pool(peer.port, connect_timeout=30.0), response_timeout=5.0)
        await traffic.run(rate=50, seconds=0.2)
        await traffic.replies()
        stats = await peer.stats()
    assert traffic.delivered() == len(traffic.messages)
    assert not traffic.over(5.0, traffic.messages)
    assert stats["dialled"] == 2


@pytest.mark.parametrize(("status", "reason"), [(429, "TooManyProviderTokenUpdates"), (503, "Shutdown")])
async def test_an_answer_that_asks_for_another_connection_each_time_gets_few(
    tls: Tls, apns_pool: MakeSender, status: int, reason: str
) -> None:
    with GoPeer("rawpeer", tls.certificate, tls.key) as peer:
        await peer.answer(status, reason, count=1_000_000)
        traffic = Traffic(apns_pool(peer.port), response_timeout=5.0)
        await traffic.run(rate=50, seconds=10.0)
        stats = await peer.stats()
        assert 3 <= len(stats["connections"]) <= 10


async def test_a_stall_of_the_only_route_is_told_at_once(tls: Tls, apns_pool: MakeSender) -> None:
    flags = {"script": "mute", "after": 100, "mute_time": "4s", "times": 0}
    with GoPeer("rawpeer", tls.certificate, tls.key, **flags) as peer:
        traffic = Traffic(apns_pool(peer.port), response_timeout=TIMEOUT)
        await traffic.run(rate=100, seconds=8.0)
        await traffic.replies()
        stats = await peer.stats()
    learned = min(message.ended_at for message in traffic.messages if not message.delivered)
    later = traffic.since(learned)
    assert len(later) > 400
    # Those that were on their way at the first time-out, and one in a hundred to test the route.
    on_the_way = [m for m in traffic.messages[99:] if m.started <= learned]
    assert stats["muted"] <= len(on_the_way) + 0.01 * len(later)
    assert len(traffic.over(1.0, later)) <= 0.01 * len(later)
    refused = Counter(m.outcome.reason for m in later if m.outcome and not m.delivered)
    assert refused["RouteSilent"] > 100
    assert all(message.delivered for message in traffic.messages[-50:])


async def test_a_stall_of_the_first_route_is_learned_once(tls: Tls, apns_pool: MakeSender) -> None:
    flags = {"script": "mute", "after": 100, "mute_time": "4s", "times": 0}
    with (
        GoPeer("rawpeer", tls.certificate, tls.key, **flags) as first,
        GoPeer("rawpeer", tls.certificate, tls.key) as second,
    ):
        traffic = Traffic(apns_pool(first.port), apns_pool(second.port), response_timeout=TIMEOUT)
        await traffic.run(rate=100, seconds=8.0)
        await traffic.replies()
        stats = await first.stats()
    assert traffic.delivered() == len(traffic.messages)
    learned = min(message.ended_at for message in traffic.messages if message.route == "r1")
    later = traffic.since(learned)
    on_the_way = [m for m in traffic.messages[99:] if m.started <= learned]
    assert stats["muted"] <= len(on_the_way) + 0.01 * len(later)
    assert len(traffic.over(1.0, later)) <= 0.01 * len(later)
    assert {message.route for message in traffic.messages[-50:]} == {"r0"}


@pytest.mark.parametrize("script", ["wedge", "stall"])
@pytest.mark.parametrize("routes", [1, 2])
async def test_what_may_have_been_delivered_is_sent_twice_at_most(
    tls: Tls, apns_pool: MakeSender, routes: int, script: str
) -> None:
    flags = {"script": script, "after": 1, "times": 0}
    with (
        GoPeer("rawpeer", tls.certificate, tls.key, **flags) as first,
        GoPeer("rawpeer", tls.certificate, tls.key, **flags) as second,
    ):
        pools = [apns_pool(peer.port) for peer in (first, second)[:routes]]
        traffic = Traffic(*pools, response_timeout=TIMEOUT)
        await traffic.run(rate=20, seconds=3.0)
        await traffic.replies()
        seen: Counter[str] = Counter()
        for peer in (first, second):
            seen.update((await peer.call("/ids"))["seen"])
    assert traffic.delivered() == 0
    assert seen
    assert max(seen.values()) <= 2
    assert all(message.outcome is not None for message in traffic.messages)


async def test_a_server_that_allows_no_stream_gets_one_connection_and_the_next_route_the_rest(
    tls: Tls, apns_pool: MakeSender
) -> None:
    with (
        GoPeer("rawpeer", tls.certificate, tls.key, max_streams=0) as first,
        GoPeer("rawpeer", tls.certificate, tls.key) as second,
    ):
        traffic = Traffic(apns_pool(first.port), apns_pool(second.port), response_timeout=5.0)
        await traffic.run(rate=50, seconds=4.0)
        await traffic.replies()
        stats = await first.stats()
    assert traffic.delivered() == len(traffic.messages)
    assert stats["dialled"] == 1
    served = min(message.ended_at for message in traffic.messages)
    assert not traffic.over(1.5, traffic.since(served))


async def test_http2_without_alpn(tls: Tls, apns_pool: MakeSender) -> None:
    with GoPeer("rawpeer", tls.certificate, tls.key, alpn=False) as peer:
        sender = apns_pool(peer.port)
        await sender.send(numbered(50))
    assert sender.kinds() == {OutcomeKind.DELIVERED: 50}


async def test_a_200_that_ends_in_a_reset_is_a_200(tls: Tls, apns_pool: MakeSender) -> None:
    with GoPeer("rawpeer", tls.certificate, tls.key, script="unsaid") as peer:
        sender = apns_pool(peer.port)
        await sender.send(numbered(50))
        stats = await peer.stats()
    assert sender.kinds() == {OutcomeKind.DELIVERED: 50}
    assert stats["duplicates"] == {}
