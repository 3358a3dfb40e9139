from __future__ import annotations

import pytest

from tests.dispatcher.delivery.support import (
    BUSY,
    DEAD,
    DELIVERED,
    Bench,
    FakePool,
    domain,
    domains,
    notification,
)
from tubepost_api.config import DeliveryConfig, DeliveryMode, Throttle
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.delivery.failover import ROUTE_PATIENCE
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.pod_limits.bucket import TokenBucket
from tubepost_dispatcher.reasons.catalogue import local_outcome


def test_an_attempt_and_its_end_are_told_once_and_the_owner_last() -> None:
    bench = Bench()
    delivery = bench.deliver()
    assert not bench.told.attempts
    bench.pools[0].answer(DELIVERED)
    assert bench.told.attempts == bench.told.ends == [("m1", "")]
    assert bench.told.owner_ends == [(delivery.notification, DELIVERED)]
    assert delivery.notification.attempt == 1
    bench.loop.advance(1_000.0)
    assert not bench.loop.timers


def test_a_permanent_failure_is_the_end() -> None:
    bench = Bench()
    bench.deliver()
    bench.pools[0].answer(DEAD)
    assert [outcome for _, outcome in bench.told.owner_ends] == [DEAD]
    assert bench.loop.timers == []


def test_a_wait_that_is_too_long_for_memory_is_handed_back() -> None:
    bench = Bench()
    what = notification()
    bench.deliver(what, RetryPolicy(first=10.0, most=10.0, in_memory=5.0, queued=True))
    bench.pools[0].answer(BUSY)
    assert bench.told.deferrals == [(what, BUSY, bench.loop.now + 10.0)]
    assert not bench.told.ends
    assert not bench.told.owner_ends
    assert bench.loop.timers == []


@pytest.mark.parametrize("queued", [False, True])
def test_what_is_throttled_waits_in_a_queue_and_ends_where_somebody_waits(queued: bool) -> None:
    pool = FakePool()
    only = domain(pool)
    only = Domain(only.options, only.routes, TokenBucket(Throttle(messages=1, seconds=3600.0)))
    bench = Bench(only)
    policy = RetryPolicy(first=1.0, most=1.0, queued=queued)
    bench.deliver(notification(1), policy)
    bench.deliver(notification(2), policy)
    assert len(pool.requests) == 1
    if queued:
        assert not bench.told.owner_ends
        assert len(bench.loop.timers) == 1
    else:
        ((what, outcome),) = bench.told.owner_ends
        assert (what.message_id, outcome.reason) == ("m2", "Throttled")
    assert not bench.told.attempts


def test_what_no_route_can_take_ends_before_it_is_sent() -> None:
    bench = Bench()
    bench.deliver(notification(push=PushPart(b"ab", b"{}", push_type=b"toast")))
    assert bench.told.ends == [("m1", "InvalidPushType")]
    assert not bench.told.attempts
    assert not bench.pools[0].requests


def test_two_failing_routes_are_not_tried_in_turn_without_a_pause() -> None:
    bench = Bench(pools=2)
    bench.deliver()
    fault = local_outcome("ConnectFailed")
    bench.pools[0].answer(fault)
    bench.loop.advance(0.0)
    bench.pools[1].answer(fault)
    bench.loop.advance(0.5)
    assert not any(pool.requests for pool in bench.pools)
    bench.loop.advance(4.0)
    assert sum(len(pool.requests) for pool in bench.pools) == 1


def test_withdrawn_while_it_waits_is_the_end_and_no_attempt() -> None:
    bench = Bench()
    delivery = bench.deliver()
    assert bench.deliverer.withdraw(delivery)
    assert bench.told.ends == [("m1", "ClientGone")]
    assert not bench.told.attempts
    assert not bench.pools[0].requests
    assert bench.deliverer.withdraw(delivery)
    assert len(bench.told.ends) == 1


def test_withdrawn_after_sending_ends_with_that_attempt() -> None:
    bench = Bench()
    bench.pools[0].withdrawable = False
    delivery = bench.deliver()
    assert not bench.deliverer.withdraw(delivery)
    assert not bench.told.ends
    bench.pools[0].answer(BUSY)
    assert bench.told.ends == [("m1", "ServiceUnavailable")]
    assert bench.loop.timers == []


def test_given_up_before_it_was_sent_counts_as_an_attempt_that_found_no_connection() -> None:
    bench = Bench()
    delivery = bench.deliver()
    assert bench.deliverer.give_up(delivery)
    assert bench.told.attempts == bench.told.ends == [("m1", "NoConnectionInTime")]


@pytest.mark.parametrize("mode", [DeliveryMode.SUSPEND, DeliveryMode.BLACKHOLE])
def test_a_queued_repetition_waits_while_its_domain_is_suspended(mode: DeliveryMode) -> None:
    bench = Bench()
    bench.deliver(policy=RetryPolicy(first=1.0, most=1.0, queued=True))
    bench.pools[0].answer(BUSY)
    bench.deliverer.swap(domains(domain(*bench.pools, options=DeliveryConfig(mode=mode))))
    bench.loop.advance(1.0)
    bench.deliverer.swap(domains(None))
    bench.loop.advance(1.0)
    assert not bench.pools[0].requests
    assert not bench.told.owner_ends
    bench.deliverer.swap(domains(bench.domain))
    bench.loop.advance(1.5)
    bench.pools[0].answer(DELIVERED)
    assert bench.told.owner_ends[0][1] is DELIVERED
    assert bench.told.attempts == [("m1", "ServiceUnavailable"), ("m1", "")]


def test_a_fault_of_a_listener_ends_as_a_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def attempted(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
            raise RuntimeError("boom")

        def ended(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
            raise RuntimeError("boom")

    bench = Bench()
    bench.deliverer = Deliverer(
        domains(bench.domain), (Broken(),), Metrics(), loop=bench.loop, clock=lambda: bench.loop.now
    )
    bench.deliver()
    bench.pools[0].answer(DELIVERED)
    assert [outcome.reason for _, outcome in bench.told.owner_ends] == ["InternalError"]
    assert "internal error" in caplog.text


LOST = local_outcome("ConnectionLost", possible_double=True, retry_at_once=True)
LATE = local_outcome("ResponseTimeout", possible_double=True)


@pytest.mark.parametrize("pools", [1, 2])
@pytest.mark.parametrize("second", [LOST, LATE, BUSY], ids=lambda outcome: outcome.reason)
def test_what_may_have_been_delivered_is_sent_once_more_and_no_more(pools: int, second: Outcome) -> None:
    bench = Bench(pools=pools)
    delivery = bench.deliver()
    bench.pools[0].answer(LATE)
    bench.loop.advance(2.0)
    bench.pools[-1].answer(second)
    bench.loop.advance(100.0)
    assert [outcome for _, outcome in bench.told.owner_ends] == [second]
    assert delivery.notification.attempt == 2
    assert not any(pool.requests for pool in bench.pools)


def test_what_was_never_sent_does_not_count_as_sent() -> None:
    bench = Bench()
    bench.deliver()
    for outcome in (BUSY, local_outcome("StreamRefused"), LATE, DELIVERED):
        bench.pools[0].answer(outcome)
        bench.loop.advance(10.0)
    assert [outcome for _, outcome in bench.told.owner_ends] == [DELIVERED]


def test_a_queues_schedule_goes_on_after_doubts() -> None:
    bench = Bench()
    bench.deliver(policy=RetryPolicy(first=1.0, most=1.0, queued=True))
    for _ in range(5):
        bench.pools[0].answer(LATE)
        bench.loop.advance(2.0)
    assert bench.pools[0].requests
    assert not bench.told.owner_ends


@pytest.mark.parametrize("pools", [1, 3])
def test_a_queue_sends_what_is_in_doubt_once_more_and_then_by_its_schedule(pools: int) -> None:
    bench = Bench(pools=pools)
    what = notification()
    bench.deliver(what, RetryPolicy(first=5.0, most=5.0, in_memory=0.0, queued=True))
    sent = 0
    while any(pool.requests for pool in bench.pools):
        sent += 1
        next(pool for pool in bench.pools if pool.requests).answer(LOST)
        bench.loop.advance(0.0)
    assert sent == 2
    assert [at for *_, at in bench.told.deferrals] == [bench.loop.now + 5.0]


def test_with_another_route_left_a_stream_is_not_waited_for_long() -> None:
    bench = Bench(pools=2)
    delivery = bench.deliver(seconds=60.0)
    (first,) = bench.pools[0].requests
    assert first.give_up_at == bench.loop.now + ROUTE_PATIENCE
    bench.pools[0].answer(local_outcome("NoConnectionInTime"))
    bench.loop.advance(0.0)
    (second,) = bench.pools[1].requests
    assert second.give_up_at == delivery.end_at, "none is left"


def test_a_route_that_is_held_is_no_alternative() -> None:
    bench = Bench(pools=2)
    bench.pools[1].held_until = bench.loop.now + 10.0
    delivery = bench.deliver()
    assert bench.pools[0].requests[0].give_up_at == delivery.end_at


@pytest.mark.parametrize(("user", "source"), [("shop", b"shop"), ("", b"192.0.2.7")])
def test_the_source_is_who_sent_it_in_and_not_what_it_says(user: str, source: bytes) -> None:
    bench = Bench()
    bench.deliver(notification(user=user, client_address="192.0.2.7"))
    assert bench.pools[0].requests[0].source == source


def test_a_silent_route_is_left_for_another_and_told_at_once_without_one() -> None:
    silent = local_outcome("RouteSilent", held_until=1_000_000.0)
    bench = Bench(pools=2)
    bench.deliver()
    bench.pools[0].answer(silent)
    bench.loop.advance(0.0)
    assert bench.pools[1].requests
    alone = Bench()
    alone.deliver()
    alone.pools[0].answer(silent)
    assert [outcome for _, outcome in alone.told.owner_ends] == [silent]
