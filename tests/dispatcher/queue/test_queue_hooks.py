"""Hooks about what is queued: a fault keeps it, and another domain's lanes and routes take it over."""

from __future__ import annotations

import pytest

from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED, NAME, FakePool, domain
from tests.dispatcher.delivery.test_hook_points import FAULT, MAIL, FakeHooks
from tests.dispatcher.queue.support import Bench, ids, routed
from tests.support.loop import FakeLoop
from tubepost_dispatcher.delivery.hooks import Ruling
from tubepost_dispatcher.store.memory import MemoryStore

HOUR = 3_600.0
RETRY = 1_200.0
"""Seconds until the second attempt."""
OTHER = "other.example"


class Hooked(Bench):
    """Two domains, and hooks that the test answers."""

    def __init__(self, *points: str) -> None:
        self.other = FakePool()
        pool, loop = FakePool(), FakeLoop()
        table = {NAME: domain(pool), OTHER: routed("other", self.other)}
        self.store = MemoryStore(loop)
        super().__init__(None, pool, loop=loop, stores={0: self.store}, table=table)
        self.hooks = FakeHooks(frozenset(points))
        self.deliverer.set_hooks(self.hooks)

    def rule(self, point: str, ruling: Ruling | None = None) -> None:
        self.hooks.rule(point, ruling)
        self.loop.run_until_idle()

    def answer(self, pool: FakePool, outcome: object) -> None:
        pool.answer(outcome)  # type: ignore[arg-type]
        self.loop.run_until_idle()


@pytest.mark.parametrize("point", ["attempt", "answer", "end"])
def test_a_fault_keeps_it_until_its_next_time(point: str) -> None:
    bench = Hooked(point)
    bench.stored(1)
    if point != "attempt":
        bench.answer(bench.pool, DEAD)
    bench.rule(point, FAULT)
    assert bench.store.figures.entries == 1
    assert bench.ends == []
    bench.loop.advance(RETRY)
    if point == "attempt":
        bench.rule(point)
    bench.answer(bench.pool, DELIVERED)
    if point != "attempt":
        bench.rule(point)
    assert bench.ends == [("m1", "")]
    assert bench.store.figures.entries == 0


def test_what_another_domain_takes_over_is_stored_as_that_domains_and_goes_there_once() -> None:
    bench = Hooked("end")
    bench.stored(1)
    bench.answer(bench.pool, DEAD)
    bench.rule("end", Ruling(domain=OTHER))
    assert ids(bench.other) == ["m1"]
    bench.answer(bench.other, BUSY)
    bench.loop.advance(HOUR)
    assert ids(bench.other) == ["m1"]
    (active,) = bench.queue.slots[0].active.values()
    assert (active.notification.domain, active.notification.rerouted) == (OTHER, True)
    assert active.owner.lane.domain == OTHER  # type: ignore[attr-defined]
    bench.answer(bench.other, DEAD)
    bench.rule("end", Ruling(domain=NAME))
    assert bench.ends == [("m1", "Unregistered")]
    assert bench.store.figures.entries == 0


def test_a_mail_takes_the_place_of_a_notification_in_its_row() -> None:
    bench = Hooked("end")
    bench.stored(1)
    bench.answer(bench.pool, DEAD)
    bench.rule("end", Ruling(mail=MAIL))
    assert bench.ends == [("m1", "Unregistered")]
    assert bench.store.figures.entries == 1
