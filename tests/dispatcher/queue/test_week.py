"""A simulated week: a 12-hour outage of one of two routes with 100,000 messages queued, on a fake clock."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

from tests.dispatcher.delivery.support import DELIVERED
from tests.dispatcher.queue.support import Bench, routed
from tests.support.loop import FakeLoop
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import local_outcome

HOUR = 3_600.0
LATENCY = 0.05
"""Seconds from a request to its answer."""
MANY = 100_000
OUTAGE = (10 * HOUR, 22 * HOUR)
TIMES_BUSY = 4
"""How often a busy device refuses a notification before it takes it."""
INTERVAL, MOST = 1_200.0, 43_200.0
REFUSED = local_outcome("ConnectFailed")
TOO_MANY = Outcome(OutcomeKind.TRANSIENT, "TooManyRequests", status=429)


class Route:
    """A pool whose peer answers after `LATENCY`, all that came in one turn together."""

    def __init__(self, loop: FakeLoop, answer: Callable[[ApnsRequest[Any]], Outcome]) -> None:
        self.loop = loop
        self.answer = answer
        self.down = False
        self.waiting: list[ApnsRequest[Any]] = []
        self.rounds: list[tuple[float, int]] = []
        self.requests = 0

    @property
    def held_until(self) -> float:
        """As of a pool that cannot connect: try again in a second."""
        return self.loop.now + 1.0 if self.down else 0.0

    def submit(self, request: ApnsRequest[Any]) -> None:
        if not self.waiting:
            self.loop.call_later(0.0 if self.down else LATENCY, self.answer_all)
        self.waiting.append(request)

    def withdraw(self, request: ApnsRequest[Any]) -> bool:
        raise AssertionError(request)

    def answer_all(self) -> None:
        requests, self.waiting = self.waiting, []
        self.rounds.append((self.loop.now, len(requests)))
        self.requests += len(requests)
        for request in requests:
            request.on_outcome(request, REFUSED if self.down else self.answer(request))


class Week:
    """Two domains with a route each, and what was sent."""

    def __init__(self) -> None:
        self.loop = FakeLoop(0.0)
        chance = random.Random(15)
        self.first = Route(self.loop, lambda _: DELIVERED)
        self.second = Route(self.loop, self.judge)
        table = {"a.example": routed("a", self.first), "b.example": routed("b", self.second)}  # type: ignore[arg-type]
        self.bench = Bench(table["a.example"], loop=self.loop, table=table, chance=chance.random)
        self.put_at: dict[str, float] = {}
        self.attempts: dict[str, list[float]] = {}
        self.ids: dict[str, set[bytes]] = {}
        self.most_active = 0
        self.number = 0

    def judge(self, request: ApnsRequest[Any]) -> Outcome:
        """The second route: some devices are busy for a while, some for ever."""
        notification = request.owner.notification
        self.attempts.setdefault(notification.message_id, []).append(self.loop.now - LATENCY)
        self.ids.setdefault(notification.message_id, set()).add(request.apns_id)
        if notification.sender.startswith("never@"):
            return TOO_MANY
        if notification.sender.startswith("busy@") and notification.attempt <= TIMES_BUSY:
            return TOO_MANY
        return DELIVERED

    def put(self, domain: str, count: int, sender: str = "a@x.example") -> None:
        numbers = range(self.number, self.number + count)
        self.number += count
        for number in numbers:
            self.put_at[f"m{number}"] = self.loop.now
        self.bench.put(*numbers, domain=domain, sender=sender)

    def every(self, seconds: float, what: Callable[[], None]) -> None:
        def again() -> None:
            self.loop.call_later(seconds, again)
            what()

        self.loop.call_later(seconds, again)

    def look(self) -> None:
        self.most_active = max(self.most_active, self.bench.queue.active)


def waits(times: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(times)]


def test_a_week_with_an_outage_of_one_of_two_routes() -> None:
    week = Week()
    loop, bench = week.loop, week.bench
    week.every(60.0, week.look)
    week.every(120.0, lambda: week.put("b.example", 1))
    for number in range(25):
        week.put("b.example", 10, "busy@x.example" if number < 20 else "never@x.example")
        loop.advance(1.0)
    loop.advance(OUTAGE[0] - loop.now)
    week.first.down = True
    hours = int((OUTAGE[1] - OUTAGE[0]) / HOUR)
    for _ in range(hours * 6):
        for sender in "cdefg":
            week.put("a.example", MANY // (hours * 6 * 5) + 1, f"{sender}@x.example")
        loop.advance(600.0)
    queued = bench.queue.queued
    assert queued >= MANY
    in_outage = [size for at, size in week.first.rounds if at >= OUTAGE[0]]
    assert sum(in_outage) < 1_000, "routes that take nothing are not tried with everything"
    assert week.most_active < 1_000
    week.first.down = False
    begun = len(week.first.rounds)
    loop.advance(HOUR)
    # Smooth: from one on, each round at most twice the one before; and all of it within the hour.
    rounds = [size for _, size in week.first.rounds[begun:]]
    assert rounds[0] == 1
    highest = 1
    for size in rounds:
        assert size <= 2 * highest + 1, rounds[:20]
        highest = max(highest, size)
    assert sum(rounds) >= MANY - 100
    assert bench.queue.queued <= 60, "but for those of the other route that wait for their devices"
    assert week.first.rounds[-1][0] - week.first.rounds[begun][0] < 120.0
    loop.advance(7 * 24 * HOUR - loop.now + HOUR)
    assert week.most_active <= bench.queue._feeder._turns.most
    # The other route: nothing waited longer for its first attempt, outage or not.
    by_id = {int(name[1:]): times for name, times in week.attempts.items()}
    assert len(by_id) > 5_000
    for number, times in by_id.items():
        assert times[0] - week.put_at[f"m{number}"] <= 0.01
    # The schedule, within its jitter: 20 minutes doubling to 12 hours, each times 0.5 to 1.5.
    for number in range(200):
        times = by_id[number]
        assert len(times) == TIMES_BUSY + 1
        for attempt, wait in enumerate(waits(times)):
            interval = min(INTERVAL * 2**attempt, MOST)
            assert 0.5 * interval - LATENCY <= wait <= 1.5 * interval + 1.0, (attempt, wait)
    # Expired ones end as expired, after their last attempt, within the week.
    never = range(200, 250)
    ends = dict(bench.ends)
    assert {ends[f"m{number}"] for number in never} == {"Expired"}
    for number in never:
        assert all(0.5 * MOST - 1.0 <= wait <= 1.5 * MOST + 1.0 for wait in waits(by_id[number])[6:])
        assert by_id[number][-1] <= 7 * 24 * HOUR
    assert all(reason in {"", "Expired"} for reason in ends.values())
    assert len(bench.ends) == len(ends), "nothing ends twice"
    assert len(ends) + bench.queue.queued == week.number
    assert bench.queue.queued <= 1
    assert all(len(ids) == 1 for ids in week.ids.values())
