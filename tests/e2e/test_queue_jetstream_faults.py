"""What lies between a dispatcher and its stream fails under load: what got its 250 arrives, the rest is refused in words.

`TUBEPOST_PARTITION_SECONDS` makes partitions longer: beyond a minute others may have what a worker had.
"""

from __future__ import annotations

import asyncio
import os
import smtplib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client

from tests.e2e.app import Dispatcher, wait_until
from tests.e2e.injector import Injector
from tests.e2e.queue_site import QueueSite, answered
from tests.e2e.test_queue_disk import readiness
from tests.e2e.test_queue_jetstream import PATIENCE, RATE, SESSIONS, doubles, more, settle, site_of
from tests.peers.nats_server import NatsServer
from tests.peers.proxy import Proxy, Way
from tests.peers.servers import GoPeer

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("queue-faults"), pytest.mark.timeout(600)]

SECONDS = float(os.environ.get("TUBEPOST_PARTITION_SECONDS", "0"))
STREAM = "TUBEPOST_DEFAULT_ALERTS"


class Run:
    """A dispatcher under load, with what it talks to."""

    def __init__(
        self, site: QueueSite, proxy: Proxy, peer: GoPeer, dispatcher: Dispatcher, injector: Injector
    ) -> None:
        self.site = site
        self.proxy = proxy
        self.peer = peer
        self.dispatcher = dispatcher
        self.injector = injector

    def refused(self, code: int, count: int = 20) -> None:
        """Wait until so many more were refused so."""
        enough = self.injector.replies[code] + count
        wait_until(lambda: self.injector.replies[code] >= enough, PATIENCE)

    def ready(self) -> None:
        """Wait until it is, and messages flow."""
        wait_until(lambda: readiness(self.dispatcher) == "ok", PATIENCE)
        more(self.injector, 50)

    def loop_turns(self) -> None:
        """A session is greeted, and answered, whatever NATS does."""
        with smtplib.SMTP("127.0.0.1", self.site.smtp_port, timeout=60) as client:
            assert client.noop()[0] == 250


@contextmanager
def under_load(site: QueueSite, server: NatsServer, codes: set[int]) -> Iterator[Run]:
    """Messages flow through a proxy; in the end all that were accepted have arrived."""
    with Proxy(server.client.port) as proxy:
        site.spec["queue"]["jetStream"]["servers"] = [f"nats://127.0.0.1:{proxy.port}"]
        with site.peer() as peer, site.dispatcher() as dispatcher:
            with Injector(site.smtp_port, SESSIONS, rate=RATE) as injector:
                run = Run(site, proxy, peer, dispatcher, injector)
                run.ready()
                yield run
                run.ready()
                settle(injector, peer, dispatcher, lambda again: again <= doubles(dispatcher))
            assert dispatcher.stop() == 0
    assert set(injector.replies) <= codes, injector.texts


def test_a_partition_in_one_direction_and_in_both(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as server:
        site = site_of(tmp_path / "site", [], 1)
        with under_load(site, server, {451}) as run:
            for ways in ((Way.BACK,), (Way.THERE, Way.BACK)):
                run.proxy.silence(*ways)
                since = time.monotonic()
                run.refused(451, SESSIONS)
                assert "NATS" in run.injector.texts[451], run.injector.texts
                run.loop_turns()
                wait_until(lambda since=since: time.monotonic() - since >= SECONDS, PATIENCE)  # type: ignore[misc]
                if Way.THERE in ways:
                    wait_until(lambda: readiness(run.dispatcher) != "ok", PATIENCE)
                run.proxy.heal()
                run.ready()
            for _ in range(5):
                run.proxy.cut()
                more(run.injector, SESSIONS)


def test_acknowledgements_that_come_late(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as server:
        site = site_of(tmp_path / "site", [], 1)
        with under_load(site, server, {451}) as run:
            # So late that a request is made twice before it is answered.
            run.proxy.delay = 4.0
            more(run.injector, SESSIONS)
            assert not run.injector.replies
            run.loop_turns()
            # So late that nobody waits for them: each is refused, and not left behind.
            run.proxy.delay = 30.0
            run.refused(451, SESSIONS)
            assert "NATS" in run.injector.texts[451], run.injector.texts
            run.loop_turns()
            run.proxy.delay = 0.0


def test_a_stream_that_fills_up_and_has_room_again(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as server:
        site = site_of(tmp_path / "site", [], 1)
        site.spec["queue"]["jetStream"]["maxBytes"] = "128Ki"
        site.spec["delivery"] = {"retryInterval": "1s", "maxRetryInterval": "2s"}
        with under_load(site, server, {452}) as run:
            run.peer.go_down()
            run.refused(452)
            assert "The queue is full" in run.injector.texts[452]
            wait_until(lambda: "bytes" in readiness(run.dispatcher), PATIENCE)
            run.peer.come_up()


def test_a_stream_that_is_deleted_under_its_dispatcher(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as server:
        site = site_of(tmp_path / "site", [], 1)
        with under_load(site, server, {451}) as run:
            before = len(answered(run.peer))
            asyncio.run(delete(server))
            wait_until(lambda: "stream not found" in run.dispatcher.output(), PATIENCE)
            wait_until(lambda: len(answered(run.peer)) > before + 50, PATIENCE)
            assert run.dispatcher.output().count("making stream") == 2


async def delete(server: NatsServer) -> None:
    """Remove the stream, as an operator of NATS may."""
    client = Client()
    await client.connect(server.url)
    await client.jetstream().delete_stream(STREAM)
    await client.close()
