"""The queue's schedule, by itself and with delivery, on a clock of days."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.dispatcher.delivery.support import BUSY, DELIVERED, FakePool, Told, domain, domains, notification
from tests.support.loop import FakeLoop
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.schedule import APPLE_PAUSE, Schedule, due_again, taken_over
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import local_outcome

HOUR = 3_600.0
DAY = 24 * HOUR
WALL = 1_800_000_000.0
DOWN = local_outcome("ConnectFailed")


def attempts(
    schedule: Schedule, outcome: Outcome, *, chance: random.Random, up_after: float = float("inf")
) -> list[float]:
    """Seconds after acceptance at which a notification is tried, until it is delivered or expires."""
    loop, told, pool = FakeLoop(), Told(), FakePool()
    start = loop.now
    table = domains(domain(pool))
    deliverer = Deliverer(
        table,
        (told.listener,),
        Metrics(),
        loop=loop,
        clock=lambda: loop.now,
        wall=lambda: WALL + loop.now - start,
        chance=chance.random,
    )
    what = notification(1, accepted_at=WALL)
    expires = schedule.expires(what)
    times: list[float] = []
    while True:
        found = table.find(what.domain)
        assert found is not None
        delivery, refused = deliverer.prepare(what, found, told, schedule.policy(), loop.now, float("inf"))
        assert refused is None
        deliverer.start(delivery)
        times.append(loop.now - start)
        pool.answer(DELIVERED if times[-1] >= up_after else outcome)
        if told.owner_ends:
            return times
        _, why, at = told.deferrals.pop()
        now = WALL + loop.now - start
        due = due_again(why, at - loop.now, now=now, expires=expires, chance=chance.random())
        if due is None:
            return times
        assert due < expires
        loop.advance(due - now)


@pytest.mark.parametrize("seed", range(20))
def test_the_intervals_double_within_their_jitter_until_it_expires(seed: int) -> None:
    schedule = Schedule()
    times = attempts(schedule, DOWN, chance=random.Random(seed))
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert times[-1] < 7 * DAY
    assert times[-1] > 7 * DAY - 1.5 * 12 * HOUR
    for number, wait in enumerate(waits):
        nominal = min(1_200.0 * 2**number, 12 * HOUR)
        assert 0.5 * nominal - 1 <= wait <= 1.5 * nominal + 1
    assert 15 <= len(times) <= 30


def test_it_ends_at_its_delivery() -> None:
    times = attempts(Schedule(), DOWN, chance=random.Random(1), up_after=1.5 * DAY)
    assert 1.5 * DAY <= times[-1] <= 1.5 * DAY + 18 * HOUR
    assert len([time for time in times if time >= 1.5 * DAY]) == 1


@pytest.mark.parametrize(("retries", "tries"), [(0, 1), (1, 2), (3, 4)])
def test_a_number_of_retries_is_kept(retries: int, tries: int) -> None:
    assert len(attempts(Schedule(max_retries=retries), DOWN, chance=random.Random(1))) == tries


@pytest.mark.parametrize("status", [500, 503])
def test_apple_is_left_alone_for_a_quarter_of_an_hour_when_it_is_busy(status: int) -> None:
    busy = Outcome(OutcomeKind.TRANSIENT, BUSY.reason, status=status)
    short = Schedule(retry_interval=5.0, max_retry_interval=60.0, message_expiration=DAY)
    times = attempts(short, busy, chance=random.Random(3))
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert waits
    assert all(APPLE_PAUSE - 1 <= wait <= 1.5 * APPLE_PAUSE + 1 for wait in waits)
    assert len({round(wait) for wait in waits}) > 10, "spread"


def test_other_failures_are_tried_as_often_as_was_asked_for() -> None:
    short = Schedule(retry_interval=5.0, max_retry_interval=60.0, message_expiration=HOUR)
    assert len(attempts(short, DOWN, chance=random.Random(3))) > 50


def test_a_longer_wait_that_apns_asked_for_is_kept() -> None:
    assert due_again(BUSY, 7_200.0, now=WALL, expires=WALL + DAY, chance=1.0) == WALL + 7_200.0
    limited = Outcome(OutcomeKind.TRANSIENT, "TooManyRequests", status=429)
    assert due_again(limited, 10.0, now=WALL, expires=WALL + DAY, chance=1.0) == WALL + 10.0


def test_what_would_come_too_late_ends_now() -> None:
    assert due_again(DOWN, 10.0, now=WALL, expires=WALL + 10.0, chance=0.5) is None
    assert due_again(DOWN, 9.0, now=WALL, expires=WALL + 10.0, chance=0.5) == WALL + 9.0
    assert due_again(BUSY, 9.0, now=WALL, expires=WALL + 900.0, chance=0.0) is None


@pytest.mark.parametrize(
    ("expiration", "expected"),
    [
        (None, WALL + 7 * DAY),
        (0, WALL + 7 * DAY),
        (int(WALL) + 60, WALL + 60),
        (int(WALL + 8 * DAY), WALL + 7 * DAY),
    ],
)
def test_apns_expiration_shortens_our_patience(expiration: int | None, expected: float) -> None:
    push = PushPart(b"ab" * 32, b"{}", expiration=expiration)
    assert Schedule().expires(notification(1, push=push, accepted_at=WALL)) == expected


@pytest.mark.parametrize(
    ("outcome", "due"),
    [
        (DOWN, 1_200.0),
        (local_outcome("ConnectionLost", retry_at_once=True), 0.0),
        (local_outcome("RouteHeld", held_until=50.0 + 5_000.0), 5_000.0),
        (BUSY, 1_200.0),
        (local_outcome("Throttled"), 1_200.0),
        (local_outcome("Suspended"), 0.0),
        (local_outcome("DomainGone"), 0.0),
    ],
)
def test_what_was_tried_while_its_sender_waited_begins_with_the_first_interval(
    outcome: Outcome, due: float
) -> None:
    def ask(expires: float, max_retries: int | None = None) -> float | None:
        policy = Schedule(max_retries=max_retries).policy()
        return taken_over(policy, outcome, 50.0, WALL, expires, 0.5)

    assert ask(WALL + DAY) == WALL + due
    assert ask(WALL + due) is None
    tried = outcome.reason not in {"Suspended", "DomainGone"}
    assert (ask(WALL + DAY, max_retries=0) is None) == tried
