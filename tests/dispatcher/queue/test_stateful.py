"""Whatever happens in whatever order: what was acknowledged ends exactly once, or is there after a crash.

Twice only where an attempt was under way when the process died; with the same apns-id.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED, FakePool
from tests.dispatcher.queue.support import Bench, domains_of, routed
from tests.support.loop import FakeLoop
from tubepost_api.config import DeliveryConfig, DeliveryMode
from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.reasons.catalogue import local_outcome
from tubepost_dispatcher.store.memory import MemoryStore
from tubepost_dispatcher.store.port import Failure

OUTCOMES = {
    "delivered": DELIVERED,
    "dead": DEAD,
    "busy": BUSY,
    "lost": local_outcome("ConnectionLost", possible_double=True),
    "closing": local_outcome("ShuttingDown", retry_at_once=True),
}
DAY = 86_400.0
NAMES = ("a.example", "b.example")


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = FakeLoop()
        self.stores: dict[int, Any] = {0: MemoryStore(self.loop)}
        self.number = 0
        self.acknowledged: set[str] = set()
        self.abandoned: set[str] = set()
        self.unheard: set[str] = set()
        """Durable when the process died, before anybody was told."""
        self.ended: dict[str, str] = {}
        self.under_way: set[str] = set()
        """Sent, and unanswered when a process died."""
        self.apns_ids: dict[str, set[bytes]] = {}
        self.modes = dict.fromkeys(NAMES, DeliveryMode.DELIVER)
        self.start()

    def start(self) -> None:
        self.pools = {name: FakePool() for name in NAMES}
        table = {name: self.domain(name) for name in NAMES}
        self.bench = Bench(
            table[NAMES[0]], *self.pools.values(), loop=self.loop, stores=self.stores, table=table
        )
        self.seen = 0

    def domain(self, name: str) -> Domain:
        return routed(name[0], self.pools[name], DeliveryConfig(mode=self.modes[name]))

    def note(self) -> None:
        for name, reason in self.bench.ends[self.seen :]:
            assert name not in self.ended or name in self.under_way, f"{name} ends twice"
            self.ended[name] = reason
        self.seen = len(self.bench.ends)
        for pool in self.pools.values():
            for request in pool.requests:
                name = request.owner.notification.message_id
                self.apns_ids.setdefault(name, set()).add(request.apns_id)

    @rule(
        count=st.integers(1, 40),
        domain=st.sampled_from(NAMES),
        sender=st.sampled_from("xyz"),
        abandon=st.booleans(),
        turn=st.booleans(),
    )
    def put(self, count: int, domain: str, sender: str, abandon: bool, turn: bool) -> None:
        if self.modes[domain] is DeliveryMode.BLACKHOLE:
            return
        numbers = range(self.number, self.number + count)
        self.number += count
        names = {f"m{number}" for number in numbers}
        items = [
            (
                self.bench.notification(number, domain=domain, sender=f"{sender}@s.example"),
                self.bench.table[domain],
            )
            for number in numbers
        ]

        def done(failure: Failure | None) -> None:
            assert failure is None
            self.acknowledged.update(names)

        putting = self.bench.queue.put(items, done)
        if abandon:
            putting.abandon()
            self.abandoned.update(names)
        if turn:
            self.loop.run_until_idle()

    @precondition(lambda self: any(pool.requests for pool in self.pools.values()))
    @rule(data=st.data(), outcome=st.sampled_from(sorted(OUTCOMES)), count=st.integers(1, 60))
    def answers(self, data: Any, outcome: str, count: int) -> None:
        self.note()
        pool = data.draw(st.sampled_from([pool for pool in self.pools.values() if pool.requests]))
        for _ in range(min(count, len(pool.requests))):
            pool.answer(OUTCOMES[outcome])
        self.loop.run_until_idle()
        self.note()

    @rule(seconds=st.sampled_from([0.5, 60.0, 3_600.0, DAY]))
    def time_passes(self, seconds: float) -> None:
        self.loop.advance(seconds)
        self.note()

    @rule(name=st.sampled_from(NAMES), held=st.booleans())
    def route_is_held(self, name: str, held: bool) -> None:
        self.pools[name].held_until = float("inf") if held else 0.0

    @rule(name=st.sampled_from(NAMES), mode=st.sampled_from([DeliveryMode.DELIVER, DeliveryMode.SUSPEND]))
    def mode_changes(self, name: str, mode: DeliveryMode) -> None:
        self.modes[name] = mode
        self.swap({one: self.domain(one) for one in NAMES})

    @rule()
    def a_domain_goes(self) -> None:
        self.swap({NAMES[0]: self.domain(NAMES[0])})

    def swap(self, table: dict[str, Domain]) -> None:
        self.bench.table.update(table)
        self.bench.deliverer.swap(domains_of(table))
        self.bench.queue.swap(domains_of(table))
        self.loop.run_until_idle()
        self.note()

    @rule()
    def killed(self) -> None:
        self.note()
        for pool in self.pools.values():
            self.under_way.update(request.owner.notification.message_id for request in pool.requests)
        present = {entry.message_id for entry in self.stores[0]._kept.values()}
        self.unheard |= present - self.acknowledged
        self.bench.queue._feeder.stop()
        self.bench.queue._closed = True
        self.loop.timers.clear()
        store = self.stores[0]
        store.release(list(store._taken))
        self.start()
        self.note()

    @invariant()
    def what_is_in_memory_adds_up(self) -> None:
        queue = self.bench.queue
        assert queue.active >= sum(len(slot.active) for slot in queue.slots.values())
        assert queue.active <= queue._feeder._turns.most

    @invariant()
    def nothing_is_lost(self) -> None:
        present = {entry.message_id for entry in self.stores[0]._kept.values()}
        missing = self.acknowledged - present - set(self.ended)
        self.note()
        assert not missing - set(self.ended), f"lost: {sorted(missing)[:5]}"

    def teardown(self) -> None:
        for name in NAMES:
            self.modes[name] = DeliveryMode.DELIVER
            self.pools[name].held_until = 0.0
        self.swap({one: self.domain(one) for one in NAMES})
        for _ in range(400):
            for pool in self.pools.values():
                self.note()
                while pool.requests:
                    pool.answer(DELIVERED)
                    self.loop.run_until_idle()
            self.note()
            if not self.stores[0]._kept:
                break
            self.loop.advance(1_800.0)
        assert not self.stores[0]._kept
        assert self.bench.queue.active == 0
        assert self.acknowledged <= set(self.ended)
        assert set(self.ended) <= self.acknowledged | self.abandoned | self.unheard
        assert all(len(ids) == 1 for ids in self.apns_ids.values())


QueueMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, report_multiple_bugs=False
)
TestQueue = QueueMachine.TestCase
