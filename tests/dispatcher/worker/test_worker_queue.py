from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.delivery.support import DELIVERED, FakePool, domain, domains, notification
from tests.dispatcher.queue.mail_support import TAKEN, FakeRelay
from tubepost_api.config import DeliveryConfig, DeliveryMode, QueueConfig
from tubepost_dispatcher.bounces.relay_sender import RelaySender
from tubepost_dispatcher.bounces.reports import Reports
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.follow_up import OutgoingMail
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.queue import leaving
from tubepost_dispatcher.queue.journal import Journal
from tubepost_dispatcher.queue.lanes import Turns
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.store.port import Failure
from tubepost_dispatcher.worker import worker_queue as module
from tubepost_dispatcher.worker.worker_queue import WorkerQueue


class Bench:
    def __init__(
        self,
        directory: Path,
        *,
        persistent: bool,
        mode: DeliveryMode = DeliveryMode.DELIVER,
        relay: Any = None,
    ) -> None:
        reports = Reports()
        reports.swap("mx.example", relay=relay is not None)
        self.pool = FakePool()
        self.domain = domain(self.pool, options=DeliveryConfig(mode=mode))
        journal = Journal(None)
        metrics = Metrics()
        self.deliverer = Deliverer(domains(self.domain), (journal,), metrics)
        self.it = WorkerQueue(
            directory,
            0,
            self.deliverer,
            domains(self.domain),
            metrics,
            journal,
            QueueConfig(persistent=persistent),
            1,
            reports,
            relay or RelaySender(),
        )

    async def put(self, *numbers: int) -> None:
        assert await self.answer(*numbers) is None

    async def answer(self, *numbers: int) -> Failure | None:
        answer: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()
        items = [(notification(number, accepted_at=4e9), self.domain) for number in numbers]
        self.it.bounded.put(items, answer.set_result)
        async with asyncio.timeout(20):
            return await answer


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a bounded poll
            await asyncio.sleep(0.01)


async def test_what_is_left_on_a_volume_of_the_pod_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NAMED", 2)
    it = Bench(tmp_path, persistent=False, mode=DeliveryMode.SUSPEND)
    await it.put(1, 2, 3)
    await it.it.drain(5.0, last=True)
    await it.it.close()
    assert "3 notifications left on a volume that goes with its pod (apn_example.com: 3)" in caplog.text
    assert "Remedy: give spec.queue.disk a claim" in caplog.text
    assert "left behind, the first 2 messages: m1, m2\n" in caplog.text


class Relay(FakeRelay):
    """Takes everything, or nothing while it is held."""

    configured = True

    def send(self, mail: OutgoingMail, done: Callable[[Reply], None]) -> None:
        self.mails.append((mail, done))
        asyncio.get_running_loop().call_soon(done, TAKEN)


async def test_senders_are_told_of_what_goes_with_the_volume(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "AT_ONCE", 2)
    relay = Relay()
    it = Bench(tmp_path, persistent=False, mode=DeliveryMode.SUSPEND, relay=relay)
    await it.put(1, 2, 3, 4, 5)
    silent = notification(6, accepted_at=4e9, sender="")
    it.it.bounded.put([(silent, it.domain)], lambda failure: None)
    await it.it.drain(20.0, last=True)
    await it.it.close()
    assert sorted(mail.message_id for mail, _ in relay.mails) == ["m1", "m2", "m3", "m4", "m5"]
    assert b"554" not in relay.mails[0][0].content
    assert b"X-Tubepost; QueueGone (the pod has to go" in relay.mails[0][0].content
    assert "5 notifications not delivered, since the volume goes; the senders are told" in caplog.text
    assert "1 notification left on a volume" in caplog.text


async def test_a_relay_that_takes_nothing_is_told_nothing_and_all_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    relay = Relay()
    relay.held_until = float("inf")
    it = Bench(tmp_path, persistent=False, mode=DeliveryMode.SUSPEND, relay=relay)
    await it.put(1, 2)
    await it.it.drain(5.0, last=True)
    await it.it.close()
    assert relay.mails == []
    assert "2 notifications left on a volume" in caplog.text


async def test_what_has_a_successor_is_not_reported(tmp_path: Path) -> None:
    relay = Relay()
    it = Bench(tmp_path, persistent=True, mode=DeliveryMode.SUSPEND, relay=relay)
    await it.put(1)
    await it.it.drain(5.0, last=False)
    await it.it.close()
    assert relay.mails == []


@pytest.mark.parametrize("persistent", [True, False])
async def test_what_is_left_to_a_successor_is_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, persistent: bool
) -> None:
    it = Bench(tmp_path, persistent=persistent)
    await it.put(1, 2)
    await until(lambda: len(it.pool.requests) == 2)
    async with asyncio.timeout(10):
        await it.it.drain(0.1, last=False)
    await it.it.close()
    assert it.pool.requests == []
    assert "left" not in caplog.text
    after = Bench(tmp_path, persistent=True)
    await until(lambda: len(after.pool.requests) == 2)
    await after.it.drain(0.0, last=True)
    await after.it.close()


async def test_a_volume_of_the_pod_is_emptied_as_far_as_time_allows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tubepost_dispatcher.queue.feeder.Turns", partial(Turns, 2))
    it = Bench(tmp_path, persistent=False)
    await it.put(*range(10))
    draining = asyncio.create_task(it.it.drain(20.0, last=True))
    for _ in range(10):
        await until(lambda: it.pool.requests)
        it.pool.answer(DELIVERED)
    async with asyncio.timeout(15):
        await draining
    assert it.it.queue.queued == 0
    await it.it.close()
    assert "left" not in caplog.text


async def test_a_pod_that_retires_for_claims_is_emptied_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    it = Bench(tmp_path, persistent=False, mode=DeliveryMode.SUSPEND)
    await it.put(1)
    assert it.it.problems == {0: ""}
    it.it.swap(domains(it.domain), QueueConfig(persistent=True), 1)
    async with asyncio.timeout(10):
        await it.it.drain(0.1, last=True)
    await it.it.close()
    assert "1 notification left" in caplog.text
    assert "Remedy: give pods more time to end" in caplog.text


async def test_bounds_and_reserve_are_those_of_the_configuration_in_force(tmp_path: Path) -> None:
    it = Bench(tmp_path, persistent=True, mode=DeliveryMode.SUSPEND)

    async def answer_with(number: int, **config: int) -> str:
        it.it.swap(domains(it.domain), QueueConfig(persistent=True, **config), 2)
        failure = await it.answer(number)
        return failure.text if failure is not None else ""

    await it.put(1, 2)
    await until(lambda: it.it.queue.queued == 2)
    assert "2 notifications are queued, 2 is this worker's share" in await answer_with(3, max_messages=3)
    assert "share of maxSize" in await answer_with(4, max_bytes=2)
    assert "1152921504606846976 are kept in reserve" in await answer_with(5, reserve=2**60)
    assert await answer_with(6, reserve=0) == ""
    assert await answer_with(7) == ""
    await it.it.drain(0.0, last=True)
    await it.it.close()


@pytest.mark.pure
async def test_a_disk_that_hangs_does_not_keep_the_worker_from_ending(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_PATIENCE", 0.05)
    it = Bench(tmp_path, persistent=True)
    await it.put(1)
    store = it.it.queue.slots[0].store
    close = store.close
    monkeypatch.setattr(store, "close", lambda done: None)
    async with asyncio.timeout(10):
        await it.it.close()
    assert "its disk has not answered" in caplog.text
    closed = asyncio.Event()
    close(closed.set)
    await closed.wait()
