"""A nats-server for the stores on it: one for all tests of a process, a stream for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dispatcher.store.jetstream.support import Nats
from tests.peers.nats_server import NatsServer


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer(tmp_path_factory.mktemp("nats"), "n1") as server:
        yield server


@pytest.fixture
def nats(nats_server: NatsServer) -> Nats:
    return Nats(nats_server.url)
