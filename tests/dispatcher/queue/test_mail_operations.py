"""Mails that follow notifications are listed, traced, flushed, held and dropped, in memory and on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.dispatcher.delivery.support import DEAD, NAME, FakePool, Told, domain, domains
from tests.dispatcher.queue.mail_support import DOWN, GREYLISTED, TAKEN, FakeRelay
from tests.dispatcher.queue.test_operations import NOTE, Bench
from tests.dispatcher.store.support import eventually
from tubepost_dispatcher.bounces.reports import Reports
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.partitions import partition_path
from tubepost_dispatcher.queue.groups import RELAY
from tubepost_dispatcher.queue.journal import Journal
from tubepost_dispatcher.queue.operations import Operations
from tubepost_dispatcher.queue.queue import Queue
from tubepost_dispatcher.queue_request import Action, Selection


class MailBench(Bench):
    """A queue whose relay answers when a test says so."""

    def __init__(self, directory: Path | None) -> None:
        self.pool = FakePool()
        self.told = Told()
        self.domain = domain(self.pool)
        self.table = domains(self.domain)
        self.metrics = Metrics()
        self.relay = FakeRelay()
        reports = Reports()
        reports.swap("mx.example", relay=True)
        self.journal = Journal(None if directory is None else partition_path(directory, 0))
        deliverer = Deliverer(self.table, (self.told.listener, self.journal), self.metrics)
        self.queue = Queue(
            deliverer,
            self.table,
            self.metrics,
            directory=directory,
            journal=self.journal,
            reports=reports,
            sender=self.relay,
        )
        self.operations = Operations(self.queue, self.journal, directory)
        self.store = self.queue.slots[0].store

    async def failed(self, number: int) -> None:
        """One that APNs has refused for good, and whose report the relay has."""
        await self.put(number)
        before = len(self.relay.mails)
        self.pool.answer(DEAD)
        await eventually(lambda: len(self.relay.mails) == before + 1)


@pytest.fixture(params=["memory", "disk"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MailBench]:
    made = MailBench(None if request.param == "memory" else tmp_path)
    yield made
    await made.close()


async def test_a_mail_is_listed_as_what_it_is(bench: MailBench) -> None:
    await bench.failed(1)
    (one,) = await bench.listed()
    assert (one.kind, one.state, one.message_id, one.route) == ("bounce", "active", "m1", RELAY)
    assert (one.domain, one.sender, one.recipient) == (NAME, "", "a@b.example")
    assert one.apns_id == "00000000-0000-4000-8000-000000000001"
    assert (one.attempts, one.token_prefix) == (0, "")
    assert one.size > 1_000
    bench.relay.answer(GREYLISTED)
    (one,) = await bench.listed(Selection(route=RELAY))
    assert (one.state, one.attempts, one.reason) == ("waiting", 1, "RelayDeferred")


async def test_a_flush_makes_it_due(bench: MailBench) -> None:
    await bench.failed(1)
    assert (await bench.do("change", action=Action.FLUSH, note=NOTE)).looked_at == 1
    bench.relay.answer(GREYLISTED)
    await bench.change(Action.FLUSH)
    await eventually(lambda: bench.relay.mails)
    bench.relay.answer(TAKEN)
    await eventually(lambda: bench.queue.queued == 0)
    lines = (await bench.do("trace", Selection(ids=("m1",)))).lines
    assert [(line["event"], line["outcome"]) for line in lines] == [
        ("ended", "permanent"),
        ("bounce", "transient"),
        ("bounce", "delivered"),
    ]


async def test_a_hold_meets_one_that_is_on_its_way(bench: MailBench) -> None:
    await bench.failed(1)
    result = await bench.change(Action.HOLD)
    assert result.under_way == 1
    bench.relay.answer(DOWN)
    (one,) = await bench.listed()
    assert (one.state, one.hold, one.due) == ("held", NOTE, None)
    await bench.change(Action.RELEASE)
    await eventually(lambda: bench.relay.mails)


async def test_a_drop_ends_it_and_that_is_counted(bench: MailBench) -> None:
    await bench.failed(1)
    bench.relay.answer(GREYLISTED)
    await bench.change(Action.DROP)
    await eventually(lambda: bench.queue.queued == 0)
    assert bench.metrics.bounces.labels("bounce", "dropped")._value.get() == 1
    (*_, line) = (await bench.do("trace", Selection(ids=("m1",)))).lines
    assert (line["event"], line["reason"]) == ("bounce", "Dropped")


async def test_what_an_operator_drops_is_reported(bench: MailBench) -> None:
    bench.pool.held_until = 1e12
    bench.queue.swap(bench.table)
    await bench.deferred(1)
    await bench.change(Action.DROP)
    await eventually(lambda: bench.relay.mails)
    assert b"X-Tubepost; Dropped (dropped by an operator, 2026" in bench.relay.mails[0][0].content
