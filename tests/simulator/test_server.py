from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import sys

import httpx
import pytest

from tests.simulator.support import TOPIC, RawClient, context, headers, http_client, settings, until
from tubepost_credentials.throwaway import make_apns_certificate, make_ca, make_server_certificate
from tubepost_simulator import Chaos, ChaosError, Reason, Simulator, SimulatorSettings


async def status(simulator: Simulator, client: httpx.AsyncClient) -> int:
    fields = [(name, value) for name, value in headers() if not name.startswith(":")]
    return (await client.post("/3/device/abcd", headers=fields, content=b"{}")).status_code


async def test_stop_cuts_connections_and_keeps_the_record() -> None:
    simulator = Simulator(settings())
    await simulator.start()
    async with await RawClient.open(simulator) as client:
        await client.answers(client.request())
        await simulator.stop()
        await client.until_closed()
    await simulator.stop()
    assert len(simulator.notifications) == 1
    assert simulator.stats()["connectionsOpen"] == 0
    with pytest.raises(RuntimeError):
        await simulator.start()


async def test_both_families_are_served() -> None:
    simulator = Simulator(settings(host="::"))
    async with simulator:
        async with httpx.AsyncClient(trust_env=False) as client:
            for address in ("127.0.0.1", "[::1]"):
                url = f"http://{address}:{simulator.api_port}/api/v1/health"
                assert (await client.get(url)).status_code == 200
        for address in ("127.0.0.1", "::1"):
            _, writer = await asyncio.open_connection(address, simulator.port)
            writer.close()


async def test_without_ipv6_the_addresses_of_ipv4_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    async with Simulator(settings(host="::")) as simulator:
        _, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
        writer.close()


async def test_port_in_use_leaves_nothing_open() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        simulator = Simulator(settings(api_port=taken.getsockname()[1]))
        with pytest.raises(OSError, match="in use"):
            await simulator.start()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", simulator.port)


async def test_serve_forever_ends_by_cancelling() -> None:
    simulator = Simulator(settings())
    task = asyncio.ensure_future(simulator.serve_forever())
    await until(lambda: simulator.api_port > 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", simulator.port)


async def test_wait_for_returns_notifications_or_gives_up(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        client.request()
        assert len(await simulator.wait_for(1)) == 1
    with pytest.raises(TimeoutError):
        await simulator.wait_for(2, 0.01)
    assert simulator.clear() == 1


def test_bad_settings_fail_at_once() -> None:
    with pytest.raises(ValueError, match="go together"):
        Simulator(SimulatorSettings(server_certificate=make_ca().certificate_pem))
    with pytest.raises(ChaosError):
        Simulator(settings(chaos=Chaos(errors={Reason.SHUTDOWN: 1.0, Reason.FORBIDDEN: 1.0})))
    with pytest.raises(ssl.SSLError):
        Simulator(settings(client_ca=b"nonsense"))


# ---- TLS


async def test_given_certificate_is_shown() -> None:
    ca = make_ca("mine")
    server = make_server_certificate(ca, ["localhost"])
    options = settings(server_certificate=server.certificate_pem, server_key=server.private_key_pem)
    async with Simulator(options) as simulator:
        trust = ssl.create_default_context(cadata=ca.certificate_pem.decode())
        async with httpx.AsyncClient(
            http2=True, verify=trust, base_url=f"https://localhost:{simulator.port}", trust_env=False
        ) as client:
            assert await status(simulator, client) == 200


async def test_client_authority_of_ones_own() -> None:
    ca = make_ca("mine")
    certificate = make_apns_certificate(ca, [TOPIC])
    async with Simulator(settings(client_ca=ca.certificate_pem)) as simulator:
        async with http_client(simulator, certificate) as client:
            assert await status(simulator, client) == 200
        assert simulator.notifications[0].auth == "certificate"


async def test_foreign_client_certificate_gets_an_alert(simulator: Simulator) -> None:
    foreign = make_apns_certificate(make_ca("foreign"), [TOPIC])
    async with http_client(simulator, foreign) as client:
        with pytest.raises(httpx.TransportError):
            await status(simulator, client)
    assert simulator.stats()["connectionsTotal"] == 0


async def test_connections_without_h2_are_refused(simulator: Simulator) -> None:
    tls = context(simulator, alpn="http/1.1")
    reader, writer = await asyncio.open_connection("localhost", simulator.port, ssl=tls)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.transport.abort()
    assert simulator.stats()["connectionsRefused"] == 1


async def test_tls_1_1_is_refused(simulator: Simulator) -> None:
    tls = context(simulator)
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        tls.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("localhost", simulator.port, ssl=tls)


async def test_connections_are_bounded() -> None:
    async with Simulator(settings(max_connections=1)) as simulator, await RawClient.open(simulator) as first:
        await first.ping()
        async with await RawClient.open(simulator) as second:
            await second.until_closed()
        await first.answers(first.request())
        assert simulator.stats()["connectionsRefused"] == 1
    async with Simulator(settings(max_connections=1)) as simulator:
        async with await RawClient.open(simulator) as first:
            await first.ping()
        await until(lambda: not simulator.stats()["connectionsOpen"])
        async with await RawClient.open(simulator) as second:
            await second.ping()


def test_works_on_uvloop_and_shares_no_code_with_the_dispatcher() -> None:
    program = """
import asyncio, sys, uvloop
from tests.simulator.support import RawClient, settings
from tubepost_simulator import Simulator

async def main():
    async with Simulator(settings()) as simulator, await RawClient.open(simulator) as client:
        await client.answers(client.request())
        simulator.apply_chaos({"stall": "Connection"})
        late = client.request()
        simulator.apply_chaos({"stall": "Off"})
        await client.answers(late)
        simulator.apply_chaos({"now": "GoAway"})
        await client.until(lambda: client.goaways)
    assert len(simulator.accepted) == 2

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
assert not [name for name in sys.modules if name.startswith("tubepost_dispatcher")]
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=50)


async def test_another_port_will_do_where_that_is_allowed() -> None:
    async with Simulator(settings()) as first:
        wanted = settings(api_port=first.api_port, api_port_may_differ=True)
        async with Simulator(wanted) as second:
            assert second.api_port not in {0, first.api_port}
        with pytest.raises(OSError, match="in use"):
            await Simulator(settings(api_port=first.api_port)).start()
