"""Steps on a real loop, over a store in memory and one on disk."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.delivery.support import (
    BUSY,
    DEAD,
    DELIVERED,
    NAME,
    FakePool,
    Told,
    domain,
    domains,
    notification,
)
from tests.dispatcher.store.support import all_of, eventually, told
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.partitions import partition_path
from tubepost_dispatcher.queue import operations as module
from tubepost_dispatcher.queue.journal import Journal
from tubepost_dispatcher.queue.operations import Operations
from tubepost_dispatcher.queue.queue import Queue
from tubepost_dispatcher.queue_request import Action, Selection
from tubepost_dispatcher.queue_step import Queued, Step, StepResult
from tubepost_dispatcher.store.memory import MemoryStore
from tubepost_dispatcher.store.port import Entry, Failure, entry

NOTE = "2026-11-30T12:00Z alice: why"
TOKEN = "ab" * 32


class Bench:
    """A queue whose pool answers when a test says so."""

    def __init__(self, directory: Path | None) -> None:
        self.pool = FakePool()
        self.told = Told()
        self.domain = domain(self.pool)
        table, metrics = domains(self.domain), Metrics()
        self.journal = Journal(None if directory is None else partition_path(directory, 0))
        deliverer = Deliverer(table, (self.told.listener, self.journal), metrics)
        self.queue = Queue(deliverer, table, metrics, directory=directory, journal=self.journal)
        self.operations = Operations(self.queue, self.journal, directory)
        self.store = self.queue.slots[0].store

    async def put(self, *numbers: int, **values: Any) -> None:
        """Put, and wait until delivery has them."""
        answers: list[Failure | None] = []
        before = len(self.pool.requests)
        values.setdefault("accepted_at", time.time())
        items = [(notification(number, **values), self.domain) for number in numbers]
        self.queue.put(items, answers.append)
        await eventually(lambda: len(self.pool.requests) == before + len(numbers))
        assert answers == [None]

    async def stored(self, *entries: Entry) -> list[int]:
        """Put into the store alone."""
        keys = await told(self.store.put, entries, take=False)
        assert isinstance(keys, list)
        return keys

    async def deferred(self, *numbers: int, **values: Any) -> None:
        """Put some that are due in an hour, after an attempt."""
        now = time.time()
        values.setdefault("accepted_at", now)
        await self.stored(
            *(
                entry(
                    notification(number, attempt=1, **values),
                    due=now + 3_600.0,
                    expires=now + 86_400.0,
                    reason="ServiceUnavailable",
                    route="route0",
                )
                for number in numbers
            )
        )

    async def do(self, work: Any, selection: Selection | None = None, **values: Any) -> StepResult:
        values.setdefault("as_of", time.time())
        return await self.operations.do(Step(work, selection=selection or Selection(), **values))

    async def change(self, action: Action, selection: Selection | None = None, **values: Any) -> StepResult:
        result = await self.do("change", selection, action=action, note=NOTE, **values)
        assert not result.problem
        return result

    async def listed(self, selection: Selection | None = None) -> list[Queued]:
        return list((await self.do("list", selection)).listed)

    @property
    def sent(self) -> list[str]:
        return [request.owner.notification.message_id for request in self.pool.requests]

    async def close(self) -> None:
        await self.queue.drain(0.0)
        await self.queue.close()
        await self.journal.close()


@pytest.fixture(params=["memory", "disk"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(None if request.param == "memory" else tmp_path)
    yield made
    await made.close()


def changed(result: StepResult) -> int:
    return sum(group.queued for group in result.groups)


async def test_partitions_say_what_they_have(bench: Bench) -> None:
    await bench.put(1, 2)
    await bench.deferred(3)
    (found,) = (await bench.do("partitions")).partitions
    assert (found.number, found.state, found.entries, found.active, found.problem) == (0, "owned", 3, 2, "")
    assert found.size > 0


async def test_a_count_is_by_what_notifications_have_in_common(bench: Bench) -> None:
    await bench.deferred(1, 2)
    await bench.put(3)
    result = await bench.do("count")
    assert [(one.domain, one.route, one.reason, one.queued, one.due) for one in result.groups] == [
        (NAME, "route0", "ServiceUnavailable", 2, 0),
        (NAME, "", "", 1, 1),
    ]
    assert (result.looked_at, result.following) == (3, None)
    narrow = await bench.do("count", Selection(last_reason="ServiceUnavailable", route="route0"))
    assert changed(narrow) == 2


async def test_ages_count_from_the_moment_of_the_request(bench: Bench) -> None:
    now = time.time()
    await bench.deferred(1, accepted_at=now - 100.0)
    await bench.deferred(2, accepted_at=now - 10.0)
    for selection, as_of, names in (
        (Selection(older_than=50.0), now, ["m1"]),
        (Selection(older_than=100.0), now, ["m1"]),
        (Selection(younger_than=50.0), now, ["m2"]),
        (Selection(younger_than=10.0), now, ["m2"]),
        (Selection(younger_than=50.0, older_than=20.0), now, []),
        (Selection(older_than=50.0), now + 60.0, ["m1", "m2"]),
        (Selection(), now - 50.0, ["m1"]),
    ):
        result = await bench.do("list", selection, as_of=as_of)
        assert [one.message_id for one in result.listed] == names


async def test_a_notification_is_shown_without_payload_and_token(bench: Bench) -> None:
    push = PushPart(
        TOKEN.encode(), b'{"aps":{"alert":"secret"}}', topic=b"com.example.app", push_type=b"alert",
        priority=5, collapse_id=b"c1", expiration=2_000_000_000,
    )  # fmt: skip
    what = notification(
        1, push=push, accepted_at=1.0, user="user", client_address="10.0.0.1", size=700, attempt=2
    )
    what.recipient, what.sender = f"{TOKEN}@{NAME}", f"b+{TOKEN}@b.example"
    due, expires = time.time() + 60.0, time.time() + 3_600.0
    await bench.stored(entry(what, due=due, expires=expires, reason="Shutdown", route="route0"))
    (shown,) = await bench.listed()
    assert shown == Queued(
        message_id="m1",
        apns_id="00000000-0000-4000-8000-000000000001",
        partition=0,
        state="waiting",
        domain=NAME,
        sender="b+abababab...@b.example",
        recipient=f"abababab...@{NAME}",
        token_prefix="abababab",
        user="user",
        client="10.0.0.1",
        size=700,
        accepted=1.0,
        due=due,
        expires=expires,
        attempts=2,
        route="route0",
        reason="Shutdown",
        hold="",
        topic="com.example.app",
        push_type="alert",
        priority=5,
        collapse_id="c1",
        apns_expiration=2_000_000_000,
    )
    assert "secret" not in repr(shown)


async def test_states_of_notifications(bench: Bench) -> None:
    await bench.put(1)
    await bench.deferred(2, 3)
    await bench.change(Action.HOLD, Selection(ids=("m3",)))
    now = time.time()
    broken = entry(notification(4), due=now + 99, expires=now + 999)._replace(body=b"{}")
    await bench.stored(broken)
    found = {one.message_id: (one.state, one.due is None, one.hold) for one in await bench.listed()}
    assert found == {
        "m1": ("active", False, ""),
        "m2": ("waiting", False, ""),
        "m3": ("held", True, NOTE),
        "m4": ("damaged", False, ""),
    }


async def test_a_list_goes_on_where_it_stopped(bench: Bench) -> None:
    await bench.deferred(*range(5))
    first = await bench.do("list", limit=3)
    assert [one.message_id for one in first.listed] == ["m0", "m1", "m2"]
    second = await bench.do("list", limit=3, after=first.following)
    assert [one.message_id for one in second.listed] == ["m3", "m4"]
    assert second.following is None


async def test_what_is_flushed_is_tried_now(bench: Bench) -> None:
    await bench.deferred(1, 2, 3)
    await bench.change(Action.HOLD, Selection(ids=("m3",)))
    result = await bench.change(Action.FLUSH)
    assert changed(result) == 2
    await eventually(lambda: bench.sent == ["m1", "m2"])
    again = await bench.change(Action.FLUSH)
    assert changed(again) == 0, "they are with delivery already, and the third is held"
    assert bench.sent == ["m1", "m2"]


async def test_what_is_held_is_not_tried_until_it_is_released(bench: Bench) -> None:
    await bench.deferred(1, 2)
    result = await bench.change(Action.HOLD, Selection(sender="a@b.example"))
    assert changed(result) == 2
    assert changed(await bench.change(Action.HOLD)) == 0, "once is enough"
    await bench.change(Action.FLUSH)
    (count,) = (await bench.do("count")).groups
    assert (count.queued, count.due, count.hold) == (2, 0, NOTE)
    assert changed(await bench.change(Action.RELEASE, Selection(ids=("m2",)))) == 1
    await eventually(lambda: bench.sent == ["m2"])
    assert [one.entry.hold for one in await all_of(bench.store)] == [NOTE, ""]
    assert changed(await bench.change(Action.RELEASE, Selection(held=False))) == 0
    assert changed(await bench.change(Action.RELEASE)) == 1
    await eventually(lambda: bench.sent == ["m2", "m1"])


async def test_what_waits_for_a_connection_is_held_and_what_is_being_sent_when_it_fails(bench: Bench) -> None:
    await bench.put(1)
    bench.pool.withdrawable = False
    result = await bench.change(Action.HOLD)
    assert (changed(result), result.under_way) == (0, 1)
    bench.pool.answer(BUSY)
    await eventually(lambda: bench.queue.active == 0)
    assert [one.hold for one in await bench.listed()] == [NOTE]
    bench.pool.withdrawable = True
    await bench.put(2)
    result = await bench.change(Action.HOLD, Selection(ids=("m2",)))
    assert (changed(result), result.under_way) == (1, 0)
    assert bench.sent == []
    assert [one.state for one in await bench.listed()] == ["held", "held"]


async def test_what_is_dropped_ends_and_listeners_hear_it(bench: Bench) -> None:
    await bench.deferred(1, 2)
    await bench.put(3)
    result = await bench.change(Action.DROP, Selection(ids=("m1", "m3")))
    assert changed(result) == 2
    assert sorted(bench.told.ends) == [("m1", "Dropped"), ("m3", "Dropped")]
    assert [one.message_id for one in await bench.listed()] == ["m2"]
    assert bench.sent == []
    lines = (await bench.do("trace", Selection(ids=("m1",)))).lines
    assert [(line["event"], line["outcome"], line["detail"]) for line in lines] == [
        ("ended", "permanent", f"dropped by an operator, {NOTE}")
    ]


async def test_a_drop_leaves_what_is_being_sent(bench: Bench) -> None:
    await bench.put(1)
    bench.pool.withdrawable = False
    result = await bench.change(Action.DROP)
    assert (changed(result), result.under_way) == (0, 1)
    bench.pool.answer(DELIVERED)
    assert bench.told.ends == [("m1", "")]


async def test_a_step_changes_a_bounded_number(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHANGED_AT_ONCE", 2)
    await bench.deferred(*range(5))
    counted, after = [], None
    while True:
        result = await bench.change(Action.HOLD, after=after)
        counted.append(changed(result))
        after = result.following
        if after is None:
            break
    assert counted == [2, 2, 1]


async def test_holds_of_ids_are_in_the_journal(bench: Bench) -> None:
    await bench.deferred(1)
    chosen = Selection(ids=("m1",))
    await bench.change(Action.HOLD, chosen)
    await bench.change(Action.RELEASE, chosen)
    await eventually(lambda: bench.sent == ["m1"])
    bench.pool.answer(DELIVERED)
    result = await bench.do("trace", chosen)
    assert [(line["event"], line["outcome"], line.get("detail", "")) for line in result.lines] == [
        ("held", "queued", NOTE),
        ("released", "queued", NOTE),
        ("ended", "delivered", ""),
    ]
    assert result.lines_kept is bench.journal.persistent
    assert result.lines_lost == 0


async def test_what_comes_after_the_request_is_not_concerned(bench: Bench) -> None:
    await bench.deferred(1, accepted_at=1_000.0)
    await bench.deferred(2, accepted_at=2_000.0)
    assert changed(await bench.change(Action.DROP, as_of=1_000.0)) == 1
    assert [one.message_id for one in await bench.listed()] == ["m2"]


async def test_an_entry_that_cannot_be_read_can_be_dropped(bench: Bench) -> None:
    now = time.time()
    await bench.stored(entry(notification(1), due=now + 99, expires=now + 999)._replace(body=b"{}"))
    assert changed(await bench.change(Action.DROP)) == 1
    assert await bench.listed() == []


async def test_a_partition_that_has_gone_is_a_problem() -> None:
    operations = Operations(None, Journal(None))
    assert (await operations.do(Step("partitions"))).partitions == ()
    assert "not with this worker" in (await operations.do(Step("count"))).problem
    assert (await operations.do(Step("trace", selection=Selection(ids=("m1",))))).lines == ()


@pytest.mark.parametrize("work", ["count", "list", "change"])
async def test_a_store_that_fails_is_a_problem_in_words(bench: Bench, work: Any) -> None:
    await bench.close()
    result = await bench.do(work, action=Action.HOLD)
    assert "partition 00: the " in result.problem
    assert "is closed" in result.problem


async def test_a_hold_survives_the_worker(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.deferred(1)
    await bench.change(Action.HOLD)
    await bench.close()
    successor = Bench(tmp_path)
    await eventually(lambda: successor.queue.slots[0].opened)
    (shown,) = await successor.listed()
    assert (shown.state, shown.hold) == ("held", NOTE)
    (kept,) = await all_of(successor.store)
    assert kept.entry.due == math.inf
    await successor.close()


async def test_traces_of_adopted_partitions_are_found(tmp_path: Path) -> None:
    other = Bench(tmp_path)
    await other.put(1)
    other.pool.answer(DELIVERED)
    await other.close()
    told_, metrics, table = Told(), Metrics(), domains(domain(FakePool()))
    journal = Journal(partition_path(tmp_path, 1))
    deliverer = Deliverer(table, (told_.listener, journal), metrics)
    queue = Queue(deliverer, table, metrics, directory=tmp_path, slot=1, adopted=(0,), journal=journal)
    result = await Operations(queue, journal, tmp_path).do(Step("trace", selection=Selection(ids=("m1",))))
    assert [line["outcome"] for line in result.lines] == ["delivered"]
    await queue.close()
    await journal.close()


async def test_a_large_queue_is_counted_in_steps_that_leave_room_for_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tubepost_dispatcher.queue.operations.PATIENCE", 0.0)
    bench = Bench(tmp_path)
    now = time.time()
    entries = [
        entry(notification(number, accepted_at=now), due=now + 99, expires=now + 999)
        for number in range(6_000)
    ]
    await bench.stored(*entries)
    first = await bench.do("count", as_of=now)
    assert (changed(first), first.looked_at) == (5_000, 5_000)
    await bench.put(7_000)
    second = await bench.do("count", as_of=now, after=first.following)
    assert changed(second) == 1_000
    await bench.close()


async def test_what_was_taken_for_a_step_that_was_given_up_is_given_back() -> None:
    bench = Bench(None)
    await bench.deferred(1)
    answers: list[Any] = []
    original = bench.store.take
    bench.store.take = lambda keys, done: original(keys, lambda found: answers.append((done, found)))  # type: ignore[method-assign]
    step = asyncio.create_task(bench.change(Action.DROP))
    await eventually(lambda: bool(answers))
    assert await told(bench.store.next_due) is None, "it is taken"
    step.cancel()
    await asyncio.wait({step})
    done, found = answers.pop()
    done(found)
    assert await told(bench.store.next_due) is not None
    await bench.close()


async def test_what_was_taken_meanwhile_and_changed_is_not_met_by_a_stale_page() -> None:
    """Between the page and the taking an entry is tried, and is no longer what the filter names."""
    bench = Bench(None)
    await bench.deferred(1)
    store = bench.store
    assert isinstance(store, MemoryStore)
    (one,) = await all_of(store)
    original = store.take

    def take(keys: Any, done: Any) -> None:
        store._kept[one.key] = one.entry._replace(reason="Shutdown")
        original(keys, done)

    store.take = take  # type: ignore[method-assign]
    result = await bench.change(Action.DROP, Selection(last_reason="ServiceUnavailable"))
    assert changed(result) == 0
    assert bench.told.ends == []
    assert await told(store.next_due) is not None, "it was given back"
    await bench.close()


@pytest.mark.parametrize("seed", range(4))
async def test_in_the_thick_of_delivery_everything_ends_once(tmp_path: Path, seed: int) -> None:
    """Holds, releases, flushes and drops while APNs answers: nothing is lost, and nothing ends twice."""
    chance = random.Random(seed)
    bench = Bench(tmp_path if seed % 2 else None)
    answers: list[Failure | None] = []
    now = time.time()
    for number in range(120):  # more than may be with delivery at a time
        bench.queue.put([(notification(number, accepted_at=now), bench.domain)], answers.append)
    await eventually(lambda: len(answers) == 120)
    await bench.deferred(*range(120, 200))
    later = 200
    for _ in range(60):
        for _ in range(min(len(bench.pool.requests), chance.randrange(6))):
            bench.pool.answer(chance.choice((DELIVERED, BUSY, DEAD)))
        if later < 300 and chance.random() < 0.3:
            what = notification(later, accepted_at=time.time())
            bench.queue.put([(what, bench.domain)], answers.append)
            later += 1
        ids = tuple(f"m{chance.randrange(later)}" for _ in range(30))
        selection = chance.choice(
            (Selection(ids=ids), Selection(last_reason=BUSY.reason), Selection(held=True))
        )
        action = chance.choice((Action.HOLD, Action.RELEASE, Action.FLUSH, Action.FLUSH, Action.DROP))
        if action is Action.DROP and not selection.ids:
            action = Action.RELEASE
        bench.pool.withdrawable = chance.random() < 0.7
        await bench.change(action, selection, after=None)
    bench.pool.withdrawable = True
    async with asyncio.timeout(30):
        while True:
            await bench.change(Action.DROP)
            while bench.pool.requests:
                bench.pool.answer(DEAD)
            if not await all_of(bench.store, limit=1_000):
                break
    assert sorted(name for name, _ in bench.told.ends) == sorted(f"m{number}" for number in range(later))
    assert {reason for _, reason in bench.told.ends} == {"", "Unregistered", "Dropped"}
    # What is being read counts, and the answer of a disk comes later.
    await eventually(lambda: bench.queue.active == 0)
    await bench.close()
