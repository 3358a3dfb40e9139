"""Pools when something is wrong: credentials, TLS, proxies, deadlines, faults of callers, misbehaving servers."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from datetime import UTC, datetime, timedelta
from typing import Self

import pytest
from h2.settings import SettingCodes

from tests.dispatcher.apns.peer import BOUND, Peer, Seen, authority, server_context
from tests.dispatcher.apns.support import (
    Outcomes,
    certificate_credential,
    open_pool,
    request,
)
from tests.support.clock import OffsetClock
from tubepost_api.config import RouteTls
from tubepost_credentials.certificate import load_certificate
from tubepost_credentials.throwaway import make_apns_certificate, make_ca, make_server_certificate
from tubepost_dispatcher.apns.pool import PoolOptions
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome, OutcomeKind

DELIVERED, TRANSIENT, PERMANENT = OutcomeKind.DELIVERED, OutcomeKind.TRANSIENT, OutcomeKind.PERMANENT


async def closed_port() -> int:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return int(port)


async def test_without_a_credential_everything_is_held() -> None:
    outcomes = Outcomes()
    async with open_pool(1, no_credential=True) as pool:
        pool.submit(request(outcomes))
        (outcome,) = await outcomes.wait(1)
        assert (outcome.kind, outcome.reason) == (TRANSIENT, "CredentialMissing")
        assert outcome.held_until > time.monotonic()
        assert pool.held_until > time.monotonic()
        assert pool.status()["held"]["reason"] == "CredentialMissing"
        assert pool.status()["credential"] is None


@pytest.mark.parametrize(("start", "word"), [(-30, "expired"), (5, "not valid before")])
async def test_a_certificate_out_of_date_is_not_used(start: int, word: str) -> None:
    outcomes = Outcomes()
    begin = datetime.now(UTC) + timedelta(days=start)
    pair = make_apns_certificate(authority(), ["com.example.app"], days=10, start=begin)
    credential = load_certificate(pair.certificate_pem, pair.private_key_pem)
    async with Peer() as peer, open_pool(peer, credential) as pool:
        pool.submit(request(outcomes))
        (outcome,) = await outcomes.wait(1)
        assert outcome.reason == "CredentialExpired"
        assert word in outcome.detail
        assert not peer.connections
        assert pool.status()["credential"]["topics"] == ["com.example.app"]


async def test_a_client_certificate_is_presented() -> None:
    outcomes = Outcomes()
    context = server_context(client_ca=authority().certificate_pem)
    async with Peer(context=context) as peer, open_pool(peer, certificate_credential()) as pool:
        pool.submit(request(outcomes))
        assert (await outcomes.wait(1))[0].kind is DELIVERED
        assert "authorization" not in peer.seen[0].headers


async def test_a_client_certificate_that_the_server_refuses_is_a_tls_failure() -> None:
    outcomes = Outcomes()
    context = server_context(client_ca=make_ca().certificate_pem)
    async with Peer(context=context) as peer, open_pool(peer, certificate_credential()) as pool:
        pool.submit(request(outcomes))
        (outcome,) = await outcomes.wait(1)
        assert "refused client certificate" in outcome.detail
        assert outcome.reason in {"TlsFailed", "ConnectFailed"}
        assert not peer.seen


@pytest.mark.parametrize("hosts", [["localhost"], ["elsewhere.example"]])
async def test_a_server_certificate_that_does_not_verify_comes_back_at_once(hosts: list[str]) -> None:
    outcomes = Outcomes()
    ca = make_ca() if hosts == ["localhost"] else authority()
    context = server_context(make_server_certificate(ca, hosts))
    async with Peer(context=context) as peer, open_pool(peer) as pool:
        pool.submit(request(outcomes))
        (outcome,) = await outcomes.wait(1)
        assert outcome.reason == "CertificateVerifyFailed"
        assert outcome.held_until > 0
        assert "certificate" in outcome.detail.lower() or "mismatch" in outcome.detail.lower()


async def test_verification_can_be_switched_off() -> None:
    outcomes = Outcomes()
    context = server_context(make_server_certificate(make_ca(), ["elsewhere.example"]))
    changes = {"tls": RouteTls(verify=False)}
    async with Peer(context=context) as peer, open_pool(peer, route_changes=changes) as pool:
        pool.submit(request(outcomes))
        assert (await outcomes.wait(1))[0].kind is DELIVERED


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail\r\n", b""])
async def test_a_server_without_http2_is_a_tls_failure(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(1000)
            writer.write(answer)
            await writer.drain()
        writer.close()

    outcomes = Outcomes()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context(alpn="http/1.1"))
    port = server.sockets[0].getsockname()[1]
    async with server, open_pool(port) as pool:
        pool.submit(request(outcomes))
        (outcome,) = await outcomes.wait(1)
        assert outcome.reason == "TlsFailed"
        assert "does not speak HTTP/2" in outcome.detail


async def test_http2_without_alpn_is_taken_by_prior_knowledge(caplog: pytest.LogCaptureFixture) -> None:
    outcomes = Outcomes()
    async with (
        Peer(context=server_context(alpn="http/1.1")) as peer,
        open_pool(peer, options=PoolOptions(max_connections=1)) as pool,
    ):
        for number in range(3):
            pool.submit(request(outcomes, number))
            await outcomes.wait(number + 1)
            peer.connections[number].drop()
            await peer.until(lambda: not peer.alive)
        assert outcomes.kinds() == {DELIVERED: 3}
        assert len(peer.connections) == 3
    warnings = [record for record in caplog.records if "ALPN" in record.getMessage()]
    assert len(warnings) == 1, "said once for a route"


async def test_retry_after_of_the_route_lets_it_rest_and_of_a_device_does_not() -> None:
    outcomes = Outcomes()
    clock = OffsetClock()
    answers = {0: (429, "TooManyRequests"), 1: (503, "ServiceUnavailable")}

    def on_request(seen: Seen) -> None:
        number = int(seen.token, 16)
        seen.respond(*answers.get(number, (200,)), headers=[("retry-after", "40")] * (number in answers))

    async with Peer(on_request=on_request) as peer, open_pool(peer, clock=clock) as pool:
        pool.submit(request(outcomes, 0))
        (device,) = await outcomes.wait(1)
        assert (device.reason, pool.held_until) == ("TooManyRequests", 0.0)
        assert clock() + 35 < device.held_until <= clock() + 40
        pool.submit(request(outcomes, 1))
        (_, route) = await outcomes.wait(2)
        assert clock() + 35 < route.held_until <= clock() + 40
        assert pool.held_until == route.held_until
        pool.submit(request(outcomes, 2))
        resting = (await outcomes.wait(3))[-1]
        assert (resting.kind, resting.reason) == (TRANSIENT, "RouteResting")
        assert "Retry-After 40 s" in resting.detail
        assert len(peer.seen) == 2
        clock.advance(41)
        pool.submit(request(outcomes, 3, give_up_at=math.inf))
        assert (await outcomes.wait(4))[-1].kind is DELIVERED


async def test_nobody_listening_comes_back_after_three_attempts_and_recovers() -> None:
    outcomes = Outcomes()
    port = await closed_port()
    metrics = Metrics()
    async with open_pool(port, metrics=metrics, rng=lambda: 0.0) as pool:
        pool.submit(request(outcomes))
        (outcome,) = await outcomes.wait(1)
        assert outcome.reason == "ConnectFailed"
        assert outcome.held_until > 0
        failures = metrics.registry.get_sample_value(
            "tubepost_apns_connect_failures_total", {"route": "test", "cause": "ConnectFailed"}
        )
        assert failures == 3
        assert pool.status()["connectFailures"] == 3
        assert "ConnectFailed" in pool.status()["lastError"]
        pool._gauges.refresh()
        assert metrics.registry.get_sample_value("tubepost_route_held", {"route": "test"}) == 1
        async with Peer(port=port):
            pool._connections.connector.backoff.until = 0.0
            pool.submit(request(outcomes))
            assert (await outcomes.wait(2))[-1].kind is DELIVERED
            assert pool.held_until == 0.0
            pool._gauges.refresh()
            assert metrics.registry.get_sample_value("tubepost_route_held", {"route": "test"}) == 0


async def test_a_server_that_never_sends_settings_is_a_connect_timeout() -> None:
    outcomes = Outcomes()
    server = await asyncio.get_running_loop().create_server(
        asyncio.Protocol, "127.0.0.1", 0, ssl=server_context()
    )
    port = server.sockets[0].getsockname()[1]
    async with server, open_pool(port, options=PoolOptions(connect_timeout=0.2)) as pool:
        pool.submit(request(outcomes, give_up_at=time.monotonic() + 0.5))
        (outcome,) = await outcomes.wait(1)
        assert outcome.reason == "NoConnectionInTime"
        assert "ConnectTimeout" in outcome.detail


async def test_what_cannot_be_sent_in_time_comes_back() -> None:
    outcomes = Outcomes()
    async with Peer(max_streams=1, on_request=lambda _: None) as peer, open_pool(peer) as pool:
        pool.submit(request(outcomes, 0))
        await peer.until(lambda: peer.seen)
        pool.submit(request(outcomes, 1, give_up_at=time.monotonic() + 0.1))
        pool.submit(request(outcomes, 2))
        (outcome,) = await outcomes.wait(1)
        assert outcome.reason == "NoConnectionInTime"
        assert not outcome.possible_double
        peer.seen[0].respond(200)
        peer.on_request = Seen.respond
        await outcomes.wait(3)
        assert outcomes.kinds() == {TRANSIENT: 1, DELIVERED: 2}


async def test_withdrawing() -> None:
    outcomes = Outcomes()
    async with Peer(max_streams=1, on_request=lambda _: None) as peer, open_pool(peer) as pool:
        sent, waiting, last = (request(outcomes, number) for number in range(3))
        pool.submit(sent)
        await peer.until(lambda: peer.seen)
        pool.submit(waiting)
        pool.submit(last)
        assert not pool.withdraw(sent)
        assert pool.withdraw(waiting)
        assert not pool.withdraw(waiting)
        pool.submit(waiting)  # again, behind the last
        peer.on_request = Seen.respond
        peer.seen[0].respond(200)
        await outcomes.wait(3)
        assert peer.tokens() == [f"{number:064x}" for number in (0, 2, 1)]
        assert not pool.withdraw(sent)


async def test_an_exception_in_one_callback_hurts_no_other() -> None:
    outcomes = Outcomes()
    caught: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: caught.append(context["exception"]))

    def broken(request: ApnsRequest, outcome: Outcome) -> None:
        del request, outcome
        raise RuntimeError("a fault of the caller")

    async with Peer() as peer, open_pool(peer, certificate_credential()) as pool:
        for number in range(10):
            pool.submit(request(broken if number % 2 else outcomes, number))
        await outcomes.wait(5)
        await peer.until(lambda: peer.answered == 10)
        pool.submit(request(outcomes, 10))
        await outcomes.wait(6)
        assert len(caught) == 5


async def test_a_request_that_cannot_be_encoded_hurts_no_other() -> None:
    outcomes = Outcomes()
    async with Peer() as peer, open_pool(peer) as pool:
        pool.submit(request(outcomes, 0, topic=b"bad\r\ntopic"))
        pool.submit(request(outcomes, 1))
        await outcomes.wait(2)
        assert {o.reason for o in outcomes.order} == {"InternalError", ""}
        assert len(peer.seen) == 1


# -- answers -----------------------------------------------------------------------------------------


async def test_reasons_come_back_as_values() -> None:
    outcomes = Outcomes()
    answers = [
        (410, "Unregistered", {"timestamp": 1700000000000}),
        (413, "PayloadTooLarge", {}),
        (500, "New\r\nThing", {}),
    ]

    def on_request(seen: Seen) -> None:
        status, reason, more = answers[int(seen.token, 16)]
        seen.respond(status, reason, **more)

    async with Peer(on_request=on_request) as peer, open_pool(peer) as pool:
        for number in range(3):
            pool.submit(request(outcomes, number))
        await outcomes.wait(3)
        facts = sorted((o.status, o.reason, o.kind, o.timestamp) for o in outcomes.order)
        assert [fact[:2] for fact in facts] == [
            (410, "Unregistered"),
            (413, "PayloadTooLarge"),
            (500, "New??Thing"),
        ]
        assert [fact[2] for fact in facts] == [PERMANENT, PERMANENT, TRANSIENT]
        assert facts[0][3] == 1700000000000


async def test_a_refused_credential_holds_the_route_and_a_probe_opens_it() -> None:
    outcomes = Outcomes()
    clock = OffsetClock()
    metrics = Metrics()
    async with (
        Peer(on_request=lambda seen: seen.respond(403, "InvalidProviderToken")) as peer,
        open_pool(peer, clock=clock, metrics=metrics) as pool,
    ):
        pool.submit(request(outcomes))
        (outcome,) = await outcomes.wait(1)
        assert (outcome.kind, outcome.reason) == (TRANSIENT, "InvalidProviderToken")
        assert outcome.held_until == pool.held_until > clock()
        for number in range(5):
            pool.submit(request(outcomes, number, give_up_at=math.inf))
        await outcomes.wait(6)
        assert [o.reason for o in outcomes.order[1:]] == ["RouteHeld"] * 5
        assert "InvalidProviderToken" in outcomes.order[-1].detail
        assert len(peer.seen) == 1
        pool.status()
        assert metrics.registry.get_sample_value("tubepost_route_held", {"route": "test"}) == 1
        # One probe per interval, of however many.
        clock.advance(6)
        for number in range(5):
            pool.submit(request(outcomes, number, give_up_at=math.inf))
        await outcomes.wait(11)
        assert len(peer.seen) == 2
        assert pool.held_until > clock() + 6
        peer.on_request = Seen.respond
        clock.advance(20)
        pool.submit(request(outcomes, give_up_at=math.inf))
        assert (await outcomes.wait(12))[-1].kind is DELIVERED
        assert pool.held_until == 0.0


async def test_an_expired_token_is_renewed_once_and_then_the_clock_is_blamed() -> None:
    outcomes = Outcomes()
    async with (
        Peer(on_request=lambda seen: seen.respond(403, "ExpiredProviderToken")) as peer,
        open_pool(peer) as pool,
    ):
        pool.submit(request(outcomes))
        (first,) = await outcomes.wait(1)
        assert first.retry_at_once
        assert pool.held_until == 0.0
        pool.submit(request(outcomes))
        second = (await outcomes.wait(2))[-1]
        assert not second.retry_at_once
        assert peer.seen[0].headers["authorization"] != peer.seen[1].headers["authorization"]
        assert pool.held_until > 0
        pool.submit(request(outcomes))
        assert (await outcomes.wait(3))[-1].reason == "ClockWrong"


@pytest.mark.parametrize(
    "reason", ["UnrelatedKeyIdInToken", "TooManyProviderTokenUpdates", "Shutdown", "IdleTimeout"]
)
async def test_reasons_that_ask_for_another_connection_get_one(reason: str) -> None:
    status = {
        "UnrelatedKeyIdInToken": 403,
        "TooManyProviderTokenUpdates": 429,
        "Shutdown": 503,
        "IdleTimeout": 400,
    }
    outcomes = Outcomes()
    async with (
        Peer(on_request=lambda seen: seen.respond(status[reason], reason)) as peer,
        open_pool(peer) as pool,
    ):
        pool.submit(request(outcomes))
        (outcome,) = await outcomes.wait(1)
        assert outcome.kind is TRANSIENT
        assert outcome.retry_at_once == (reason != "TooManyProviderTokenUpdates")
        peer.on_request = Seen.respond
        pool.submit(request(outcomes))
        assert (await outcomes.wait(2))[-1].kind is DELIVERED
        assert len(peer.connections) == 2


async def test_a_goaway_about_the_certificate_holds_the_route() -> None:
    outcomes = Outcomes()
    async with (
        Peer(on_request=lambda seen: seen.connection.goaway(0, "BadCertificateEnvironment")) as peer,
        open_pool(peer, certificate_credential()) as pool,
    ):
        pool.submit(request(outcomes))
        (outcome,) = await outcomes.wait(1)
        assert outcome.reason == "RouteHeld"
        assert "BadCertificateEnvironment" in outcome.detail


async def test_mixed_up_environments_hold_their_senders_and_nobody_else() -> None:
    outcomes = Outcomes()

    def on_request(seen: Seen) -> None:
        seen.respond(*((200,) if int(seen.token, 16) >= 1_000 else (400, "BadDeviceToken")))

    async with Peer(on_request=on_request) as peer, open_pool(peer, certificate_credential()) as pool:
        for number in range(300):
            pool.submit(request(outcomes, number, source=b"one"))
        await outcomes.wait(300)
        assert outcomes.kinds() == {PERMANENT: 300}
        assert pool.status()["held"] is None
        for number in range(300, 400):
            pool.submit(request(outcomes, number, source=b"two"))
        await outcomes.wait(400)
        assert pool.status()["held"]["reason"] == "EnvironmentMismatch"
        assert pool.held_until == 0.0
        assert pool.hold is None  # which sources it concerns is no other process' affair
        pool.submit(request(outcomes, 400, source=b"one"))
        pool.submit(request(outcomes, 401, source=b"two"))
        held = (await outcomes.wait(402))[-2:]
        assert {(o.kind, o.reason) for o in held} == {(TRANSIENT, "EnvironmentMismatch")}
        assert all(o.held_until > time.monotonic() for o in held)
        pool.submit(request(outcomes, 402, source=b"three"))
        assert (await outcomes.wait(403))[-1].kind is PERMANENT
        assert pool.status()["held"]
        pool.submit(request(outcomes, 1_000, source=b"three"))
        assert (await outcomes.wait(404))[-1].kind is DELIVERED
        assert pool.status()["held"] is None
        pool.submit(request(outcomes, 1_001, source=b"one"))
        assert (await outcomes.wait(405))[-1].kind is DELIVERED


async def test_one_client_that_varies_its_senders_holds_nobody_after_a_success() -> None:
    outcomes = Outcomes()

    def on_request(seen: Seen) -> None:
        seen.respond(*((200,) if seen.token.startswith("00") else (400, "BadDeviceToken")))

    async with Peer(on_request=on_request) as peer, open_pool(peer, certificate_credential()) as pool:
        pool.submit(request(outcomes, 1, source=b"good"))
        await outcomes.wait(1)
        for number in range(3_000):
            pool.submit(request(outcomes, 0, token=b"f%063x" % number, source=b"%d" % (number % 40)))
        await outcomes.wait(3_001)
        assert outcomes.kinds() == {DELIVERED: 1, PERMANENT: 3_000}
        assert pool.status()["held"] is None


# -- servers that misbehave ----------------------------------------------------------------------------


@pytest.mark.parametrize("flood", ["ping", "settings", "garbage", "push"])
async def test_a_misbehaving_server_loses_its_connection_and_nothing_else(flood: str) -> None:
    frames = {
        "ping": b"\0\0\x08\x06\0\0\0\0\0" + b"12345678",
        "settings": b"\0\0\0\x04\0\0\0\0\0",
        "garbage": b"\xff" * 64,
        "push": b"\0\0\x05\x05\x04\0\0\0\x01\0\0\0\x02\x88",
    }
    outcomes = Outcomes()

    def on_request(seen: Seen) -> None:
        connection = seen.connection
        if connection.number == 0:
            connection.deaf = True
            connection.transport.write(frames[flood] * 40_000)
        else:
            seen.respond(200)

    async with Peer(on_request=on_request) as peer, open_pool(peer) as pool:
        pool.submit(request(outcomes))
        (outcome,) = await outcomes.wait(1)
        assert outcome.reason == "ConnectionLost"
        assert outcome.possible_double
        await peer.until(lambda: peer.connections[0].gone)
        pool.submit(request(outcomes))
        assert (await outcomes.wait(2))[-1].kind is DELIVERED


async def test_large_bodies_beyond_the_send_window_all_arrive() -> None:
    outcomes = Outcomes()
    payload = b'{"aps":{"alert":"' + b"x" * 4000 + b'"}}'
    async with Peer() as peer, open_pool(peer, certificate_credential()) as pool:
        for number in range(200):
            pool.submit(request(outcomes, number, payload=payload))
        await outcomes.wait(200)
        assert outcomes.kinds() == {DELIVERED: 200}
        assert all(seen.body == payload for seen in peer.seen)


# -- the proxy -----------------------------------------------------------------------------------------


class ConnectProxy:
    """A CONNECT proxy of some lines."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head)
        writer.write(self.answer)
        if not self.answer.startswith(b"HTTP/1.1 200"):
            writer.close()
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        upstream_reader, upstream_writer = await asyncio.open_connection(host, int(port))
        for source, sink in ((reader, upstream_writer), (upstream_reader, writer)):
            task = asyncio.create_task(self._copy(source, sink))
            self._tasks.add(task)

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
        except ConnectionError:
            pass
        finally:
            sink.close()


@pytest.mark.parametrize(
    ("user", "auth", "sent"),
    [
        ("", None, b""),
        ("", "u:p", b"Basic dTpw"),
        ("u:p@", None, b"Basic dTpw"),
        ("x:y@", "u:p", b"Basic dTpw"),
    ],
)
async def test_a_proxy_is_gone_through(user: str, auth: str | None, sent: bytes) -> None:
    outcomes = Outcomes()
    async with (
        ConnectProxy() as proxy,
        Peer() as peer,
        open_pool(
            peer, proxy_auth=auth, route_changes={"proxy": f"http://{user}127.0.0.1:{proxy.port}"}
        ) as pool,
    ):
        pool.submit(request(outcomes))
        assert (await outcomes.wait(1))[0].kind is DELIVERED
        (head,) = proxy.requests
        assert head.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % peer.port)
        assert (b"Proxy-Authorization: " + sent in head) if sent else b"Authorization" not in head


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 407 Who are you\r\n\r\n", b"SSH-2.0\r\n\r\n", b"", b"x" * 10_000]
)
async def test_a_proxy_that_refuses_is_named(answer: bytes) -> None:
    outcomes = Outcomes()
    async with (
        ConnectProxy(answer) as proxy,
        open_pool(1, route_changes={"proxy": f"http://127.0.0.1:{proxy.port}"}) as pool,
    ):
        pool.submit(request(outcomes))
        (outcome,) = await outcomes.wait(1)
        assert outcome.reason == "ProxyRefused"
        if b"407" in answer:
            assert "407 Who are you" in outcome.detail


# -- the pool's life -----------------------------------------------------------------------------------


async def test_closing_awaits_answers_and_takes_nothing_new() -> None:
    outcomes = Outcomes()
    async with Peer(on_request=lambda _: None) as peer, open_pool(peer, certificate_credential()) as pool:
        for number in range(3):
            pool.submit(request(outcomes, number))
        await peer.until(lambda: len(peer.seen) == 3)
        closing = asyncio.create_task(pool.close(BOUND))
        await asyncio.sleep(0)
        pool.submit(request(outcomes, 3))
        (late,) = await outcomes.wait(1)
        assert (late.reason, late.retry_at_once) == ("ShuttingDown", True)
        for seen in peer.seen:
            seen.respond(200)
        await asyncio.wait_for(closing, BOUND)
        assert outcomes.kinds() == {TRANSIENT: 1, DELIVERED: 3}
        await peer.until(lambda: peer.connections[0].gone)
        assert peer.connections[0].goaway_received


async def test_closing_without_grace_returns_everything() -> None:
    outcomes = Outcomes()
    metrics = Metrics()
    async with (
        Peer(max_streams=2, on_request=lambda _: None) as peer,
        open_pool(peer, certificate_credential(), metrics=metrics) as pool,
    ):
        for number in range(5):
            pool.submit(request(outcomes, number))
        await peer.until(lambda: len(peer.seen) == 2)
        await pool.close(0.0)
        assert outcomes.reasons() == {"ShuttingDown"}
        assert sorted(o.possible_double for o in outcomes.order) == [False, False, False, True, True]
        for name in ("connections", "streams", "stream_limit", "pending"):
            assert metrics.registry.get_sample_value(f"tubepost_apns_{name}", {"route": "test"}) == 0
        await pool.close(0.0)


async def test_closing_returns_at_once_what_a_server_had_not_got_as_a_whole() -> None:
    outcomes = Outcomes()

    def narrow(seen: Seen) -> None:
        seen.connection.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1})
        seen.respond(200)

    async with Peer(on_request=narrow) as peer, open_pool(peer, certificate_credential()) as pool:
        pool.submit(request(outcomes, 0))
        await outcomes.wait(1)
        pool.submit(request(outcomes, 1))
        await peer.until(lambda: peer.connections[0].half)
        await pool.close(0.0)
        (outcome,) = outcomes.order[1:]
        assert (outcome.reason, outcome.possible_double) == ("ShuttingDown", False)


async def test_options_change_while_running() -> None:
    outcomes = Outcomes()
    stuck: list[Seen] = []
    async with (
        Peer(max_streams=1, on_request=stuck.append) as peer,
        open_pool(peer, certificate_credential(), options=PoolOptions(max_connections=3)) as pool,
    ):
        for number in range(3):
            pool.submit(request(outcomes, number))
        await peer.until(lambda: len(stuck) == 3)
        pool.set_options(PoolOptions(max_connections=1))
        for seen in stuck:
            seen.respond(200)
        await outcomes.wait(3)
        await peer.until(lambda: len(peer.alive) == 1)


async def test_status_is_json_without_secrets() -> None:
    import json

    outcomes = Outcomes()
    async with Peer() as peer, open_pool(peer) as pool:
        pool.submit(request(outcomes))
        await outcomes.wait(1)
        text = json.dumps(pool.status())
        facts = json.loads(text)
        assert facts["state"] == "open"
        assert facts["connections"][0]["answered"] == 1
        assert facts["credential"]["keyId"] == "ABCDE12345"
        assert 300 <= facts["providerTokenAgeSeconds"] < 2700
        assert "bearer" not in text
        assert "PRIVATE" not in text
