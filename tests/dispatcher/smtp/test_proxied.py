from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.dispatcher.smtp.conftest import Runner
from tests.dispatcher.smtp.support import FakeTransport, Recorder, deliver, listener, running
from tests.support.loop import FakeLoop
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.smtp import proxied
from tubepost_dispatcher.smtp.config import EffectiveConfig
from tubepost_dispatcher.smtp.listener import ListenerState
from tubepost_dispatcher.smtp.proxied import HEADER_TIMEOUT, ProxiedConnection

HEADER = b"PROXY TCP4 203.0.113.9 198.51.100.1 4711 25\r\n"
BALANCER = ("198.51.100.7", 1234)


class Transport(FakeTransport):
    """Its protocol can be exchanged."""

    protocol: Any = None

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


class Connection:
    """One connection of a listener that trusts a load balancer's network."""

    def __init__(self, peer: tuple[str, int] = BALANCER, networks: tuple[str, ...] = ()) -> None:
        config = listener(networks=networks).model_copy(update={"proxy_networks": ("198.51.100.0/24",)})
        self.metrics = Metrics()
        self.loop: Any = FakeLoop()
        self.state = ListenerState(EffectiveConfig(config, Recorder()), self.metrics, None, 0.0)
        self.transport: Any = Transport(peer)
        self.connection = ProxiedConnection(self.state, self.loop)
        self.connection.connection_made(self.transport)

    @property
    def said(self) -> bytes:
        return b"".join(self.transport.writes)

    @property
    def client(self) -> tuple[str, int]:
        facts = self.transport.protocol._smtp.facts
        return facts.remote_ip, facts.remote_port


def test_the_client_is_whom_the_header_names() -> None:
    it = Connection()
    for octet in HEADER[:-1]:
        it.connection.data_received(bytes([octet]))
    # Nobody is greeted before it is known who it is.
    assert it.said == b""
    it.connection.data_received(HEADER[-1:])
    assert it.said.startswith(b"220 ")
    assert it.client == ("203.0.113.9", 4711)
    assert (it.state.awaiting_header, len(it.state.sessions)) == (0, 1)


def test_allowed_networks_are_the_clients() -> None:
    inside = Connection(networks=("203.0.113.0/24",))
    inside.connection.data_received(HEADER)
    assert inside.said.startswith(b"220 ")
    outside = Connection(networks=("192.0.2.0/24", "198.51.100.0/24"))
    outside.connection.data_received(HEADER)
    assert outside.said.startswith(b"554 ")


def test_a_connection_of_the_load_balancers_own() -> None:
    it = Connection()
    it.connection.data_received(b"PROXY UNKNOWN\r\n")
    assert it.client == BALANCER


def test_who_is_not_trusted_cannot_choose_an_address() -> None:
    it = Connection(peer=("192.0.2.9", 5))
    assert it.said.startswith(b"220 ")
    assert it.client == ("192.0.2.9", 5)
    it.transport.protocol.data_received(HEADER)
    assert b"554 5.5.1 PROXY protocol header not supported" in it.said
    assert it.transport.closed


@pytest.mark.parametrize(
    "data", [b"EHLO client.example\r\n", b"\x16\x03\x01\x00", b"PROXY TCP4 nonsense\r\n"]
)
def test_what_is_no_header_is_refused(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    it = Connection()
    with caplog.at_level(logging.INFO):
        it.connection.data_received(data)
    assert it.said.startswith(b"421 4.3.2 PROXY protocol header expected")
    assert it.transport.closed
    assert "ProxyHeaderExpected" in caplog.text
    assert BALANCER[0] in caplog.text
    assert it.metrics.registry.get_sample_value(
        "tubepost_smtp_rejections_total", {"stage": "connect", "code": "421"}
    )
    # What still comes is nobody's.
    it.connection.data_received(HEADER)
    assert it.transport.protocol is None
    assert it.state.awaiting_header == 0


def test_a_header_that_does_not_come_is_not_waited_for() -> None:
    it = Connection()
    it.connection.data_received(HEADER[:10])
    it.loop.advance(HEADER_TIMEOUT + 0.1)
    assert it.said.startswith(b"421 4.3.2 PROXY protocol header expected")
    assert it.state.awaiting_header == 0


def test_a_probe_that_connects_and_leaves_is_nothing() -> None:
    it = Connection()
    assert it.connection.eof_received() is False
    it.connection.connection_lost(None)
    it.loop.advance(HEADER_TIMEOUT + 0.1)
    assert (it.said, it.state.awaiting_header) == (b"", 0)


def test_those_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxied, "MAX_WAITING", 1)
    it = Connection()
    second: Any = Transport(BALANCER)
    ProxiedConnection(it.state, it.loop).connection_made(second)
    assert b"".join(second.writes).startswith(b"421 ")
    it.connection.data_received(HEADER)
    third: Any = Transport(BALANCER)
    ProxiedConnection(it.state, it.loop).connection_made(third)
    assert third.writes == []


def test_on_real_connections(run: Runner) -> None:
    async def main() -> None:
        config = listener().model_copy(update={"proxy_networks": ("127.0.0.0/8",)})
        async with running(config) as it:
            client = await it.client()
            await client.send(HEADER)
            assert (await client.reply()).startswith(b"220 ")
            assert (await client.command(b"EHLO client.example")).startswith(b"250")
            await deliver(client)
            (transaction,) = it.acceptance.accepted
            assert transaction.session.remote_ip == "203.0.113.9"
            # Health checks of the load balancer.
            _, writer = await asyncio.open_connection("127.0.0.1", it.port)
            writer.close()
            other = await it.client()
            await other.send(b"QUIT\r\n")
            assert (await other.rest()).startswith(b"421 4.3.2 PROXY")

    run(main())
