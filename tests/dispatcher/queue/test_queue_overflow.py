"""What Direct acceptance hands over: tried before, while its sender waited."""

from __future__ import annotations

import pytest

from tests.dispatcher.delivery.support import BUSY, DELIVERED, FakePool, domain
from tests.dispatcher.queue.support import Bench
from tubepost_api.config import DeliveryConfig, DeliveryMode
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.queue.item import Putting
from tubepost_dispatcher.reasons.catalogue import local_outcome
from tubepost_dispatcher.store.port import Failure, FailureKind

DOWN = local_outcome("ConnectFailed")
HOUR = 3_600.0


def hand_over(bench: Bench, outcome: Outcome, attempts: int, expires_in: float = 0.0) -> Putting | None:
    notification = bench.notification(1, attempt=attempts)
    if expires_in:
        notification.push.expiration = int(bench.wall() + expires_in)
    owner = bench.told
    delivery = Delivery(notification, bench.domain, owner, RetryPolicy(0.25, 5.0, hand_back=True), 0.0, 0.0)
    delivery.route = bench.domain.routes[0]
    putting = bench.queue.take_over(delivery, outcome, bench.answers.append)
    bench.loop.run_until_idle()
    return putting


def test_the_schedule_begins_with_it_and_the_count_goes_on() -> None:
    bench = Bench()
    hand_over(bench, DOWN, 7)
    assert (bench.answers, bench.sent) == ([None], [])
    # The first interval is 20 minutes, as if seven attempts were one.
    bench.loop.advance(600.0)
    assert bench.sent == []
    bench.loop.advance(1_200.0)
    assert bench.sent == ["m1"]
    (request,) = bench.pool.requests
    assert request.owner.notification.attempt == 8
    bench.pool.answer(DOWN)
    # The second one is 40 minutes.
    bench.loop.advance(1_200.0 - 1)
    assert bench.sent == []
    bench.loop.advance(2_400.0)
    assert bench.sent == ["m1"]
    bench.pool.answer(DELIVERED)
    bench.loop.advance(10.0)
    assert (bench.queue.queued, bench.ends) == (0, [("m1", "")])


def test_a_busy_apns_is_left_alone_here_too() -> None:
    options = DeliveryConfig(retry_interval=1.0, max_retry_interval=1.0)
    pool = FakePool()
    bench = Bench(domain(pool, options=options), pool)
    hand_over(bench, BUSY, 3)
    bench.loop.advance(899.0)
    assert bench.sent == []
    bench.loop.advance(1_000.0)
    assert bench.sent == ["m1"]


def test_what_was_suspended_goes_as_soon_as_it_may() -> None:
    pool = FakePool()
    bench = Bench(domain(pool, options=DeliveryConfig(mode=DeliveryMode.SUSPEND)), pool)
    hand_over(bench, local_outcome("Suspended"), 0)
    bench.loop.advance(HOUR)
    assert (bench.queue.queued, bench.sent) == (1, [])
    bench.swap(domain(pool))
    bench.loop.advance(5.0)
    assert bench.sent == ["m1"]


@pytest.mark.parametrize("options", [{"max_retries": 0}, {}])
def test_without_another_attempt_it_is_not_taken(options: dict[str, int]) -> None:
    pool = FakePool()
    bench = Bench(domain(pool, options=DeliveryConfig(**options)), pool)
    assert hand_over(bench, DOWN, 2, expires_in=0.0 if options else 60.0) is None
    bench.loop.advance(10.0)
    assert (bench.answers, bench.queue.queued) == ([], 0)


def test_what_is_abandoned_meanwhile_is_never_sent() -> None:
    bench = Bench()
    notification = bench.notification(1, attempt=1)
    policy = RetryPolicy(0.25, 5.0, hand_back=True)
    delivery = Delivery(notification, bench.domain, bench.told, policy, 0.0, 0.0)
    putting = bench.queue.take_over(delivery, DOWN, bench.answers.append)
    assert putting is not None
    putting.abandon()
    bench.loop.advance(10 * HOUR)
    assert (bench.answers, bench.sent, bench.queue.queued) == ([], [], 0)


async def test_a_closed_queue_says_so() -> None:
    bench = Bench()
    await bench.queue.drain(0.0)
    assert hand_over(bench, DOWN, 1) is not None
    (failure,) = bench.answers
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.CLOSED
