"""Acceptance through any order of answers, failures, time and clients that leave, as a state machine."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.dispatcher.acceptance.support import FakePutting, QueuedBench, abandon
from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED
from tubepost_api.config import AcceptanceOverflow
from tubepost_dispatcher.acceptance.direct import DirectAcceptance
from tubepost_dispatcher.acceptance.queued import QueuedAcceptance
from tubepost_dispatcher.reasons.catalogue import local_outcome
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.store.port import Failure, FailureKind
from tubepost_dispatcher.transaction import Transaction

LOST = local_outcome("ConnectionLost", possible_double=True, retry_at_once=True)
DOWN = local_outcome("ConnectFailed")
OUTCOMES = [DELIVERED, DEAD, BUSY, LOST, DOWN]
FAILURES = [Failure(kind, "x") for kind in FailureKind]


class Machine(RuleBasedStateMachine):
    """Two modes over one context, as a worker has them, and everything beside them in the test's hand."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = QueuedBench(deadline=5.0, overflow=AcceptanceOverflow.QUEUE)
        self.bench.transaction_done = self.told  # type: ignore[method-assign]
        self.bench.pools[0].withdrawable = False
        self.modes: list[DirectAcceptance | QueuedAcceptance] = [
            self.bench.acceptance,
            DirectAcceptance(self.bench.active, self.bench.deliverer, self.bench.context, self.bench.queue),
        ]
        self.messages: list[Transaction[Any]] = []
        self.replies: dict[str, list[Reply]] = {}
        self.delivered: set[str] = set()
        self.stored: set[str] = set()

    def told(self, transaction: Transaction[Any], reply: Reply) -> None:
        self.replies[transaction.message_id].append(reply)
        if reply.code == 250 and not transaction.abandoned:
            safe = self.stored if reply.text.startswith("Queued") else self.delivered
            assert transaction.message_id in safe, "250 for what is not safe"

    def _ids(self, putting: FakePutting) -> set[str]:
        return {notification.message_id for notification, _ in putting.items}

    @rule(recipients=st.integers(1, 3))
    def inject_queued(self, recipients: int) -> None:
        self._inject(0, recipients)

    @rule()
    def inject_direct(self) -> None:
        self._inject(1, 1)

    def _inject(self, mode: int, recipients: int) -> None:
        self.bench.acceptance = self.modes[mode]
        number = len(self.messages)
        self.replies[f"m{number}"] = []
        self.messages.append(self.bench.send(*(f"r{n}" for n in range(recipients)), message_id=f"m{number}"))

    @precondition(lambda self: self.bench.pools[0].requests)
    @rule(outcome=st.sampled_from(OUTCOMES))
    def apns_answers(self, outcome: Any) -> None:
        (request, *_) = self.bench.pools[0].requests
        if outcome is DELIVERED:
            self.delivered.add(request.owner.notification.message_id)
        self.bench.pools[0].answer(outcome)

    @precondition(lambda self: self.bench.queue.puttings)
    @rule(failure=st.none() | st.sampled_from(FAILURES))
    def the_disk_answers(self, failure: Failure | None) -> None:
        putting = self.bench.queue.puttings.pop(0)
        if putting.abandoned:
            return  # as the queue does
        if failure is None:
            self.stored |= self._ids(putting)
        putting.done(failure)

    @rule(seconds=st.sampled_from([0.1, 1.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.loop.advance(seconds)

    @rule()
    def the_deadline_passes(self) -> None:
        self.bench.loop.advance(5.1)

    @rule(withdrawable=st.booleans())
    def requests_are_sent(self, withdrawable: bool) -> None:
        self.bench.pools[0].withdrawable = withdrawable

    @rule(patient=st.booleans())
    def the_schedule_has_another_attempt(self, patient: bool) -> None:
        self.bench.queue.patient = patient

    @precondition(lambda self: any(self._waits(one) for one in self.messages))
    @rule(data=st.data())
    def a_client_leaves(self, data: st.DataObject) -> None:
        waiting = [one for one in self.messages if self._waits(one)]
        abandon(data.draw(st.sampled_from(waiting)))

    def _waits(self, transaction: Transaction[Any]) -> bool:
        return not self.replies[transaction.message_id] and not transaction.abandoned

    @invariant()
    def each_message_has_one_answer(self) -> None:
        assert all(len(found) <= 1 for found in self.replies.values())

    @invariant()
    def nothing_is_on_its_way_to_apns_and_to_the_queue(self) -> None:
        sent = {one.owner.notification.message_id for one in self.bench.pools[0].requests}
        kept = [self._ids(one) for one in self.bench.queue.puttings if not one.abandoned]
        assert not sent & set().union(*kept)
        # What the queue has, or had, is not sent from here.
        assert not sent & self.stored

    @invariant()
    def what_nobody_waits_for_is_not_stored(self) -> None:
        for putting in self.bench.queue.puttings:
            if not putting.abandoned:
                assert all(not self.replies[one] for one in self._ids(putting))

    def teardown(self) -> None:
        self.bench.pools[0].withdrawable = True
        while self.bench.pools[0].requests:
            self.apns_answers(DEAD)
        while self.bench.queue.puttings:
            self.the_disk_answers(None)
        self.bench.loop.advance(60.0)
        while self.bench.queue.puttings:
            self.the_disk_answers(None)
        assert self.bench.acceptance.open == 0
        assert all(len(found) == 1 for found in self.replies.values())


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
