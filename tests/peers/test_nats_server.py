"""nats-server itself: that it does what the tests of the queue on JetStream rely on."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import nats
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from tests.peers.conftest import Tls
from tests.peers.nats_credentials import USER, Decentral, NKey
from tests.peers.nats_server import PATIENCE, NatsCluster, NatsServer

T = TypeVar("T")

pytestmark = [
    pytest.mark.peer,
    # nats-py leaves the socket of a connection that was refused or cut to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("own_litter"),
]


async def _quiet(_: Exception) -> None:
    """Errors of a connection that a test breaks are told by what fails then."""


@contextlib.asynccontextmanager
async def connected(
    servers: str | list[str], key: NKey | None = None, **options: Any
) -> AsyncIterator[Client]:
    options = {"allow_reconnect": False, "error_cb": _quiet, **options}
    client = Client()
    if key is not None:  # nats-py would ask the package nkeys for it
        client._public_nkey = key.public
        options["signature_cb"] = key.signature
    await client.connect(servers, connect_timeout=30, **options)
    try:
        yield client
    finally:
        await client.close()


async def soon(what: Callable[[JetStreamContext], Awaitable[T]], server: NatsServer) -> T:
    """Ask until there is an answer: a cluster may have no leader at first."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(nats.errors.Error):
                async with connected(server.url) as client:
                    return await what(client.jetstream(timeout=10))
            await asyncio.sleep(0.05)  # another process has no Event


async def published(server: NatsServer, text: str) -> None:
    await soon(lambda js: js.publish("s.a", text.encode(), headers={"Nats-Msg-Id": text}), server)


async def last(server: NatsServer, subject: str = "s.a") -> str:
    found = await soon(lambda js: js.get_last_msg("s", subject), server)
    return (found.data or b"").decode()


async def made(server: NatsServer, **options: Any) -> None:
    await soon(lambda js: js.add_stream(StreamConfig(name="s", subjects=["s.>"], **options)), server)


async def test_a_killed_server_comes_back_on_its_port_with_what_it_had(tmp_path: Path) -> None:
    with NatsServer(tmp_path, sync_interval="always") as server:
        assert server.monitor("jsz?config=true")["config"]["sync_always"]
        url = server.url
        await made(server)
        for text in "abc":
            await published(server, text)
            server.kill()
            assert not server.running
            server.start()
            assert await last(server) == text
        assert server.url == url


async def test_a_message_comes_at_its_time(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as server:
        await made(server, allow_msg_schedules=True)
        headers = {"Nats-Schedule": "@at 2020-01-01T00:00:00Z", "Nats-Schedule-Target": "s.ready"}
        await soon(lambda js: js.publish("s.later.1", b"x", headers=headers), server)
        assert await last(server, "s.ready") == "x"


async def test_a_server_with_tls_and_a_user(tmp_path: Path, tls: Tls) -> None:
    access = 'authorization { user: tubepost, password: "not-a-secret-1" }'
    with NatsServer(tmp_path, tls=(tls.certificate, tls.key), access=access) as server:
        context = ssl.create_default_context(cafile=str(tls.ca))
        account = {"user": "tubepost", "password": "not-a-secret-1"}
        async with connected(server.url, tls=context, **account) as client:
            assert client.is_connected
        await refused(server.url, tls=context)


async def refused(url: str, **options: Any) -> None:
    with pytest.raises(nats.errors.Error):
        async with connected(url, **options):
            pass


async def test_a_server_with_an_nkey_that_changes(tmp_path: Path) -> None:
    keys = [NKey.make(USER), NKey.make(USER)]
    with NatsServer(tmp_path, access=f"authorization {{ users: [{{ nkey: {keys[0].public} }}] }}") as server:
        async with connected(server.url, keys[0]):
            pass
        server.access = f"authorization {{ users: [{{ nkey: {keys[1].public} }}] }}"
        server.reload()
        async with connected(server.url, keys[1]):
            pass
        await refused(server.url, key=keys[0])


async def test_a_server_with_accounts(tmp_path: Path) -> None:
    issuer = Decentral()
    token, user = issuer.user()
    with NatsServer(tmp_path / "n1", access=issuer.configuration()) as server:
        async with connected(server.url, user, user_jwt_cb=token.encode) as client:
            assert (await client.jetstream().account_info()).limits.max_streams == -1
        await refused(server.url)


async def test_a_cluster_goes_on_without_its_leader(tmp_path: Path) -> None:
    with NatsCluster(tmp_path) as cluster:
        await made(cluster.servers[0], num_replicas=3)
        await published(cluster.servers[0], "all")
        gone = cluster.leader("s")
        gone.kill()
        await published(cluster.others(gone)[0], "two")
        gone.start()
        silent = cluster.leader("s")
        silent.stop()
        await published(cluster.others(silent)[0], "silence")
        silent.cont()
        assert await last(silent) == "silence"
