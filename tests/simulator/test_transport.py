from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from tests.simulator.support import TOPIC, RawClient, settings, until
from tubepost_simulator import Chaos, Reason, Simulator, transport
from tubepost_simulator.chaos import parse


def start(**switches: object) -> Simulator:
    return Simulator(settings(chaos=parse(switches)))


async def test_first_settings_are_apples(simulator: Simulator) -> None:
    certificate = simulator.client_certificate([TOPIC])
    async with await RawClient.open(simulator, certificate) as client:
        await client.ping()
        assert {code: client.settings[code] for code in (1, 3, 4, 5, 6)} == {
            1: 4_096,
            3: 1_000,
            4: 65_535,
            5: 16_384,
            6: 8_000,
        }


# ---- stream limit


async def test_limit_follows_the_last_answer_on_token_connections(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        for token in ("abcd", "xyz", "abcd"):
            await client.answers(client.request(token))
        await client.until(lambda: len(client.limits) == 4)
        assert client.limits == [1, 1_000, 1, 1_000]


async def test_limit_stays_on_certificate_connections_unless_asked_for(simulator: Simulator) -> None:
    certificate = simulator.client_certificate([TOPIC])
    async with await RawClient.open(simulator, certificate) as client:
        await client.answers(client.request("xyz"))
        await client.ping()
        assert client.limits == [1_000]
        simulator.apply_chaos({"adaptiveStreams": "All"})
        await client.until(lambda: client.limits == [1_000, 1])
        await client.answers(client.request())
        await client.until(lambda: client.limits == [1_000, 1, 1_000])


async def test_limit_changes_now_and_after_requests() -> None:
    switches = {"adaptiveStreams": "Off", "streamsAfter": {"requests": 2, "limit": 7}}
    async with start(**switches) as simulator, await RawClient.open(simulator) as client:
        await client.ping()
        simulator.apply_chaos({"maxConcurrentStreams": 50})
        await client.until(lambda: client.limits == [1_000, 50])
        await client.answers(client.request())
        await client.answers(client.request())
        await client.until(lambda: client.limits == [1_000, 50, 7])


async def test_streams_over_an_acknowledged_limit_are_refused() -> None:
    async with (
        start(adaptiveStreams="Off", maxConcurrentStreams=2, stall="Requests") as simulator,
        await RawClient.open(simulator) as client,
    ):
        await client.ping()
        numbers = [client.request() for _ in range(3)]
        await client.answers(numbers[2])
        assert client.resets == {numbers[2]: 7}
        assert simulator.stats()["limitViolations"] == 1
        assert simulator.stats()["streamsOpen"] == 2
        assert simulator.stats()["streamsPeak"] == 2


async def test_a_lowered_limit_binds_only_once_acknowledged() -> None:
    async with (
        start(adaptiveStreams="Off", stall="Requests") as simulator,
        await RawClient.open(simulator) as client,
    ):
        await client.ping()
        client.acknowledge = False
        simulator.apply_chaos({"maxConcurrentStreams": 1})
        await client.until(lambda: client.limits[-1] == 1)
        numbers = [client.request() for _ in range(3)]
        await client.ping()
        assert not client.resets
        client.frame(4, 1, 0, b"")
        late = client.request()
        await client.answers(late)
        assert client.resets == {late: 7}
        assert simulator.stats()["streamsOpen"] == len(numbers)


async def test_a_client_that_acknowledges_nothing_gets_few_settings(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        client.acknowledge = False
        for _ in range(20):
            await client.answers(client.request("xyz"))
            await client.answers(client.request())
        await client.ping()
        assert len(client.limits) == 8


# ---- GOAWAY


async def test_goaway_exact_answers_what_is_open() -> None:
    async with (
        start(latencyMs=30, goawayAfterRequests=3, adaptiveStreams="Off") as simulator,
        await RawClient.open(simulator) as client,
    ):
        await client.ping()
        numbers = [client.request() for _ in range(3)]
        client.request()
        await client.until(lambda: bool(client.goaways))
        last = client.goaways[0][0]
        assert last >= numbers[2]
        await client.answers(*numbers)
        assert {client.status(number) for number in numbers} == {200}
        await client.until_closed()
    assert simulator.stats()["goaways"] == 1


async def test_goaway_lower_forgets_the_request_that_triggers_it() -> None:
    async with (
        start(
            goawayAfterRequests=3,
            adaptiveStreams="Off",
            goaway={"lastStreamId": "Lower", "reason": "", "errorCode": 2},
        ) as simulator,
        await RawClient.open(simulator) as client,
    ):
        await client.ping()
        numbers = [client.request() for _ in range(6)]
        await client.until_closed()
        assert client.goaways == [(numbers[1], 2, b"")]
        assert sorted(client.fields) == numbers[:2]
    assert len(simulator.notifications) == 2
    assert simulator.stats()["afterGoaway"] == 3


async def test_goaway_zero_loses_answers(simulator: Simulator) -> None:
    simulator.apply_chaos(
        {"latencyMs": 60_000, "goaway": {"lastStreamId": "Zero", "reason": "BadCertificateEnvironment"}}
    )
    async with await RawClient.open(simulator) as client:
        client.request()
        await simulator.wait_for(1)
        simulator.apply_chaos({"now": "GoAway"})
        await client.until_closed()
        assert client.goaways == [(0, 0, b'{"reason": "BadCertificateEnvironment"}')]
        assert not client.fields


async def test_goaway_graceful_takes_requests_until_the_second(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_GRACE", 60.0)
    simulator.apply_chaos({"goaway": {"lastStreamId": "Graceful"}})
    async with await RawClient.open(simulator) as client:
        await client.answers(client.request())
        client.pong = False
        simulator.apply_chaos({"now": "GoAway"})
        await client.until(lambda: len(client.goaways) == 1)
        between = client.request()
        await client.answers(between)
        assert client.status(between) == 200
        client.frame(6, 1, 0, b"graceful")
        await client.until(lambda: len(client.goaways) == 2)
        assert [last for last, _, _ in client.goaways] == [2**31 - 1, between]
        after = client.request()
        await client.until_closed()
        assert after not in client.fields
    assert simulator.stats()["afterGoaway"] == 1


async def test_graceful_goaway_does_not_wait_for_a_mute_client(simulator: Simulator) -> None:
    simulator.apply_chaos({"goaway": {"lastStreamId": "Graceful"}})
    async with await RawClient.open(simulator) as client:
        await client.ping()
        client.pong = False
        simulator.apply_chaos({"now": "GoAway"})
        await client.until_closed()
        assert len(client.goaways) == 2


async def test_idle_connection_is_told_so() -> None:
    async with Simulator(settings(idle_timeout=0.05)) as simulator, await RawClient.open(simulator) as client:
        await client.until_closed()
        assert client.goaways == [(0, 0, b'{"reason": "IdleTimeout"}')]


# ---- refusing, failing, stalling, dropping


async def test_refuse_next_and_every(simulator: Simulator) -> None:
    simulator.apply_chaos({"refuseNext": 2})
    async with await RawClient.open(simulator) as client:
        numbers = []
        for _ in range(3):
            numbers.append(client.request())
            await client.answers(numbers[-1])
        assert client.resets == {numbers[0]: 7, numbers[1]: 7}
        assert simulator.chaos()["refuseNext"] == 0
        simulator.apply_chaos({"refuseEvery": 2})
        for _ in range(4):
            numbers.append(client.request())
            await client.answers(numbers[-1])
        assert len(client.resets) == 4
    assert simulator.stats()["refused"] == 4
    assert len(simulator.notifications) == 3


async def test_errors_and_fail_next(simulator: Simulator) -> None:
    simulator.apply_chaos({"failNext": {"TooManyRequests": 1}, "errors": {"Unregistered": 1.0}})
    async with await RawClient.open(simulator) as client:
        for reason in (Reason.TOO_MANY_REQUESTS, Reason.UNREGISTERED, Reason.UNREGISTERED):
            number = client.request()
            await client.answers(number)
            assert (client.status(number), client.reason(number)) == (reason.status, reason)
        assert b"timestamp" in client.bodies[max(client.bodies)]


async def test_stalled_requests_stay_without_answer(simulator: Simulator) -> None:
    simulator.apply_chaos({"stall": "Requests"})
    async with await RawClient.open(simulator) as client:
        stalled = client.request()
        bad = client.request("xyz")
        await client.ping()
        simulator.apply_chaos({"stall": "Off"})
        await client.answers(client.request())
        assert stalled not in client.fields
        assert bad not in client.fields
    assert simulator.stats()["stalled"] == 2


async def test_silent_connections_go_on_where_they_stopped(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        await client.answers(client.request())
        simulator.apply_chaos({"stall": "Connection"})
        late = client.request()
        async with await RawClient.open(simulator) as newcomer:
            first = newcomer.request()
            assert next(iter(simulator._context.connections))._h2 is not None
            simulator.apply_chaos({"stall": "Off"})
            await client.answers(late)
            await newcomer.answers(first)
            assert (client.status(late), newcomer.status(first)) == (200, 200)


async def test_answers_that_fall_due_in_silence_come_after_it(simulator: Simulator) -> None:
    simulator.apply_chaos({"latencyMs": 500})
    async with await RawClient.open(simulator) as client:
        number = client.request()
        await simulator.wait_for(1)
        simulator.apply_chaos({"stall": "Connection"})
        connection = next(iter(simulator._context.connections))
        await until(lambda: not connection._timers)
        assert not simulator.notifications[0].answered
        simulator.apply_chaos({"stall": "Off"})
        await client.answers(number)


async def test_silence_holds_back_a_bounded_amount(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        await client.answers(client.request())
        simulator.apply_chaos({"stall": "Connection"})
        for _ in range(100):
            client.frame(6, 0, 0, b"x" * 8)
            client.frame(0, 0, 1, b"x" * 16_000)
        connection = next(iter(simulator._context.connections))
        await until(lambda: len(connection._held) >= 262_144)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(connection._held) < 1_000_000


@pytest.mark.parametrize(("moment", "recorded"), [("Before", 1), ("After", 2)])
async def test_connection_is_cut_at_a_request(simulator: Simulator, moment: str, recorded: int) -> None:
    simulator.apply_chaos({"dropAfterRequests": 2, "dropMoment": moment})
    async with await RawClient.open(simulator) as client:
        await client.answers(client.request())
        client.request()
        await client.until_closed()
        assert not client.goaways
        assert len(client.fields) == 1
    assert len(simulator.notifications) == recorded


async def test_drop_now(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        await client.ping()
        simulator.apply_chaos({"now": "Drop"})
        await client.until_closed()
    assert simulator.stats()["droppedConnections"] == 1


async def test_late_settings_come_before_all_else() -> None:
    async with start(settingsDelayMs=50) as simulator, await RawClient.open(simulator) as client:
        number = client.request()
        await client.answers(number)
        assert client.status(number) == 200
        assert client.limits[0] == 1


async def test_changing_the_delay_of_settings_frees_waiting_connections() -> None:
    async with start(settingsDelayMs=600_000) as simulator, await RawClient.open(simulator) as client:
        number = client.request()
        await until(lambda: simulator.stats()["connectionsTotal"] == 1)
        assert not next(iter(simulator._context.connections))._started
        simulator.apply_chaos({"settingsDelayMs": 0})
        await client.answers(number)


async def test_latency_and_jitter_answer_in_the_end() -> None:
    async with (
        start(latencyMs=5, jitterMs=20, adaptiveStreams="Off") as simulator,
        await RawClient.open(simulator) as client,
    ):
        await client.ping()
        numbers = [client.request() for _ in range(20)]
        await client.answers(*numbers)
        assert {client.status(number) for number in numbers} == {200}


async def test_client_that_does_not_read_is_not_read_from(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        await client.ping()
        connection = next(iter(simulator._context.connections))
        connection._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        connection._transport.set_write_buffer_limits(high=4_096)
        payload = struct.pack("!Q", 1)
        paused = False

        def pause() -> None:
            nonlocal paused
            paused = True
            type(connection).pause_writing(connection)

        connection.pause_writing = pause  # type: ignore[method-assign]
        while not paused:
            for _ in range(2_000):
                client.frame(6, 0, 0, payload)
            await asyncio.sleep(0)
        before = len(client.pongs)
        await client.until(lambda: len(client.pongs) > before)


def test_switches_have_defaults_that_do_nothing() -> None:
    chaos = Chaos()
    assert chaos.max_concurrent_streams == 1_000
    assert not any(
        (
            chaos.refuse_every,
            chaos.refuse_next,
            chaos.goaway_after_requests,
            chaos.drop_after_requests,
            chaos.errors,
        )
    )
