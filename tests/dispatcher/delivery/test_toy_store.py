"""A queue in a dictionary drives delivery: the seam on which real stores stand. No SMTP, no session, no reply."""

from __future__ import annotations

import subprocess
import sys

from tests.dispatcher.delivery.support import DELIVERED, FakePool, Told, domain, domains, notification
from tests.support.loop import FakeLoop
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Domains
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import Notification, decode, encode
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import local_outcome

HOUR = 3_600.0
DAY = 24 * HOUR
POLICY = RetryPolicy(first=1_200.0, most=12 * HOUR, in_memory=10.0, queued=True)
"""Momentum's retry_interval and max_retry_interval; a real queue waits no longer than seconds in memory."""


class ToyStore:
    """Keeps notifications as bytes; hands them to delivery when they are due. The owner of their deliveries."""

    def __init__(self, deliverer: Deliverer, loop: FakeLoop, table: Domains) -> None:
        self.deliverer, self.loop, self.domains = deliverer, loop, table
        self.kept: dict[str, tuple[bytes, float, float]] = {}
        """By message id: the stored form, when it is due, when it expires."""
        self.ended_with: dict[str, str] = {}

    def put(self, what: Notification, expires_in: float) -> None:
        self.kept[what.message_id] = (encode(what), self.loop.now, self.loop.now + expires_in)
        self.hand_over(what.message_id)

    def hand_over(self, key: str) -> None:
        stored, _, end_at = self.kept[key]
        what = decode(stored)
        found = self.domains.find(what.domain)
        assert found is not None
        delivery, outcome = self.deliverer.prepare(what, found, self, POLICY, self.loop.now, end_at)
        if outcome is None:
            self.deliverer.start(delivery)
        else:
            self.deliverer.settle(delivery, outcome)

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        key = delivery.notification.message_id
        del self.kept[key]
        assert key not in self.ended_with
        self.ended_with[key] = outcome.reason or "delivered"

    def deferred(self, delivery: Delivery, outcome: Outcome, at: float) -> None:
        what = delivery.notification
        self.kept[what.message_id] = (encode(what), at, self.kept[what.message_id][2])
        self.loop.call_at(at, self.hand_over, what.message_id)


def test_a_dictionary_drives_delivery_over_two_days() -> None:
    loop, told, pool = FakeLoop(), Told(), FakePool()
    table = domains(domain(pool))
    deliverer = Deliverer(
        table,
        (told.listener,),
        Metrics(),
        loop=loop,
        clock=lambda: loop.now,
        wall=lambda: 1_800_000_000.0 + loop.now,
        chance=lambda: 0.5,
    )
    store = ToyStore(deliverer, loop, table)
    start = loop.now
    store.put(notification(1), expires_in=7 * DAY)
    store.put(notification(2), expires_in=DAY)
    times: list[float] = []
    ids = set()
    outage_ends = start + 1.5 * DAY
    while loop.now < start + 2 * DAY:
        while pool.requests:
            request = pool.requests[0]
            ids.add((request.apns_id, request.owner.notification.message_id))
            times.append(loop.now - start)
            pool.answer(local_outcome("ConnectFailed") if loop.now < outage_ends else DELIVERED)
        loop.advance(60.0)
    assert store.ended_with == {"m1": "delivered", "m2": "ConnectFailed"}
    assert not store.kept
    assert [name for name, _ in told.ends] == ["m2", "m1"]
    first = [reason for name, reason in told.attempts if name == "m1"]
    assert first == ["ConnectFailed"] * (len(first) - 1) + [""]
    # 20 min, 40 min, 80 min ... 12 h: the doubling of Momentum's schedule (no jitter at this chance).
    waits = [0, 1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 43_200, 43_200]
    expected = [float(sum(waits[: n + 1])) for n in range(len(first))]
    seen = sorted(set(times))
    for due in expected:
        assert any(due <= time <= due + 60.0 for time in seen), (due, seen)
    assert len(ids) == 2, "the apns-id stays the same over all attempts"


def test_the_seam_needs_nothing_of_smtp() -> None:
    code = (
        "import sys; import tubepost_dispatcher.delivery.deliverer, tubepost_dispatcher.notification; "
        "bad = [m for m in sys.modules if m.startswith('tubepost_dispatcher.') and m.split('.')[1] in "
        "('smtp', 'acceptance', 'intake', 'transaction')]; sys.exit(repr(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
