"""What is due comes back in turns, and what fails holds up nobody else."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.dispatcher.delivery.support import BUSY, DELIVERED, FakePool
from tests.dispatcher.queue.support import Bench, domains_of, ids, routed
from tests.support.loop import FakeLoop
from tubepost_api.config import DeliveryConfig, DeliveryMode, Throttle
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.pod_limits.bucket import TokenBucket
from tubepost_dispatcher.queue import feeder as module
from tubepost_dispatcher.queue.entries import entry_of
from tubepost_dispatcher.queue.groups import SELDOM
from tubepost_dispatcher.queue.window import START
from tubepost_dispatcher.reasons.catalogue import local_outcome
from tubepost_dispatcher.store.memory import MemoryStore
from tubepost_dispatcher.store.port import Failure, FailureKind, Kept

REFUSED = local_outcome("ConnectFailed")


def two_routes() -> tuple[Bench, FakePool, FakePool]:
    first, second = FakePool(), FakePool()
    table = {"a.example": routed("a", first), "b.example": routed("b", second)}
    return Bench(table["a.example"], first, second, table=table), first, second


def test_a_route_that_takes_nothing_holds_up_nobody_else() -> None:
    bench, down, up = two_routes()
    down.held_until = float("inf")
    for number in range(1_000):
        bench.stored(number, domain="a.example")
    tried = len(down.requests)
    while down.requests:
        down.answer(REFUSED)
    assert tried <= START
    for number in range(1_000, 1_050):
        bench.stored(number, domain="b.example")
        assert ids(up) == [f"m{number}"]
        up.answer(DELIVERED)
    bench.loop.advance(3_600.0)
    assert down.requests == []


def test_it_knows_the_domains_that_it_has() -> None:
    bench, _, _ = two_routes()
    assert bench.queue.domains == frozenset()
    bench.stored(1, domain="a.example")
    bench.stored(2, domain="b.example")
    assert bench.queue.domains == {"a.example", "b.example"}


def test_a_closed_route_is_probed_once_and_a_backlog_comes_in_growing_rounds() -> None:
    bench, down, _ = two_routes()
    for number in range(300):
        bench.stored(number, domain="a.example")
    down.held_until = float("inf")
    while down.requests:
        down.answer(REFUSED)
    bench.loop.advance(7_200.0)
    assert down.requests == []
    down.held_until = 0.0
    bench.loop.advance(SELDOM)
    rounds = []
    while down.requests:
        rounds.append(len(down.requests))
        for _ in range(len(down.requests)):
            down.answer(DELIVERED)
        bench.loop.run_until_idle()
    assert rounds[0] == 1
    assert all(after <= 2 * before for before, after in itertools.pairwise(rounds)), rounds
    assert max(rounds) > 20
    assert sum(rounds) == 300
    assert bench.queue.queued == 0


def test_a_probe_that_fails_lets_nobody_follow() -> None:
    bench, down, _ = two_routes()
    for number in range(50):
        bench.stored(number, domain="a.example")
    down.held_until = float("inf")
    while down.requests:
        down.answer(REFUSED)
    bench.loop.advance(7_200.0)
    probes = []
    for _ in range(20):
        down.held_until = 0.0
        bench.loop.advance(SELDOM)
        assert len(down.requests) <= 1
        probes += ids(down)
        down.held_until = float("inf")
        while down.requests:
            down.answer(REFUSED)
    assert len(probes) == 20
    assert len(set(probes)) == 20, "one that fails must not be the probe again and again"


def test_a_probe_is_one_that_was_tried_least() -> None:
    bench, down, _ = two_routes()
    bench.stored(1, domain="a.example")
    for _ in range(4):
        assert ids(down) == ["m1"]
        down.answer(REFUSED)
        bench.loop.advance(4 * 3_600.0)
    down.held_until = float("inf")
    down.answer(REFUSED)
    bench.loop.advance(12 * 3_600.0)
    bench.stored(2, domain="a.example")
    bench.loop.advance(1.0)
    bench.stored(3, domain="a.example")
    down.held_until = 0.0
    bench.loop.advance(SELDOM)
    assert ids(down) == ["m3"]


def test_a_sender_of_many_leaves_the_others_their_turn() -> None:
    bench = Bench()
    for number in range(5_000):
        bench.stored(number, sender="many@x.example")
    waiting = len(bench.pool.requests)
    assert waiting < START
    bench.stored(9_999, sender="few@y.example")
    assert bench.sent[-1] == "m9999"
    senders: Counter[str] = Counter()
    for number in range(10_000, 10_400):
        bench.stored(number, sender=f"{'uvwx'[number % 4]}@y.example")
    for _ in range(1_500):
        senders[bench.pool.requests[0].owner.notification.sender] += 1
        bench.pool.answer(DELIVERED)
        bench.loop.run_until_idle()
    others = sum(count for sender, count in senders.items() if sender != "many@x.example")
    assert others == 401


def test_fresh_ones_and_a_backlog_of_the_same_sender_share() -> None:
    bench = Bench()
    for number in range(3_000):
        bench.stored(number)
    served: list[int] = []
    for number in range(10_000, 11_500):
        bench.stored(number)
        served.append(int(bench.sent[0][1:]))
        bench.pool.answer(DELIVERED)
        bench.loop.run_until_idle()
    old = sum(number < 10_000 for number in served[500:])
    assert 0.25 <= old / len(served[500:]) <= 0.85, old


def test_a_service_that_is_busy_is_asked_less_and_less() -> None:
    bench = Bench()
    for number in range(1_000):
        bench.stored(number)
    rounds = []
    while bench.pool.requests and len(rounds) < 12:
        rounds.append(len(bench.pool.requests))
        for _ in range(len(bench.pool.requests)):
            bench.pool.answer(BUSY)
        bench.loop.clock.now += 0.05
        bench.loop.run_until_idle()
    assert rounds[0] > 50
    assert rounds[-1] == 1
    assert sum(rounds) < 300


def test_what_is_suspended_is_not_looked_at_again_and_again() -> None:
    pool = FakePool()
    bench = Bench(routed("a", pool, DeliveryConfig(mode=DeliveryMode.SUSPEND)), pool)
    bench.stored(1)
    reads: list[Any] = []
    due = bench.stores[0].due

    def counted(*args: Any, **kwargs: Any) -> None:
        reads.append(args)
        due(*args, **kwargs)

    bench.stores[0].due = counted  # type: ignore[method-assign]
    bench.loop.advance(3_600.0)
    assert reads == []
    bench.swap(routed("a", pool))
    assert bench.sent == ["m1"]


def test_a_configuration_with_other_routes_finds_all_lanes() -> None:
    bench, down, up = two_routes()
    down.held_until = float("inf")
    for number in range(20):
        bench.stored(number, domain="a.example", sender=f"{chr(97 + number)}@x.example")
    while down.requests:
        down.answer(REFUSED)
    bench.loop.advance(3_600.0)
    bench.table["a.example"] = routed("b", up)
    bench.deliverer.swap(domains_of(bench.table))
    bench.queue.swap(domains_of(bench.table))
    delivered = 0
    bench.loop.run_until_idle()
    while up.requests:
        up.answer(DELIVERED)
        delivered += 1
        bench.loop.run_until_idle()
    assert delivered == 20
    assert (bench.queue.queued, bench.queue.active) == (0, 0)


def test_what_a_predecessor_left_is_delivered_whatever_its_lane() -> None:
    before = Bench()
    before.pool.held_until = float("inf")
    for number in range(500):
        before.stored(number, sender=f"{chr(97 + number % 26)}{chr(97 + number // 26)}@x.example")
    before.queue._feeder.stop()
    store = before.stores[0]
    assert isinstance(store, MemoryStore)
    store.release(list(store._taken))
    after = Bench(loop=before.loop, stores=before.stores)
    delivered = set()
    while after.pool.requests:
        delivered.add(after.sent[0])
        after.pool.answer(DELIVERED)
        after.loop.run_until_idle()
    assert len(delivered) == 500
    assert after.queue.queued == 0


class BrokenStore(MemoryStore):
    """Answers every question with a failure while it is broken."""

    broken = False

    def due(
        self, now: float, limit: int, done: Callable[[Sequence[Kept] | Failure], None], *, lane: int = 0
    ) -> None:
        if self.broken:
            self._loop.call_soon(done, Failure(FailureKind.FAILED, "injected"))
        else:
            super().due(now, limit, done, lane=lane)

    def next_due(self, done: Callable[[float | Failure | None], None], *, lane: int = 0) -> None:
        if self.broken:
            self._loop.call_soon(done, Failure(FailureKind.FAILED, "injected"))
        else:
            super().next_due(done, lane=lane)


def test_a_store_that_fails_is_asked_again_and_nothing_is_forgotten() -> None:
    loop = FakeLoop()
    store = BrokenStore(loop)
    bench = Bench(loop=loop, stores={0: store})
    for number in range(10):
        bench.stored(number)
    while bench.pool.requests:
        bench.pool.answer(REFUSED)
    store.broken = True
    loop.advance(7_200.0)
    assert bench.sent == []
    store.broken = False
    loop.advance(2 * module.LOOK_AGAIN)
    assert len(bench.sent) == 10


def test_lanes_that_nobody_told_of_are_found() -> None:
    bench = Bench()
    lane = bench.queue._feeder.lane(bench.queue.slots[0], bench.notification(1))
    entry = entry_of(bench.notification(1), lane, due=bench.wall(), expires=bench.wall() + 1e6)
    bench.stores[0].put([entry], lambda _: None, take=False)
    bench.loop.advance(module.SWEEP * module.SCANS + 1.0)
    assert bench.sent == ["m1"]


def test_lanes_are_looked_through_more_often_after_a_trouble() -> None:
    loop = FakeLoop()
    store = MemoryStore(loop)
    bench = Bench(loop=loop, stores={0: store})
    loop.advance(module.SWEEP * module.SCANS)
    lane = bench.queue._feeder.lane(bench.queue.slots[0], bench.notification(1))
    entry = entry_of(bench.notification(1), lane, due=bench.wall(), expires=bench.wall() + 1e6)
    bench.queue.slots[0].set_aside = (1, 0, False)
    store.put([entry], lambda _: None, take=False)
    loop.advance(module.SWEEP + 1.0)
    assert bench.sent == ["m1"]


def test_what_is_in_memory_can_be_looked_at() -> None:
    bench, down, _ = two_routes()
    down.held_until = float("inf")
    for number in range(3):
        bench.stored(number, domain="a.example")
    while down.requests:
        down.answer(REFUSED)
    bench.stored(4, domain="b.example")
    first, second = bench.queue.describe()
    assert (first["routes"], first["open"], first["active"], first["window"]) == (["a"], False, 0, 1)
    assert (second["routes"], second["open"], second["active"]) == (["b"], True, 1)


@pytest.mark.parametrize("count", [1, module.EXPIRED * 2 + 3])
def test_what_expires_in_a_closed_lane_ends(count: int) -> None:
    bench, down, _ = two_routes()
    down.held_until = float("inf")
    for number in range(count):
        bench.stored(number, domain="a.example")
    while down.requests:
        down.answer(REFUSED)
    bench.loop.advance(7 * 24 * 3_600.0 + module.SWEEP + 1.0)
    assert bench.queue.queued == 0
    assert {reason for _, reason in bench.ends} == {"Expired"}
    assert len(bench.ends) == count


def test_a_large_batch_is_handed_over_in_several_turns() -> None:
    bench = Bench()
    bench.pool.held_until = float("inf")
    for number in range(1_500):
        bench.stored(number, sender=f"{'abcdefghij'[number % 10]}@x.example")
    while bench.pool.requests:
        bench.pool.answer(REFUSED)
    bench.pool.held_until = 0.0
    bench.queue._feeder.lane(bench.queue.slots[0], bench.notification(1)).group.window._resize(2_000.0)
    bench.queue._feeder._feed_soon()
    steps = []
    while bench.loop.turn():
        steps.append(len(bench.pool.requests))
    assert max(after - before for before, after in itertools.pairwise(steps)) <= module.TOGETHER
    assert steps[-1] > 2 * module.TOGETHER


def test_what_finds_no_stream_in_time_waits_in_the_store_and_expires_there() -> None:
    bench = Bench()
    push = PushPart(b"ab" * 32, b"{}", expiration=int(bench.wall()) + 600)
    bench.stored(1, push=push)
    bench.stored(2)
    window = bench.queue._feeder.lane(bench.queue.slots[0], bench.notification(2)).group.window
    size = window.size
    bench.loop.advance(module.OVERDUE + module.SWEEP + 1.0)
    assert window.size < size
    assert sorted(bench.sent) == ["m1", "m2"], "they are tried again, and not twice"
    bench.loop.advance(900.0)
    assert bench.ends == [("m1", "Expired")]
    assert bench.sent == ["m2"]
    assert bench.pool.requests[0].owner.notification.attempt == 1


def test_what_was_sent_is_waited_for() -> None:
    bench = Bench()
    bench.pool.withdrawable = False
    bench.stored(1)
    bench.loop.advance(2 * module.OVERDUE)
    assert bench.sent == ["m1"]
    bench.pool.answer(DELIVERED)
    assert bench.queue.queued == 0


@pytest.mark.parametrize(("messages", "seconds"), [(50, 1.0), (1, 600.0)])
def test_a_throttle_has_little_in_memory_and_loses_no_turn(messages: int, seconds: float) -> None:
    throttle = Throttle(messages=messages, seconds=seconds)
    pool, loop = FakePool(), FakeLoop()
    only = routed("a", pool, DeliveryConfig(throttle=throttle))
    only.throttle = TokenBucket(throttle)
    bench = Bench(only, pool, loop=loop)
    for number in range(2_000):
        bench.stored(number)
    begun, delivered = loop.now, 0
    while loop.now < begun + 20 * seconds:
        assert bench.queue.active <= max(2, 10 * messages / seconds + 1)
        loop.advance(seconds / 10)
        while pool.requests:
            pool.answer(DELIVERED)
            delivered += 1
    assert 19 * messages <= delivered <= 22 * messages


def test_a_partition_that_is_given_back_is_not_read_any_more() -> None:
    loop = FakeLoop()
    other = MemoryStore(loop)
    before = Bench(loop=loop, stores={0: other})
    before.pool.held_until = float("inf")
    for number in range(50):
        before.stored(number)
    before.queue._feeder.stop()
    other.release(list(other._taken))
    bench = Bench(loop=loop, stores={7: other}, adopted=(7,))
    bench.pool.withdrawable = False
    assert len(bench.sent) == 50
    for number in range(200, 300):
        bench.stored(number)
    given_back = bench.queue.slots[7]
    others = [request for request in bench.pool.requests if request.owner.owner.slot is given_back]
    bench.queue.adopt(())
    reads: list[Any] = []
    due = other.due

    def counted(*args: Any, **kwargs: Any) -> None:
        reads.append(args)
        due(*args, **kwargs)

    other.due = counted  # type: ignore[method-assign]
    bench.queue.feed_soon()
    loop.advance(30.0)
    assert len(reads) <= 2
    for request in others:
        bench.pool.requests.remove(request)
        request.on_outcome(request, REFUSED)
    loop.run_until_idle()
    assert other._closed
    assert len(other._kept) == 50


def test_a_wall_clock_that_was_set_forward_is_noticed() -> None:
    bench = Bench()
    bench.stored(1)
    bench.pool.answer(REFUSED)
    bench.wall_ahead = 7_200.0
    bench.loop.advance(module.SWEEP + 0.1)
    assert bench.sent == ["m1"]


@pytest.mark.parametrize("mode", [DeliveryMode.BLACKHOLE, DeliveryMode.REFUSE])
def test_what_ends_without_a_route_does_not_wait_for_one(mode: DeliveryMode) -> None:
    pool = FakePool()
    bench = Bench(routed("a", pool), pool)
    bench.stored(1)
    pool.held_until = float("inf")
    pool.answer(REFUSED)
    bench.swap(routed("a", pool, DeliveryConfig(mode=mode)))
    bench.loop.advance(3_600.0)
    assert bench.queue.queued == 0


def test_a_route_keeps_its_window_over_a_change_and_is_forgotten_with_its_last_domain() -> None:
    bench, down, up = two_routes()
    bench.stored(1, domain="a.example")
    bench.loop.clock.now += 1.0
    down.answer(REFUSED)
    feeder = bench.queue._feeder
    lane = feeder.lane(bench.queue.slots[0], bench.notification(1, domain="a.example"))
    size = lane.group.window.size
    assert size < START
    bench.table["a.example"] = routed("a", FakePool())
    bench.queue.swap(domains_of(bench.table))
    assert lane.group.window.size == size
    bench.queue.swap(domains_of({"b.example": routed("b", up)}))
    bench.queue.swap(domains_of({"a.example": routed("a", FakePool()), "b.example": routed("b", up)}))
    assert lane.group.window.size == START
