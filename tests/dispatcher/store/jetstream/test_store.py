"""The store on JetStream beside what every store promises: owners that die, servers that are away, foreign streams."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.store.jetstream.support import Nats, fresh
from tests.dispatcher.store.support import all_of, closed, eventually, told
from tests.peers.nats_server import NatsServer
from tubepost_dispatcher.store.jetstream import holding, leases
from tubepost_dispatcher.store.jetstream.store import JetStreamStore
from tubepost_dispatcher.store.port import Failure, FailureKind, Filter, Kept

pytestmark = [
    pytest.mark.peer,
    # nats-py leaves the socket of a connection that was refused or cut to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("own_litter"),
]


async def die(store: JetStreamStore) -> None:
    """As if its process had died: nothing more is said to NATS."""
    store._closed = True
    for timer in store._timers.values():
        timer.cancel()
    await store._link.close()


async def found_by(store: JetStreamStore, count: int, lane: int = 1) -> list[Kept]:
    """So many, that another owner left; asked for until they are there."""
    found: list[Kept] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            await told(store.lanes, None, 100)
            found += await told(store.due, time.time(), 100, lane=lane)
            await asyncio.sleep(0.05)  # another process's clock has no event
    return found


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of some seconds."""
    monkeypatch.setattr(holding, "LENGTH", 3.0)
    monkeypatch.setattr(holding, "GRACE", 0.3)


async def test_what_an_owner_had_in_memory_comes_to_another_and_is_doubtful(nats: Nats, short: None) -> None:
    first, second = await nats.store(), await nats.store()
    keys = await told(first.put, [fresh(1), fresh(2), fresh(3)])
    first.ended(keys[1])
    await told(first.take, ())  # durable
    assert await told(second.due, time.time(), 9, lane=1) == []
    assert [one.entry.message_id for one in await all_of(second)] == ["m1", "m3"]
    await die(first)
    found = await found_by(second, 2)
    assert [one.entry.message_id for one in found] == ["m1", "m3"]
    assert all(second.doubtful(one.key) for one in found)
    for one in found:
        second.ended(one.key)
    assert await all_of(second) == []
    await closed(second)


async def test_several_lanes_of_one_lease_come_back_each_by_its_own(nats: Nats, short: None) -> None:
    first, second = await nats.store(), await nats.store()
    await told(first.put, [fresh(1, lane=1), fresh(2, lane=2)])
    await die(first)
    assert [one.entry.message_id for one in await found_by(second, 1, lane=2)] == ["m2"]
    assert [one.entry.message_id for one in await found_by(second, 1, lane=1)] == ["m1"]
    await closed(second)


async def test_what_waits_comes_to_another_when_its_owner_has_gone(nats: Nats, short: None) -> None:
    first, second = await nats.store(), await nats.store()
    (tried,) = await told(first.put, [fresh(1)])
    first.again(tried, fresh(1, due=time.time() + 0.4, reason="Shutdown", attempt=1))
    await told(first.put, [fresh(2)], take=False)
    await told(first.take, ())
    await die(first)
    found = {one.entry.message_id: one for one in await found_by(second, 2)}
    assert found["m1"].entry.reason == "Shutdown"
    # What was tried has ended its attempt; of what was not answered perhaps nobody was told that it is safe.
    assert not second.doubtful(found["m1"].key)
    assert second.doubtful(found["m2"].key)
    await closed(second)


@pytest.mark.parametrize(("one", "other"), [(3_600.0, 0.0), (-3_600.0, 3_600.0)])
async def test_owners_whose_clocks_differ_lose_and_delay_nothing(
    nats: Nats, short: None, one: float, other: float
) -> None:
    def clock(ahead: float) -> Callable[[], float]:
        return lambda: time.time() + ahead

    first, second = await nats.store(wall=clock(one)), await nats.store(wall=clock(other))
    due = time.time() + one
    leased, later = fresh(1, due=due), fresh(2, due=due + 1.0)
    leased, later = (each._replace(expires=due + 900.0) for each in (leased, later))
    assert isinstance(await told(first.put, [leased]), list)
    assert isinstance(await told(first.put, [later], take=False), list)
    await die(first)
    found: dict[str, Kept] = {}
    async with asyncio.timeout(60):
        while len(found) < 2:
            await told(second.lanes, None, 100)
            # What it finds is due by its own clock, at about the time that the other one meant.
            kept = await told(second.due, time.time() + other, 100, lane=1)
            found.update((each.entry.message_id, each) for each in kept)
            await asyncio.sleep(0.05)  # another process's clock has no event
    for each in found.values():
        assert abs(each.entry.expires - (time.time() + other + 900.0)) < 120.0
    assert second.doubtful(found["m1"].key)
    assert await told(second.expired, time.time() + other, 100) == []
    await closed(second)


async def test_of_several_owners_one_gets_each_entry(nats: Nats, short: None) -> None:
    first = await nats.store()
    for number in range(40):
        await told(first.put, [fresh(number)], take=False)
    await die(first)
    others = [await nats.store() for _ in range(3)]
    got: list[str] = []
    async with asyncio.timeout(60):
        while len(got) < 40:
            for answers in await asyncio.gather(*(told(one.lanes, None, 9) for one in others)):
                assert not isinstance(answers, Failure)
            for some in await asyncio.gather(*(told(one.due, time.time(), 5, lane=1) for one in others)):
                got += [one.entry.message_id for one in some]
            await asyncio.sleep(0.02)
    assert sorted(got) == sorted(f"m{number}" for number in range(40))
    for one in others:
        await closed(one)


async def test_a_closed_owner_leaves_everything_to_others_at_once(nats: Nats) -> None:
    first, second = await nats.store(), await nats.store()
    keys = await told(first.put, [fresh(1), fresh(2)])
    first.release(keys[:1])
    await closed(first)
    assert {one.entry.message_id for one in await found_by(second, 2)} == {"m1", "m2"}
    await closed(second)


async def test_what_nobody_asks_for_leaves_the_memory(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.holding.IDLE", 0.0)
    store = await nats.store()
    keys = await told(store.put, [fresh(1), fresh(2)])
    store.release(keys)
    await eventually(lambda: not len(store._holding.leases))
    assert [one.key for one in await told(store.due, time.time(), 9, lane=1)] == keys
    await closed(store)


async def test_a_lease_is_written_anew_while_its_owner_lives(
    nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEWED", 0.2)
    monkeypatch.setattr(leases, "REWRITTEN", 0.1)
    monkeypatch.setattr(holding, "LENGTH", 5.0)
    first, second = await nats.store(), await nats.store()
    keys = await told(first.put, [fresh(number) for number in range(5)])
    lease = first._holding.leases.of(keys[0])
    assert lease is not None
    before = lease.seq
    first.ended(keys[0])
    await eventually(lambda: lease.seq > before + 12)  # longer than its length
    assert await told(second.due, time.time(), 9, lane=1) == []
    assert [one.key for one in await all_of(first)] == keys[1:]
    for key in keys[1:]:
        first.ended(key)
    assert await all_of(first) == []
    for store in (first, second):
        await closed(store)


async def test_an_operator_finds_and_changes_what_another_owner_left_waiting(nats: Nats) -> None:
    first, second = await nats.store(), await nats.store()
    await told(first.put, [fresh(1, due=time.time() + 500)], take=False)
    (busy,) = await told(first.put, [fresh(2)])
    page = await told(second.page, Filter(), None, 10)
    assert [one.entry.message_id for one in page.kept] == ["m1", "m2"]
    # What the other one has in memory is left alone.
    (one,) = await told(second.take, [kept.key for kept in page.kept])
    second.again(one.key, one.entry._replace(due=math.inf, hold="alice: why"))
    await told(second.take, ())
    assert [kept.entry.hold for kept in await all_of(first, Filter(held=True))] == ["alice: why"]
    first.ended(busy)
    # And the first one takes what the second one holds.
    (held,) = await all_of(first)
    (mine,) = await told(first.take, [held.key])
    assert mine.entry.hold == "alice: why"
    assert await told(second.take, [held.key]) == []
    first.ended(mine.key)
    await told(first.take, ())
    assert await all_of(second) == []
    for store in (first, second):
        await closed(store)


async def test_what_is_lost_with_nats_is_told(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[int] = []
    store = await nats.store(lost=lost.extend)
    keys = await told(store.put, [fresh(1), fresh(2)])
    monkeypatch.setattr(leases, "SURE", 0.0)
    await eventually(lambda: lost == keys)
    store.ended(keys[0])
    store.again(keys[1], fresh(2, due=time.time() + 5))
    assert len(await all_of(store)) == 2  # they are anyone's soon, as they were
    await closed(store)


async def test_what_must_be_durable_before_a_removal_is(nats: Nats) -> None:
    done: list[str] = []
    store = await nats.store(before_removal=lambda: done.append("durable"))
    keys = await told(store.put, [fresh(1), fresh(2)])
    assert done == []
    store.ended(keys[0])
    store.again(keys[1], fresh(2, due=time.time() + 60))
    await told(store.take, ())
    assert done == ["durable"]
    await closed(store)


async def test_a_full_stream_says_so_and_what_is_in_it_moves(
    nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.store.INFO", 0.0)
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.store.IDLE_INFO", 0.0)
    store = await nats.store(settings=nats.settings(max_bytes=20_000))
    keys = await told(store.put, [fresh(number) for number in range(40)])
    await eventually(lambda: store.figures.failure is not None)
    answer = await told(store.put, [fresh(99)])
    assert answer.kind is FailureKind.FULL
    assert "of 20000 bytes" in answer.text
    store.again(keys[0], fresh(0, due=time.time() + 60, reason="Shutdown"))
    for key in keys[1:]:
        store.ended(key)
    assert [one.entry.reason for one in await all_of(store)] == ["Shutdown"]
    await eventually(lambda: store.figures.failure is None)
    assert isinstance(await told(store.put, [fresh(99)]), list)
    await closed(store)


async def test_a_notification_that_no_message_can_have_is_refused(nats: Nats) -> None:
    store = await nats.store()
    large = fresh(1)._replace(body=b"x" * 1024 * 1024)
    answer = await told(store.put, [large])
    assert "larger than the server's max_payload" in answer.text
    (key,) = await told(store.put, [fresh(2)])
    store.again(key, large)
    (held,) = await all_of(store)
    assert held.entry.hold == holding.UNHELD
    await closed(store)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({}, "it was not made by Tubepost"),
        ({"metadata": {"tubepost-queue": "1"}}, "its allow_msg_schedules is not set, and has to be True"),
    ],
)
async def test_a_stream_of_others_is_refused_and_left_as_it_is(
    nats: Nats, other: dict[str, Any], words: str
) -> None:
    settings = nats.settings()
    maker = await nats.store(settings=settings._replace(stream="OTHER", prefix="tubepost.other"))
    config = {"name": settings.stream, "subjects": [f"{settings.prefix}.>"], "storage": "file", **other}
    await answer_of(lambda done: maker._link.request(
        f"$JS.API.STREAM.CREATE.{settings.stream}", __import__("orjson").dumps(config), done, patience=30.0
    ))  # fmt: skip
    store = JetStreamStore(settings)
    failure = await told(store.start)
    assert failure.kind is FailureKind.AWAY
    assert words in failure.text
    assert "Remedy:" in failure.text
    assert store.figures.stream == ("foreign_stream",)
    assert (await told(store.put, [fresh(1)])).kind is FailureKind.AWAY
    info = await answer_of(store._api.info)
    assert info["config"].get("metadata", {}).get("tubepost-queue") == other.get("metadata", {}).get(
        "tubepost-queue"
    )
    assert info["state"]["messages"] == 0
    for one in (maker, store):
        await closed(one)


async def answer_of(ask: Callable[[Any], Any]) -> Any:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    ask(answer.set_result)
    return await asyncio.wait_for(answer, 60)


async def test_one_replica_is_warned_of(nats: Nats) -> None:
    store = await nats.store()
    assert store.warnings == ("it has one replica: what was accepted is lost with the disk of one server",)
    assert store.figures.stream == ("one_replica",)
    assert store.shared
    await closed(store)


async def test_a_killed_server_loses_nothing_and_blocks_nobody(tmp_path: Path) -> None:
    with NatsServer(tmp_path, "n1", sync_interval="always") as server:
        nats = Nats(server.url)
        store = await nats.store()
        safe: set[str] = set()
        keys: list[int] = []
        for round_ in range(3):
            for number in range(round_ * 20, round_ * 20 + 20):
                answer = await told(store.put, [fresh(number)])
                assert isinstance(answer, list)
                safe.add(f"m{number}")
                keys += answer
            server.kill()
            await eventually(lambda: store.figures.failure is not None)
            before = time.monotonic()
            answer = await told(store.put, [fresh(999)])
            assert answer.kind is FailureKind.AWAY
            assert time.monotonic() - before < 30  # it is told at once
            store.ended(keys.pop(0))  # meanwhile
            safe.remove(f"m{round_}")
            server.start()
            async with asyncio.timeout(60):
                while store.figures.failure is not None:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.02)
        left = {one.entry.message_id for one in await all_of(store)}
        assert left == safe
        await closed(store)


async def test_an_answer_that_was_lost_does_not_make_a_second_message(
    nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.link.RESEND", 0.2)
    store = await nats.store()
    heard = store._link._heard
    lost: list[Any] = []

    async def deaf(message: Any) -> None:
        if not lost and b'"seq"' in message.data and b'"stream"' in message.data:
            lost.append(message)
        else:
            await heard(message)

    await store._link._client.subscribe(store._link._inbox + "x.*", cb=deaf)  # type: ignore[union-attr]
    store._link._inbox += "x"
    (key,) = await told(store.put, [fresh(1)])
    assert lost
    assert [one.key for one in await all_of(store)] == [key]
    await closed(store)


async def test_a_put_that_nobody_answered_in_time_is_removed_again(
    nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.puts.PATIENCE", 0.5)
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.link.RESEND", 9.0)
    store = await nats.store()
    heard = store._link._heard

    async def deaf(message: Any) -> None:
        if b'"stream"' not in message.data or b'"seq"' not in message.data or b"config" in message.data:
            await heard(message)

    inbox = store._link._inbox
    await store._link._client.subscribe(inbox + "x.*", cb=deaf)  # type: ignore[union-attr]
    store._link._inbox += "x"
    answers = [await told(store.put, [fresh(n)], take=n == 1) for n in (1, 2)]
    assert [one.kind for one in answers] == [FailureKind.AWAY] * 2
    store._link._inbox = inbox
    async with asyncio.timeout(60):
        while await all_of(store):  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.05)
    await closed(store)


async def test_a_server_that_falls_silent_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.puts.PATIENCE", 1.0)
    with NatsServer(tmp_path, "n1") as server:
        store = await Nats(server.url).store()
        (key,) = await told(store.put, [fresh(1)])
        server.stop()
        try:
            answer = await told(store.put, [fresh(2)])
            assert answer.kind is FailureKind.AWAY
            assert store.figures.entries >= 1
        finally:
            server.cont()
        store.ended(key)
        async with asyncio.timeout(60):
            while True:
                # What was answered as failed is removed again, and does not come up by itself.
                page = await told(store.page, Filter(), None, 10)
                if not isinstance(page, Failure) and not page.kept:
                    break
                await asyncio.sleep(0.05)  # another process's clock has no event
        await closed(store)


async def test_a_stream_that_was_deleted_is_made_again(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.store.IDLE_INFO", 0.0)
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.store.INFO", 0.0)
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.condition.REOPEN", 0.1)
    store = await nats.store()
    await told(store.put, [fresh(1)])
    deleted = await answer_of(
        lambda done: store._link.request(
            f"$JS.API.STREAM.DELETE.{nats.settings().stream}", b"", done, patience=30.0
        )
    )
    assert deleted.json["success"]
    async with asyncio.timeout(60):
        while isinstance(await told(store.put, [fresh(2)]), Failure):  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.05)
    assert [one.entry.message_id for one in await all_of(store)] == ["m2"]
    await closed(store)
