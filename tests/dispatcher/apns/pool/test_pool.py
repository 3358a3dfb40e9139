"""Pools over real TLS against a server that does what it is told."""

from __future__ import annotations

import pytest

from tests.dispatcher.apns.peer import Peer, Seen
from tests.dispatcher.apns.support import Outcomes, certificate_credential, open_pool, request
from tests.support.clock import OffsetClock
from tubepost_dispatcher.apns.pool import PoolOptions
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import OutcomeKind

DELIVERED, TRANSIENT, PERMANENT = OutcomeKind.DELIVERED, OutcomeKind.TRANSIENT, OutcomeKind.PERMANENT


async def test_a_notification_arrives_as_it_was_meant() -> None:
    outcomes = Outcomes()
    async with Peer() as peer, open_pool(peer) as pool:
        sent = request(outcomes, 7, collapse_id=b"news", priority=5, expiration=1234, push_type=b"background")
        pool.submit(sent)
        assert not outcomes.order
        (outcome,) = await outcomes.wait(1)
        assert outcome.kind is DELIVERED
        assert outcome.status == 200
        assert outcome.apns_id == sent.apns_id.decode()
        (seen,) = peer.seen
        headers = dict(seen.headers)
        assert headers.pop("authorization").startswith("bearer ey")
        assert headers == {
            ":method": "POST",
            ":scheme": "https",
            ":authority": f"localhost:{peer.port}",
            ":path": "/3/device/" + "0" * 63 + "7",
            "apns-topic": "com.example.app",
            "apns-push-type": "background",
            "apns-priority": "5",
            "apns-expiration": "1234",
            "apns-id": sent.apns_id.decode(),
            "apns-collapse-id": "news",
        }
        assert seen.body == sent.payload


@pytest.mark.parametrize("in_flight", [5, 20, 50, 150])
async def test_stream_limit_lowered_to_one_after_a_rejection_hangs_and_fails_nothing(in_flight: int) -> None:
    outcomes = Outcomes()
    held: list[Seen] = []

    def on_request(seen: Seen) -> None:
        held.append(seen)
        if len(held) == in_flight:
            # As APNs does it: one is rejected, the limit drops, the others are answered in time.
            held[0].respond(400, "BadDeviceToken")
            seen.connection.limit_streams(1)
            for other in held[1:]:
                other.respond(200)
        elif len(held) > in_flight:
            seen.respond(200)

    async with Peer(on_request=on_request) as peer, open_pool(peer, certificate_credential()) as pool:
        for number in range(in_flight):
            pool.submit(request(outcomes, number))
        await peer.until(lambda: len(peer.seen) >= in_flight)
        for number in range(in_flight, in_flight + 50):
            pool.submit(request(outcomes, number))
        await outcomes.wait(in_flight + 50)
        assert outcomes.kinds() == {DELIVERED: in_flight + 49, PERMANENT: 1}
        assert len(peer.seen) == in_flight + 50


async def test_goaway_in_the_middle_of_a_thousand_loses_and_doubles_nothing() -> None:
    outcomes = Outcomes()
    metrics = Metrics()

    def on_request(seen: Seen) -> None:
        connection = seen.connection
        seen.respond(200)
        if connection.number < 3 and seen.stream_id >= 301:
            connection.goaway(seen.stream_id, "Shutdown")

    async with (
        Peer(on_request=on_request) as peer,
        open_pool(peer, certificate_credential(), metrics=metrics) as pool,
    ):
        for number in range(1000):
            pool.submit(request(outcomes, number))
        await outcomes.wait(1000)
        assert outcomes.kinds() == {DELIVERED: 1000}
        assert sorted(peer.tokens()) == sorted({f"{number:064x}" for number in range(1000)})
        assert len(peer.connections) == 4
    moved = metrics.registry.get_sample_value("tubepost_apns_resubmitted_total", {"route": "test"})
    assert moved
    closed = metrics.registry.get_sample_value(
        "tubepost_apns_connections_closed_total", {"route": "test", "cause": "Shutdown"}
    )
    assert closed == 3


async def test_goaway_with_last_stream_zero_moves_everything() -> None:
    outcomes = Outcomes()

    def on_request(seen: Seen) -> None:
        if seen.connection.number == 0:
            peer.seen.clear()
            seen.connection.goaway(0, "Shutdown")
        else:
            seen.respond(200)

    async with Peer(on_request=on_request) as peer, open_pool(peer, certificate_credential()) as pool:
        for number in range(50):
            pool.submit(request(outcomes, number))
        await outcomes.wait(50)
        assert outcomes.kinds() == {DELIVERED: 50}
        assert len(peer.seen) == 50


async def test_refused_streams_are_sent_again_unnoticed() -> None:
    outcomes = Outcomes()
    refused: set[str] = set()

    def on_request(seen: Seen) -> None:
        if seen.token not in refused and len(refused) < 20:
            refused.add(seen.token)
            seen.reset(7)
        else:
            seen.respond(200)

    async with Peer(on_request=on_request) as peer, open_pool(peer) as pool:
        for number in range(60):
            pool.submit(request(outcomes, number))
        await outcomes.wait(60)
        assert outcomes.kinds() == {DELIVERED: 60}
        assert len(peer.seen) == 80


async def test_a_server_that_refuses_everything_gets_a_bounded_number_of_tries() -> None:
    outcomes = Outcomes()
    async with Peer(on_request=lambda seen: seen.reset(7)) as peer, open_pool(peer) as pool:
        pool.submit(request(outcomes))
        (outcome,) = await outcomes.wait(1)
        assert outcome.reason == "StreamRefused"
        assert not outcome.possible_double
        assert len(peer.seen) == 6


async def test_another_reset_is_transient_and_perhaps_a_double() -> None:
    outcomes = Outcomes()
    async with Peer(on_request=lambda seen: seen.reset(2)) as peer, open_pool(peer) as pool:
        pool.submit(request(outcomes))
        (outcome,) = await outcomes.wait(1)
        assert (outcome.kind, outcome.reason, outcome.possible_double) == (TRANSIENT, "StreamReset", True)


async def test_a_dropped_connection_gives_possible_doubles_to_be_repeated_at_once() -> None:
    outcomes = Outcomes()

    def on_request(seen: Seen) -> None:
        if len(peer.seen) == 10:
            seen.connection.drop()

    async with Peer(on_request=on_request) as peer, open_pool(peer, certificate_credential()) as pool:
        for number in range(10):
            pool.submit(request(outcomes, number))
        await outcomes.wait(10)
        assert outcomes.reasons() == {"ConnectionLost"}
        assert all(o.possible_double and o.retry_at_once and o.kind is TRANSIENT for o in outcomes.order)
        peer.on_request = Seen.respond
        pool.submit(request(outcomes))
        assert (await outcomes.wait(11))[-1].kind is DELIVERED


async def test_a_silent_stall_moves_requests_within_their_response_timeout() -> None:
    outcomes = Outcomes()

    def on_request(seen: Seen) -> None:
        if seen.connection.number == 0:
            seen.connection.deaf = True
        else:
            seen.respond(200)

    async with Peer(on_request=on_request) as peer, open_pool(peer, certificate_credential()) as pool:
        for number in range(5):
            pool.submit(request(outcomes, number, response_timeout=2.0))
        await outcomes.wait(5)
        # At the deadline it would have been ResponseTimeout.
        assert outcomes.reasons() == {"ConnectionLost"}
        assert all(o.possible_double and o.retry_at_once for o in outcomes.order)
        for again in list(outcomes.by_request):
            del outcomes.by_request[again]
            pool.submit(again)
        await outcomes.wait(10)
        assert outcomes.kinds() == {TRANSIENT: 5, DELIVERED: 5}
        assert len(peer.connections) == 2


async def test_one_slow_answer_on_a_living_connection_times_out_alone() -> None:
    outcomes = Outcomes()

    def on_request(seen: Seen) -> None:
        if seen.token != "0" * 64:
            seen.respond(200)

    async with Peer(on_request=on_request) as peer, open_pool(peer, certificate_credential()) as pool:
        pool.submit(request(outcomes, 0, response_timeout=1.0))
        pool.submit(request(outcomes, 1))
        await outcomes.wait(2)
        assert outcomes.order[0].kind is DELIVERED
        assert outcomes.order[1].reason == "ResponseTimeout"
        assert outcomes.order[1].possible_double
        await peer.until(lambda: peer.resets_received)
        assert peer.connections[0].pings >= 1
        pool.submit(request(outcomes, 2))
        assert (await outcomes.wait(3))[-1].kind is DELIVERED
        assert len(peer.connections) == 1


async def test_idle_connections_close_and_the_next_request_opens_another() -> None:
    outcomes = Outcomes()
    async with Peer() as peer, open_pool(peer, options=PoolOptions(idle_timeout=0.1)) as pool:
        pool.submit(request(outcomes))
        await outcomes.wait(1)
        await peer.until(lambda: peer.connections[0].gone)
        assert peer.connections[0].goaway_received
        pool.submit(request(outcomes))
        await outcomes.wait(2)
        assert outcomes.kinds() == {DELIVERED: 2}
        assert len(peer.connections) == 2


async def test_a_connection_is_replaced_after_its_deliveries() -> None:
    outcomes = Outcomes()
    options = PoolOptions(max_deliveries_per_connection=10, max_connections=1)
    async with Peer() as peer, open_pool(peer, options=options) as pool:
        for number in range(35):
            pool.submit(request(outcomes, number))
        await outcomes.wait(35)
        assert outcomes.kinds() == {DELIVERED: 35}
        counts = [sum(s.connection is c for s in peer.seen) for c in peer.connections]
        assert counts == [10, 10, 10, 5]


async def test_with_a_token_connections_are_not_opened_before_the_first_push_is_accepted() -> None:
    outcomes = Outcomes()
    clock = OffsetClock()
    first: list[Seen] = []

    def on_request(seen: Seen) -> None:
        if seen.connection.proven:  # type: ignore[attr-defined]
            seen.respond(200)
        else:
            first.append(seen)

    def on_connect(connection: object) -> None:
        connection.proven = False  # type: ignore[attr-defined]

    async with (
        Peer(max_streams=1, on_request=on_request, on_connect=on_connect) as peer,
        open_pool(peer, options=PoolOptions(max_connections=8), clock=clock) as pool,
    ):
        for number in range(500):
            pool.submit(request(outcomes, number))
        await peer.until(lambda: first)
        clock.advance(1.0)  # much longer than requests wait for a stream before another connection is opened
        pool._pump()
        assert pool.status()["dialling"] == 0
        assert pool.status()["pending"] == 499
        assert len(peer.connections) == 1
        assert len(peer.seen) == 1
        connection = peer.connections[0]
        connection.proven = True  # type: ignore[attr-defined]
        first[0].respond(200)
        connection.limit_streams(1000)
        await outcomes.wait(500)
        assert outcomes.kinds() == {DELIVERED: 500}


async def test_more_connections_are_opened_when_streams_stay_taken() -> None:
    outcomes = Outcomes()
    stuck: list[Seen] = []
    async with (
        Peer(max_streams=10, on_request=stuck.append) as peer,
        open_pool(peer, certificate_credential(), options=PoolOptions(max_connections=3)) as pool,
    ):
        for number in range(100):
            pool.submit(request(outcomes, number))
        await peer.until(lambda: len(stuck) == 30)
        assert len(peer.connections) == 3
        assert [c.peak for c in peer.connections] == [10, 10, 10]
        peer.on_request = Seen.respond
        for seen in stuck:
            seen.respond(200)
        await outcomes.wait(100)
        assert outcomes.kinds() == {DELIVERED: 100}
        assert len(peer.connections) == 3
