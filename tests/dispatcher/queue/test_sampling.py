from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.dispatcher.delivery.support import NAME, FakePool, domain, domains
from tests.dispatcher.store.support import notification
from tests.support.loop import FakeLoop
from tubepost_api.config import DeliveryConfig, DeliveryMode, EntryConfig
from tubepost_dispatcher.delivery.domain import Domains
from tubepost_dispatcher.domain_lookup import DomainLookup
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.queue.groups import RELAY
from tubepost_dispatcher.queue.sampling import (
    MOST_REST,
    REST,
    QueueSampler,
    Sums,
    state_of,
    sum_up,
    tells_of_all,
)
from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.store.memory import MemoryStore
from tubepost_dispatcher.store.port import STREAM_STATES, Count, Failure, FailureKind, Figures, Tally, entry

WALL = 1_800_000_000.0


@dataclass
class FakeQueue:
    slots: dict[int, Slot]
    active: int = 0


@dataclass
class Bench:
    """A sampler over stores in memory."""

    inforce: Domains = field(default_factory=lambda: domains(domain(FakePool())))

    def __post_init__(self) -> None:
        self.loop = FakeLoop(0.0)
        self.queue = FakeQueue({0: Slot(0, MemoryStore(self.loop))})
        self.metrics = Metrics()
        self.sampler = QueueSampler(
            self.queue,
            self.metrics,
            lambda: self.inforce,
            loop=self.loop,
            clock=lambda: self.loop.now,
            wall=lambda: WALL + self.loop.now,
        )

    def put(self, *numbers: int, slot: int = 0, due: float = 0.0, age: float = 0.0, **values: Any) -> None:
        hold, route = values.pop("hold", ""), values.pop("route", "")
        made = [
            entry(
                notification(number, accepted_at=WALL - age, **values),
                due=WALL + due,
                expires=WALL + 1e6,
                route=route,
            )._replace(hold=hold)
            for number in numbers
        ]
        self.queue.slots[slot].store.put(made, lambda _: None)

    def slow(self) -> Slow:
        """Replace the store by one whose answers a test gives."""
        store: Any = Slow()
        self.queue.slots[0] = Slot(0, store)
        return store  # type: ignore[no-any-return]

    def second(self) -> None:
        self.loop.advance(1.0)
        self.loop.run_until_idle()

    def start(self) -> None:
        self.sampler.start()
        self.loop.run_until_idle()

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"tubepost_queue_{name}", labels)


def test_counts_by_domain_and_route_with_the_age_of_the_oldest() -> None:
    bench = Bench()
    bench.queue.slots[3] = Slot(3, MemoryStore(bench.loop))
    bench.put(1, 2, age=10.0)
    bench.put(3, due=60.0, age=500.0, route="route0")
    bench.put(4, slot=3, age=30.0)
    bench.put(5, age=1.0, domain="gone.example")
    bench.start()
    ours = {"domain": NAME, "route": ""}
    assert bench.value("notifications", **ours) == 3
    assert bench.value("due", **ours) == 3
    assert bench.value("oldest_age_seconds", **ours) == 30.0
    tried = {"domain": NAME, "route": "route0"}
    assert (bench.value("notifications", **tried), bench.value("due", **tried)) == (1, 0)
    assert bench.value("oldest_age_seconds", **tried) == 500.0
    assert bench.value("notifications", domain="other", route="") == 1
    bench.second()
    assert bench.value("oldest_age_seconds", **tried) == 501.0


def test_what_has_gone_is_counted_no_more() -> None:
    bench = Bench()
    bench.put(1)
    bench.start()
    labels = {"domain": NAME, "route": ""}
    assert bench.value("notifications", **labels) == 1
    bench.queue.slots[0].store.ended(1)
    bench.second()
    assert bench.value("notifications", **labels) is None
    assert bench.value("oldest_age_seconds", **labels) is None


def test_a_partition_that_was_given_up_is_counted_no_more() -> None:
    bench = Bench()
    bench.queue.slots[1] = Slot(1, MemoryStore(bench.loop))
    bench.put(1, slot=1)
    bench.start()
    assert bench.value("partitions", state="adopted") == 1
    del bench.queue.slots[1]
    bench.second()
    assert bench.value("notifications", domain=NAME, route="") is None
    assert bench.value("partitions", state="adopted") == 0


def test_patterns_are_one_label() -> None:
    one = domain(FakePool())
    entries = (EntryConfig(pattern=r"[a-z]+\.example", routes=("route0",), delivery=one.options),)
    bench = Bench(Domains(DomainLookup(entries), (one,)))
    for number, name in enumerate(("a.example", "b.example", "c.example")):
        bench.put(number, domain=name)
    bench.start()
    assert bench.value("notifications", domain=r"[a-z]+\.example", route="") == 3


def test_what_is_held_back_and_by_what() -> None:
    held, other = FakePool(held_until=100.0), FakePool()
    bench = Bench(domains(domain(held, other)))
    bench.put(1, 2, hold="operator: incident 7")
    bench.put(3)
    bench.start()
    causes = ("operator", "suspend", "routes")
    assert [bench.value("held", cause=cause) for cause in causes] == [2, 0, 0]
    other.held_until = 100.0
    bench.second()
    assert [bench.value("held", cause=cause) for cause in causes] == [2, 0, 1]
    bench.inforce = domains(domain(held, options=DeliveryConfig(mode=DeliveryMode.SUSPEND)))
    bench.second()
    assert [bench.value("held", cause=cause) for cause in causes] == [2, 1, 0]
    bench.inforce = domains(None)
    bench.second()
    assert [bench.value("held", cause=cause) for cause in causes] == [2, 0, 0]


def test_mails_are_not_held_back_by_routes() -> None:
    bench = Bench(domains(domain(FakePool(held_until=100.0))))
    bench.put(1)
    bench.put(2, route=RELAY)
    bench.start()
    assert bench.value("held", cause="routes") == 1


class Slow:
    """A store with figures of its own, whose counts a test gives."""

    def __init__(self) -> None:
        self.figures = Figures()
        self.shared = False
        self.asked: list[Any] = []

    def tally(self, which: Any, now: float, after: int | None, done: Any) -> None:
        self.asked.append((after, done))


def test_figures_become_gauges_and_counters_that_only_grow() -> None:
    bench = Bench()
    store = bench.slow()
    store.figures = Figures(
        size=10, unused=4, entries=9, commits=3, commit_seconds=0.5, quarantined=1, damaged=2
    )
    bench.queue.active = 7
    bench.start()
    store.figures = store.figures._replace(commits=5, commit_seconds=0.75, size=20)
    bench.second()
    assert (bench.value("commits_total"), bench.value("commit_seconds_total")) == (5, 0.75)
    assert (bench.value("size_bytes"), bench.value("unused_bytes")) == (20, 4)
    assert (bench.value("quarantined_files"), bench.value("damaged_entries")) == (1, 2)
    assert (bench.value("active"), bench.value("entries")) == (7, 9)
    again = bench.slow()
    again.figures = Figures(commits=1, commit_seconds=0.25)
    bench.second()
    assert (bench.value("commits_total"), bench.value("commit_seconds_total")) == (6, 1.0)


def test_a_large_queue_is_counted_seldom_and_one_at_a_time() -> None:
    bench = Bench()
    store = bench.slow()
    bench.start()
    for _ in range(3):
        bench.second()
    assert [after for after, _ in store.asked] == [None]
    done = store.asked.pop()[1]
    done(one_counted(following=9))
    (after, done) = store.asked.pop()
    assert after == 9
    done(one_counted(following=None))
    assert bench.value("notifications", domain=NAME, route="") == 2
    for _ in range(3 * REST - 1):
        bench.second()
    assert store.asked == []
    bench.second()
    assert len(store.asked) == 1


def test_a_count_is_never_much_older_than_it_took() -> None:
    bench = Bench()
    store = bench.slow()
    bench.start()
    bench.loop.advance(200.0)
    store.asked.pop()[1](one_counted(following=None))
    bench.loop.advance(MOST_REST - 2.0)
    assert store.asked == []
    bench.loop.advance(3.0)
    assert len(store.asked) == 1


def test_that_a_queue_is_empty_is_known_without_counting() -> None:
    bench = Bench()
    store = bench.slow()
    bench.start()
    bench.loop.advance(100.0)
    store.asked.pop()[1](one_counted(following=None))
    store.figures = Figures(entries=0, commits=1)
    bench.second()
    assert store.asked == []
    assert bench.value("notifications", domain=NAME, route="") is None


def one_counted(following: int | None) -> Tally:

    return Tally((Count(NAME, "", "", "", 1, 1, WALL, 10),), 1, following)


def test_a_partition_that_cannot_be_read_keeps_its_last_counts() -> None:
    bench = Bench()
    store = bench.slow()
    bench.start()
    store.asked.pop()[1](one_counted(following=None))
    bench.second()
    store.asked.pop()[1](Failure(FailureKind.FAILED, "the disk failed"))
    bench.second()
    assert bench.value("notifications", domain=NAME, route="") == 1


def test_after_close_nothing_is_sampled() -> None:
    bench = Bench()
    store = bench.slow()
    bench.start()
    bench.sampler.close()
    store.asked.pop()[1](one_counted(following=3))
    bench.second()
    assert store.asked == []
    assert bench.loop.timers == []


@pytest.mark.parametrize(
    ("kind", "own", "adopted"),
    [
        (None, "owned", "adopted"),
        (FailureKind.FULL, "owned", "adopted"),
        (FailureKind.BUSY, "owned", "adopted"),
        (FailureKind.LOCKED, "locked", "locked"),
        (FailureKind.READ_ONLY, "failed", "failed"),
        (FailureKind.FAILED, "failed", "failed"),
        (FailureKind.NEWER, "failed", "failed"),
        (FailureKind.CLOSED, "failed", "failed"),
    ],
)
def test_states(kind: FailureKind | None, own: str, adopted: str) -> None:
    figures = Figures(failure=None if kind is None else Failure(kind, "why"))
    assert (state_of(figures, own=True), state_of(figures, own=False)) == (own, adopted)


def test_a_pattern_of_many_domains_takes_no_memory_for_each() -> None:
    one = domain(FakePool())
    entries = (EntryConfig(pattern=r".*\.example", routes=("route0",), delivery=one.options),)
    label = Domains(DomainLookup(entries), (one,)).label
    sums: Sums = {}
    counts = [
        Count(f"d{n}.example", "", "", "ops: why" if n % 4 else "", 3, 1, WALL - n, 10) for n in range(2_000)
    ]
    for start in range(0, 2_000, 100):
        sum_up(sums, counts[start : start + 100], label)
    (((name, route), found),) = sums.items()
    assert (name, route) == (r".*\.example", "")
    assert (found.queued, found.due, found.held, found.oldest) == (6_000, 2_000, 4_500, WALL - 1_999)


def test_of_a_store_that_all_share_the_first_worker_tells() -> None:
    store: Any = Slow()
    assert tells_of_all(1, store)
    store.shared = True
    assert tells_of_all(0, store)
    assert not tells_of_all(1, store)


def test_what_is_to_be_said_of_a_stream_is_said_while_it_holds() -> None:
    bench = Bench()
    store = bench.slow()
    bench.start()
    assert bench.value("stream_state", state="ok") is None
    for states in (("unreachable",), ("memory_storage", "one_replica"), ("ok",)):
        store.figures = Figures(stream=states)
        bench.second()
        said = [state for state in STREAM_STATES if bench.value("stream_state", state=state)]
        assert sorted(said) == sorted(states)
