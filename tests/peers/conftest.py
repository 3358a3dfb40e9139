"""Credentials, servers and pools for the tests against programs of other makes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.sender import Sender
from tubepost_api.config import RouteConfig
from tubepost_credentials.throwaway import make_ca, make_server_certificate, make_token_key
from tubepost_credentials.token import load_token
from tubepost_dispatcher.apns.pool import Pool, PoolOptions
from tubepost_dispatcher.metrics import Metrics

MakeSender = Callable[..., Sender]


@dataclass(frozen=True)
class Tls:
    """A throw-away authority and a server certificate of it for `localhost` and 127.0.0.1."""

    ca: Path
    certificate: Path
    key: Path
    token_key: bytes

    @property
    def ca_pem(self) -> bytes:
        return self.ca.read_bytes()


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    directory = tmp_path_factory.mktemp("tls")
    authority = make_ca()
    server = make_server_certificate(authority, ["localhost", "127.0.0.1"])
    made = Tls(directory / "ca.pem", directory / "cert.pem", directory / "key.pem", make_token_key())
    made.ca.write_bytes(authority.certificate_pem)
    made.certificate.write_bytes(server.certificate_pem)
    made.key.write_bytes(server.private_key_pem)
    return made


@pytest.fixture
async def apns_pool(tls: Tls) -> AsyncIterator[MakeSender]:
    """Make pools towards a port of this machine: `apns_pool(port, max_connections=2)`. Closed at the end."""
    async with contextlib.AsyncExitStack() as stack:

        def make(port: int, **options: float) -> Sender:
            route = RouteConfig(name="peer", environment=None, host="localhost", port=port)
            credential = load_token(tls.token_key, b"ABCDE12345", b"FGHIJ67890")
            chosen = PoolOptions(**{"connect_timeout": 10.0, **options})  # type: ignore[arg-type]  # counts are ints
            pool = Pool(route, credential, tls.ca_pem, None, chosen, Metrics())
            stack.push_async_callback(pool.close, 1.0)
            return Sender(pool)

        yield make
