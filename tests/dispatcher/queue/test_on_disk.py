"""The queue on real partitions, on a real event loop: restarts, other owners, disks that fail."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import apsw

from tests.dispatcher.delivery.support import DELIVERED, NAME, FakePool, Told, notification
from tests.dispatcher.queue.support import domains_of, routed
from tests.dispatcher.store.support import Disk, eventually, failing
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.queue.queue import Queue
from tubepost_dispatcher.reasons.catalogue import local_outcome
from tubepost_dispatcher.store.disk import DiskStore
from tubepost_dispatcher.store.port import Failure


class Site:
    """A queue in a directory, and what became of what was put."""

    def __init__(self, path: Path, disk: Disk | None = None, **values: Any) -> None:
        self.pool = FakePool()
        self.domain = routed("a", self.pool)
        self.told = Told()
        self.acknowledged: set[str] = set()
        self.refused: list[Failure] = []
        table, metrics = domains_of({NAME: self.domain}), Metrics()
        deliverer = Deliverer(table, (self.told.listener,), metrics)

        def open_store(slot: int) -> DiskStore:
            return DiskStore(path / f"{slot:02d}", reserve=0, vfs=disk.name if disk else "")

        self.queue = Queue(deliverer, table, metrics, open_store=open_store, **values)

    def put(self, *numbers: int) -> None:
        items = [
            (
                notification(number, sender=f"{'stuvwx'[number % 6]}@x.example", accepted_at=time.time()),
                self.domain,
            )
            for number in numbers
        ]

        def done(failure: Failure | None) -> None:
            if failure is None:
                self.acknowledged.update(f"m{number}" for number in numbers)
            else:
                self.refused.append(failure)

        self.queue.put(items, done)

    async def put_all(self, count: int, first: int = 0) -> None:
        answered = len(self.acknowledged) + len(self.refused)
        for number in range(first, first + count):
            self.put(number)
            if not number % 50:
                await asyncio.sleep(0)
        await eventually(lambda: len(self.acknowledged) + len(self.refused) == answered + count)

    async def deliver(self, count: int) -> None:
        """Answer until so many have ended."""

        def answered() -> bool:
            while self.pool.requests:
                self.pool.answer(DELIVERED)
            return len(self.told.ends) >= count

        await eventually(answered)

    async def close(self) -> None:
        await self.queue.drain(0.0)
        await self.queue.close()


async def test_a_backlog_of_many_lanes_survives_and_ends_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await eventually(lambda: site.queue.slots[0].opened)
    await site.put_all(400)
    while site.pool.requests:
        site.pool.answer(local_outcome("ConnectionLost"))
    site.pool.held_until = float("inf")
    await site.put_all(1_600, first=400)
    assert len(site.acknowledged) == 2_000
    await site.close()
    assert site.told.ends == []
    after = Site(tmp_path)
    await eventually(lambda: after.queue.queued == 2_000)
    tried = {name for name, _ in site.told.attempts}
    await after.deliver(2_000 - len(tried))
    ends = Counter(name for name, _ in after.told.ends)
    assert set(ends) == site.acknowledged - tried, "those that were tried have their time"
    assert set(ends.values()) == {1}
    await eventually(lambda: after.queue.queued == len(tried))
    assert after.queue.active == 0
    await after.close()


async def test_a_partition_that_another_queue_has_comes_when_that_lets_go(tmp_path: Path) -> None:
    first = Site(tmp_path)
    await first.put_all(10)
    second = Site(tmp_path, slot=1, adopted=(0,))
    await second.put_all(5, first=100)
    await second.deliver(5)
    assert {name for name, _ in second.told.ends} == second.acknowledged
    await first.close()
    await second.deliver(15)
    assert {name for name, _ in second.told.ends} == first.acknowledged | second.acknowledged
    second.queue.adopt(())
    third = Site(tmp_path)
    await eventually(lambda: third.queue.failure is None)
    await third.put_all(1, first=200)
    await third.deliver(1)
    await second.close()
    await third.close()


async def test_a_disk_that_fails_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    disk = Disk()
    site = Site(tmp_path, disk)
    site.pool.held_until = float("inf")
    await site.put_all(300)
    disk.on_sync = failing(apsw.IOError, apsw.SQLITE_IOERR_FSYNC, only="-wal", times=1)
    site.put(900)
    await eventually(lambda: bool(site.refused))
    await site.put_all(100, first=1_000)
    assert site.queue.failure is None
    site.pool.held_until = 0.0
    site.queue.feed_soon()
    await site.deliver(1)
    await eventually(lambda: site.queue.slots[0].store.figures.quarantined == 0)
    site.queue.feed_soon()
    await site.deliver(len(site.acknowledged))
    ends = Counter(name for name, _ in site.told.ends)
    assert site.acknowledged <= set(ends)
    assert set(ends) - site.acknowledged <= {"m900"}
    assert set(ends.values()) == {1}
    await eventually(lambda: site.queue.queued == 0)
    await site.close()
