"""Whatever happens in whatever order: what failed for good is told, once; twice only after a crash.

A mail may be refused by the relay, or expire: then that is counted. A notice of delay comes once at most.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED
from tests.dispatcher.queue.mail_support import DOWN, GREYLISTED, REJECTED, TAKEN, FakeRelay, MailBench
from tests.support.loop import FakeLoop
from tubepost_api.config_relay import BounceConfig
from tubepost_dispatcher.queue.groups import MOST_MAILS
from tubepost_dispatcher.store.memory import MemoryStore

OUTCOMES = {"delivered": DELIVERED, "dead": DEAD, "busy": BUSY}
REPLIES = {"taken": TAKEN, "greylisted": GREYLISTED, "rejected": REJECTED, "down": DOWN}
LATE = BounceConfig(delay_notices=True, delay_after=7_200.0)
DAY = 86_400.0
OVER = ("sent", "rejected", "expired")


class MailMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = FakeLoop()
        self.stores: dict[int, Any] = {0: MemoryStore(self.loop)}
        self.number = 0
        self.silent: set[str] = set()
        self.failed: set[str] = set()
        self.told: Counter[tuple[str, str]] = Counter()
        """Mails that the relay took or refused for good, by message and kind."""
        self.given_up = 0.0
        self.crashed: set[str] = set()
        """Messages of which something was in memory when the process died."""
        self.start()

    def start(self) -> None:
        self.relay = FakeRelay()
        self.bench = MailBench(LATE, loop=self.loop, stores=self.stores, relay=self.relay)
        self.seen = 0

    def note(self) -> None:
        for name, reason in self.bench.ends[self.seen :]:
            if reason:
                self.failed.add(name)
        self.seen = len(self.bench.ends)

    @rule(count=st.integers(1, 5), notify=st.sampled_from([None, "NEVER", "FAILURE", "SUCCESS"]))
    def put(self, count: int, notify: str | None) -> None:
        dsn = None if notify is None else {"NOTIFY": notify}
        numbers = range(self.number, self.number + count)
        self.number += count
        if notify in {"NEVER", "SUCCESS"}:
            self.silent.update(f"m{number}" for number in numbers)
        self.bench.stored(*numbers, dsn=dsn)
        self.note()

    @precondition(lambda self: self.bench.pool.requests)
    @rule(outcome=st.sampled_from(sorted(OUTCOMES)), count=st.integers(1, 8))
    def apns_answers(self, outcome: str, count: int) -> None:
        for _ in range(min(count, len(self.bench.pool.requests))):
            self.bench.pool.answer(OUTCOMES[outcome])
        self.loop.run_until_idle()
        self.note()

    @precondition(lambda self: self.relay.mails)
    @rule(reply=st.sampled_from(sorted(REPLIES)), count=st.integers(1, 8))
    def relay_answers(self, reply: str, count: int) -> None:
        for _ in range(min(count, len(self.relay.mails))):
            if reply == "down":
                self.relay.held_until = self.loop.now + 30.0
            mail = self.relay.answer(REPLIES[reply])
            if reply in {"taken", "rejected"}:
                self.told[mail.message_id, mail.kind] += 1
        self.loop.run_until_idle()
        self.note()

    @rule(seconds=st.sampled_from([1.0, 60.0, 3_600.0, 3 * 3_600.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.advance(seconds)
        self.note()

    @rule()
    def killed(self) -> None:
        """What was taken is met again by the successor; nothing that was under way is heard of."""
        self.note()
        self.given_up += self.expired()
        store = self.stores[0]
        under_way = {mail.message_id for mail, _ in self.relay.mails}
        self.crashed |= under_way | {
            request.owner.notification.message_id for request in self.bench.pool.requests
        }
        self.bench.queue._feeder.stop()
        store.release(list(store._taken))
        self.start()
        self.loop.run_until_idle()

    def expired(self) -> float:
        return sum(self.bench.counted(kind, "expired") for kind in ("bounce", "delay", "success"))

    @invariant()
    def nothing_is_told_twice(self) -> None:
        for (name, kind), count in self.told.items():
            assert count == 1 or name in self.crashed, (name, kind, count)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.relay.mails) <= MOST_MAILS

    def teardown(self) -> None:
        """Everybody answers, and time passes: then all is over, and who failed was told."""
        self.relay.held_until = 0.0
        for _ in range(60):
            while self.bench.pool.requests:
                self.apns_answers("dead", 8)
            while self.relay.mails:
                self.relay_answers("taken", 8)
            if not self.bench.queue.queued:
                break
            self.loop.advance(DAY / 2)
            self.note()
        assert self.bench.queue.queued == 0
        assert not self.bench.queue.slots[0].mailing
        assert self.bench.queue.active == 0
        bounced = {name for name, kind in self.told if kind == "bounce"}
        missing = self.failed - self.silent - bounced
        assert len(missing) <= self.given_up + self.expired(), missing
        assert not bounced & self.silent
        self.nothing_is_told_twice()


MailMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestMails = MailMachine.TestCase
