"""Workers and servers killed under load: what was acknowledged is delivered, and no double is uncounted."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.dispatcher.delivery.support import DELIVERED
from tests.dispatcher.store.jetstream.support import Nats
from tests.dispatcher.worker.test_worker_queue_jetstream import Bench, until
from tests.peers.nats_server import NatsCluster, NatsServer
from tubepost_dispatcher.queue import feeder
from tubepost_dispatcher.store.jetstream import holding

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(240),
    # nats-py leaves the socket of a connection to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("own_litter"),
]
RATE = 200
"""Messages per second."""


class Load:
    """Puts into whichever worker is there, and answers for APNs; remembers both."""

    def __init__(self, nats: Nats) -> None:
        self.nats = nats
        self.benches: list[Bench] = []
        self.accepted: set[str] = set()
        self.refused: set[str] = set()
        self.sent: Counter[str] = Counter()
        self.ids: dict[str, set[bytes]] = {}
        self.counted = 0.0
        self.number = 0
        self.slots = 0

    async def worker(self) -> None:
        bench = Bench(self.nats, self.slots)
        self.slots += 1
        await bench.it.opened(60.0)
        self.benches.append(bench)

    async def kill(self, bench: Bench) -> None:
        self.benches.remove(bench)
        await bench.die()
        self.count(bench)

    def count(self, bench: Bench) -> None:
        value = bench.metrics.registry.get_sample_value(
            "tubepost_possible_doubles_total", {"route": "route0"}
        )
        self.counted += value or 0.0

    async def put(self) -> None:
        while True:
            bench = random.choice(self.benches)
            self.number += 1
            number = self.number

            async def one(bench: Bench = bench, number: int = number) -> None:
                with contextlib.suppress(TimeoutError):
                    failure = await bench.put(number)
                    (self.refused if failure else self.accepted).add(f"m{number}")

            task = asyncio.ensure_future(one())
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.sleep(1 / RATE)  # the load

    async def answer(self) -> None:
        while True:
            for bench in list(self.benches):
                for request in bench.pool.requests:
                    what = request.owner.notification
                    self.sent[what.message_id] += 1
                    self.ids.setdefault(what.message_id, set()).add(what.apns_id)
                bench.answer_all(DELIVERED)
            await asyncio.sleep(0.005)  # APNs' time


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases shorter than the kills are apart, and longer than a server is away."""
    monkeypatch.setattr(holding, "LENGTH", 6.0)
    monkeypatch.setattr(holding, "GRACE", 0.5)
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.leases.RENEWED", 1.5)
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.leases.SURE", 4.5)
    monkeypatch.setattr(holding, "SURE", 4.5)
    monkeypatch.setattr(feeder, "SWEEP", 0.5)


@pytest.fixture
async def load() -> AsyncIterator[Load]:
    made = Load(Nats())
    yield made
    for bench in made.benches:
        await bench.it.close()


async def settle(load: Load, answering: asyncio.Task[None]) -> None:
    """All that was acknowledged has been sent, and the stream is empty."""
    await until(lambda: load.accepted <= load.sent.keys())
    bench = load.benches[0]
    await until(lambda: bench.it.queue.queued == 0)
    answering.cancel()
    for one in load.benches:
        load.count(one)


def check(load: Load) -> None:
    assert load.accepted, "nothing was accepted"
    assert load.accepted - load.sent.keys() == set(), "acknowledged, and never sent"
    doubles = sum(count - 1 for count in load.sent.values())
    assert doubles <= load.counted, "sent twice, and not counted"
    assert all(len(ids) == 1 for ids in load.ids.values()), "sent again by another apns-id"


async def test_workers_and_a_server_are_killed(load: Load) -> None:
    with tempfile.TemporaryDirectory() as path, NatsServer(Path(path), "n1") as server:
        load.nats = Nats(server.url)
        for _ in range(3):
            await load.worker()
        putting, answering = asyncio.ensure_future(load.put()), asyncio.ensure_future(load.answer())
        for round_ in range(4):
            before = len(load.accepted)
            await until(lambda before=before: len(load.accepted) > before + 100)  # type: ignore[misc]
            if round_ % 2:
                server.kill()
                await asyncio.get_running_loop().run_in_executor(None, server.start)
            else:
                await load.kill(load.benches[0])
                await load.worker()
        putting.cancel()
        await settle(load, answering)
        check(load)


async def test_one_of_three_servers_is_killed(load: Load) -> None:
    with tempfile.TemporaryDirectory() as path, NatsCluster(Path(path)) as cluster:
        load.nats = Nats(*cluster.urls)
        settings = load.nats.settings
        load.nats.settings = lambda **values: settings(replicas=3, **values)  # type: ignore[method-assign]
        for _ in range(2):
            await load.worker()
        assert load.benches[0].it.warnings == ()
        putting, answering = asyncio.ensure_future(load.put()), asyncio.ensure_future(load.answer())
        loop = asyncio.get_running_loop()
        for _ in range(2):
            before = len(load.accepted)
            await until(lambda before=before: len(load.accepted) > before + 100)  # type: ignore[misc]
            victim = await loop.run_in_executor(None, cluster.leader, settings().stream)
            victim.kill()
            before = len(load.accepted)
            await until(lambda before=before: len(load.accepted) > before + 100)  # type: ignore[misc]
            await loop.run_in_executor(None, victim.start)
        putting.cancel()
        await settle(load, answering)
        check(load)
