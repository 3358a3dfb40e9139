"""Pools on servers that take requests and do not answer: what is sent, what comes back, what is logged."""

from __future__ import annotations

import asyncio
import json
import logging
import time

import pytest

from tests.dispatcher.apns.peer import Peer, Seen
from tests.dispatcher.apns.support import Outcomes, certificate_credential, open_pool, request
from tubepost_dispatcher.apns.health import GRACE
from tubepost_dispatcher.apns.pool import PoolOptions, probe
from tubepost_dispatcher.outcome import OutcomeKind

DELIVERED, TRANSIENT = OutcomeKind.DELIVERED, OutcomeKind.TRANSIENT
TIMEOUT = 0.5


def lines(caplog: pytest.LogCaptureFixture, least: int = logging.INFO) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= least]


def silence(seen: Seen) -> None:
    """Answer PING and no request."""


async def test_a_doubt_is_one_line_and_its_end_another(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tubepost.apns")
    outcomes = Outcomes()
    async with Peer(on_request=silence) as peer, open_pool(peer, certificate_credential()) as pool:
        for number in range(100):
            pool.submit(request(outcomes, number, response_timeout=TIMEOUT))
        await outcomes.wait(100)
        assert outcomes.reasons() == {"ResponseTimeout"}
        assert all(outcome.possible_double for outcome in outcomes.order)
        told = lines(caplog)
        assert len(told) == 2, told
        assert "replacing a connection that answers PING but none of its 100 requests" in told[0]
        assert "route test: no answer from APNs for" in told[1]
        assert pool.status()["silentSinceSeconds"] is not None
        caplog.clear()
        peer.on_request = Seen.respond
        pool.submit(request(outcomes, 100))
        assert (await outcomes.wait(101))[-1].kind is DELIVERED
        assert "100 requests timed out" in lines(caplog)[0]
        assert len(lines(caplog)) == 1
        assert pool.status()["silentSinceSeconds"] is None
        assert pool.held_until == 0.0


async def test_in_doubt_one_request_is_sent_and_the_others_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PATIENCE", 60.0)
    outcomes = Outcomes()
    async with Peer(on_request=silence) as peer, open_pool(peer, certificate_credential()) as pool:
        pool.submit(request(outcomes, 0, response_timeout=TIMEOUT))
        await outcomes.wait(1)
        for number in range(1, 21):
            pool.submit(request(outcomes, number))
        began = time.monotonic()
        await outcomes.wait(20)
        assert time.monotonic() - began >= GRACE / 2, "the probe gets a chance"
        assert len(peer.seen) == 2
        assert len(peer.connections) == 2, "the probe has a connection of its own"
        refused = outcomes.order[1:]
        assert {(o.kind, o.reason, o.possible_double) for o in refused} == {(TRANSIENT, "RouteSilent", False)}
        assert pool.held_until > time.monotonic()
        pool.submit(request(outcomes, 21))
        await outcomes.wait(21)
        assert len(peer.seen) == 2
        peer.seen[1].respond(200)
        await outcomes.wait(22)
        peer.on_request = Seen.respond
        for number in range(22, 32):
            pool.submit(request(outcomes, number))
        await outcomes.wait(32)
        assert outcomes.kinds()[DELIVERED] == 11


async def test_who_sends_a_probe_is_told_soon_and_the_answer_still_ends_the_doubt() -> None:
    outcomes = Outcomes()
    async with Peer(on_request=silence) as peer, open_pool(peer, certificate_credential()) as pool:
        pool.submit(request(outcomes, 0, response_timeout=TIMEOUT))
        await outcomes.wait(1)
        pool.submit(request(outcomes, 1, response_timeout=60.0))
        (_, told) = await outcomes.wait(2)
        assert (told.reason, told.possible_double) == ("ResponseTimeout", True)
        assert pool.status()["silentSinceSeconds"] is not None
        peer.seen[1].respond(200)
        async with asyncio.timeout(20):
            while pool.status()["silentSinceSeconds"] is not None:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
        assert len(outcomes.order) == 2


async def test_requests_that_wait_for_the_first_probe_are_sent_when_it_is_answered() -> None:
    outcomes = Outcomes()

    def on_request(seen: Seen) -> None:
        if seen.connection.number:
            seen.respond(200)

    async with Peer(on_request=on_request) as peer, open_pool(peer, certificate_credential()) as pool:
        pool.submit(request(outcomes, 0, response_timeout=TIMEOUT))
        await outcomes.wait(1)
        for number in range(1, 21):
            pool.submit(request(outcomes, number))
        await outcomes.wait(21)
        assert outcomes.kinds() == {TRANSIENT: 1, DELIVERED: 20}


async def test_one_slow_answer_among_others_is_no_doubt_and_costs_no_connection() -> None:
    outcomes = Outcomes()

    def on_request(seen: Seen) -> None:
        if int(seen.token, 16):
            seen.respond(200)

    async with Peer(on_request=on_request) as peer, open_pool(peer, certificate_credential()) as pool:
        pool.submit(request(outcomes, 0, response_timeout=TIMEOUT))
        for number in range(1, 30):
            pool.submit(request(outcomes, number))
            await asyncio.sleep(0.03)
        await outcomes.wait(30)
        assert outcomes.kinds() == {TRANSIENT: 1, DELIVERED: 29}
        assert len(peer.connections) == 1
        assert pool.status()["silentSinceSeconds"] is None


async def test_a_connection_is_sought_while_others_would_take_the_route() -> None:
    hung = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = hung.sockets[0].getsockname()[1]
    outcomes = Outcomes()
    async with open_pool(port, options=PoolOptions(connect_timeout=0.2), rng=lambda: 0.0) as pool:
        pool.submit(request(outcomes, give_up_at=time.monotonic() + 0.1))
        await outcomes.wait(1)
        assert pool.held_until > time.monotonic()
        hung.close()
        async with Peer(port=port) as peer:
            await peer.until(lambda: peer.connections)  # nothing waits for it
            async with asyncio.timeout(20):
                while pool.held_until:  # noqa: ASYNC110 - as delivery asks
                    await asyncio.sleep(0.01)
            assert len(peer.connections) == 1
            pool.submit(request(outcomes))
            assert (await outcomes.wait(2))[-1].kind is DELIVERED


async def test_a_hold_and_its_end_are_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tubepost.apns")
    outcomes = Outcomes()
    async with (
        Peer(on_request=lambda seen: seen.respond(403, "InvalidProviderToken")) as peer,
        open_pool(peer) as pool,
    ):
        for number in range(50):
            pool.submit(request(outcomes, number))
        await outcomes.wait(50)
        assert lines(caplog) == [
            "route test: held (InvalidProviderToken): APNs answered 403 InvalidProviderToken"
        ]
        caplog.clear()
        peer.on_request = Seen.respond
        pool._credential.hold._until = 0.0
        pool.submit(request(outcomes, 50))
        await outcomes.wait(51)
        assert lines(caplog) == ["route test: hold ended (InvalidProviderToken)"]


async def test_debug_shows_what_the_pool_decides(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tubepost.apns")
    outcomes = Outcomes()
    async with (
        Peer(max_streams=10, on_request=lambda seen: seen.respond(503, "Shutdown")) as peer,
        open_pool(peer, certificate_credential()) as pool,
    ):
        pool.submit(request(outcomes, 0))
        await outcomes.wait(1)
        stuck: list[Seen] = []
        peer.on_request = stuck.append
        for number in range(1, 31):
            pool.submit(request(outcomes, number))
        await peer.until(lambda: len(stuck) == 30)
        peer.on_request = Seen.respond
        for seen in stuck:
            seen.respond(200)
        await outcomes.wait(31)
        pool.submit(request(outcomes, 31))
        await outcomes.wait(32)
        said = "\n".join(lines(caplog, logging.DEBUG))
    for word in ("connecting", "connected after", "replacing a connection", "requests per connection"):
        assert word in said


@pytest.mark.parametrize("where", ["reason", "goaway"])
async def test_what_a_peer_says_back_reaches_nobody(where: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tubepost.apns")
    outcomes = Outcomes()
    secrets: list[str] = []

    def on_request(seen: Seen) -> None:
        bearer = seen.headers["authorization"]
        secrets[:] = [bearer.split()[1][:20], bearer[-40:], seen.token]
        echo = f"{bearer[:70]} {seen.token} {bearer[-60:]}"
        if where == "reason":
            seen.respond(400, echo)
        else:
            seen.connection.goaway(seen.stream_id, echo)
            seen.respond(400, echo[::-1][:100])

    async with Peer(on_request=on_request) as peer, open_pool(peer) as pool:
        pool.submit(request(outcomes, token=b"0123456789abcdef" * 4))
        await outcomes.wait(1)
        told = [str(outcomes.order), json.dumps(pool.status()), "\n".join(lines(caplog, logging.DEBUG))]
    assert secrets
    for text in told:
        assert not [secret for secret in secrets if secret in text]
