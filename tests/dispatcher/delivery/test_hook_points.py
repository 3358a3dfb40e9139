from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.dispatcher.delivery.support import (
    BUSY,
    DEAD,
    DELIVERED,
    FACTS,
    POLICY,
    Bench,
    FakePool,
    domain,
    notification,
)
from tubepost_api.config import DeliveryConfig, EntryConfig
from tubepost_dispatcher.delivery.domain import Domain, Domains, Route
from tubepost_dispatcher.delivery.hooks import Ruled, Ruling
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.domain_lookup import DomainLookup
from tubepost_dispatcher.follow_up import OutgoingMail
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import local_outcome, permanent_outcome

QUEUED = RetryPolicy(first=10.0, most=80.0, in_memory=0.0, queued=True)
HANDED_BACK = RetryPolicy(first=1.0, most=8.0, hand_back=True)
DROP = permanent_outcome("DroppedByPolicy", "no longer")
MAIL = OutgoingMail("reroute", "a@b.example", "u@x.example", b"x\r\n", "m1", "apn_example.com", 0.0)
FAULT = Ruling(fault="apn_request_eval, line 3: ValueError")


@dataclass
class Asked:
    point: str
    ruled: Ruled
    withdrawn: bool = False

    def withdraw(self) -> None:
        self.withdrawn = True


@dataclass
class FakeHooks:
    """Hooks of some points; the test answers."""

    points: frozenset[str]
    asked: list[Asked] = field(default_factory=list)

    def before_attempt(self, delivery: Delivery, ruled: Ruled) -> Asked | None:
        return self._ask("attempt", ruled)

    def after_attempt(self, delivery: Delivery, outcome: Outcome, ruled: Ruled) -> Asked | None:
        return self._ask("answer", ruled)

    def before_end(self, delivery: Delivery, outcome: Outcome, ruled: Ruled) -> Asked | None:
        return self._ask("end", ruled)

    def _ask(self, point: str, ruled: Ruled) -> Asked | None:
        if point not in self.points:
            return None
        self.asked.append(Asked(point, ruled))
        return self.asked[-1]

    def rule(self, point: str, ruling: Ruling | None = None) -> None:
        asked = self.asked.pop(0)
        assert asked.point == point
        asked.ruled(ruling or Ruling())


class Hooked(Bench):
    def __init__(self, *points: str, pools: int = 1) -> None:
        super().__init__(pools=pools)
        self.hooks = FakeHooks(frozenset(points))
        self.deliverer.set_hooks(self.hooks)

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for _, outcome in self.told.owner_ends]


def test_each_point_is_asked_in_its_turn_and_the_owner_is_told_once() -> None:
    bench = Hooked("attempt", "answer", "end")
    bench.deliver()
    assert not bench.pools[0].requests
    bench.hooks.rule("attempt")
    bench.pools[0].answer(DELIVERED)
    assert not bench.told.attempts
    bench.hooks.rule("answer")
    assert bench.told.attempts == [("m1", "")]
    assert not bench.told.owner_ends
    bench.hooks.rule("end")
    assert bench.outcomes == [DELIVERED]
    assert not bench.hooks.asked


def test_a_point_without_a_hook_and_no_hooks_at_all_are_passed() -> None:
    bench = Hooked()
    bench.deliver()
    bench.pools[0].answer(DELIVERED)
    bench.deliverer.set_hooks(None)
    bench.deliver(notification(2))
    bench.pools[0].answer(DEAD)
    assert bench.outcomes == [DELIVERED, DEAD]


def test_a_changed_part_is_sent_in_this_attempt_and_the_next_begins_with_the_senders() -> None:
    bench = Hooked("attempt")
    delivery = bench.deliver()
    part = PushPart(b"cd" * 32, b'{"aps":{"badge":1}}', priority=5)
    bench.hooks.rule("attempt", Ruling(push=part, apns_id=b"x", context={"a": "b"}))
    (request,) = bench.pools[0].requests
    assert (request.token, request.payload, request.priority) == (part.token, part.payload, 5)
    assert request.apns_id == b"x"
    assert delivery.notification.context == {"a": "b"}
    assert delivery.push is part
    bench.pools[0].answer(BUSY)
    bench.loop.advance(2.0)
    bench.hooks.rule("attempt")
    (request,) = bench.pools[0].requests
    assert (request.token, request.priority, request.apns_id) == (b"ab" * 32, 10, b"x")
    assert delivery.push is delivery.notification.push


def test_what_no_route_could_take_is_the_hooks_fault_not_the_senders() -> None:
    bench = Hooked("attempt")
    bench.deliver()
    bench.hooks.rule("attempt", Ruling(push=PushPart(b"ab", b"{}", push_type=b"toast")))
    (outcome,) = bench.outcomes
    assert (outcome.kind, outcome.reason) == (OutcomeKind.TRANSIENT, "PolicyFailed")
    assert "InvalidPushType" in outcome.detail
    assert not bench.pools[0].requests


@pytest.mark.parametrize("policy", [POLICY, QUEUED, HANDED_BACK], ids=["direct", "queued", "overflow"])
def test_a_fault_before_an_attempt_is_a_failure_for_now(policy: RetryPolicy) -> None:
    bench = Hooked("attempt")
    delivery = bench.deliver(policy=policy)
    bench.hooks.rule("attempt", FAULT)
    assert bench.told.attempts == [("m1", "PolicyFailed")]
    assert delivery.notification.attempt == 1
    if policy is POLICY:
        # Whoever waits is told at once: no attempt within seconds would do better.
        assert [outcome.reason for outcome in bench.outcomes] == ["PolicyFailed"]
    else:
        assert [outcome.reason for _, outcome, _ in bench.told.deferrals] == ["PolicyFailed"]
    assert not bench.loop.timers


def test_what_found_no_free_process_has_made_no_attempt() -> None:
    bench = Hooked("attempt")
    delivery = bench.deliver(policy=QUEUED)
    bench.hooks.rule("attempt", Ruling(fault="no process was free", busy=True))
    assert delivery.notification.attempt == 0
    assert bench.told.deferrals


@pytest.mark.parametrize("point", ["answer", "end"])
def test_a_fault_never_repeats_what_is_delivered(point: str) -> None:
    bench = Hooked(point)
    bench.deliver(policy=QUEUED)
    bench.pools[0].answer(DELIVERED)
    bench.hooks.rule(point, FAULT)
    assert bench.outcomes == [DELIVERED]
    assert not bench.told.deferrals


@pytest.mark.parametrize("point", ["answer", "end"])
def test_a_fault_keeps_what_failed_for_the_next_time(point: str) -> None:
    bench = Hooked(point)
    bench.deliver(policy=QUEUED)
    bench.pools[0].answer(DEAD)
    bench.hooks.rule(point, FAULT)
    assert [outcome.reason for _, outcome, _ in bench.told.deferrals] == ["PolicyFailed"]
    assert not bench.told.owner_ends


@pytest.mark.parametrize("reason", ["Expired", "Dropped"])
def test_what_has_no_time_left_ends_whatever_its_hook_does(reason: str) -> None:
    bench = Hooked("end")
    what = notification()
    delivery = Delivery(what, bench.domain, bench.told, QUEUED, 0.0, 0.0)
    outcome = permanent_outcome(reason, "x")
    bench.deliverer.end(delivery, outcome)
    if reason == "Expired":
        bench.hooks.rule("end", FAULT)
    assert not bench.hooks.asked
    assert bench.outcomes == [outcome]
    assert not bench.told.deferrals


def test_an_expired_one_may_become_a_mail() -> None:
    bench = Hooked("end")
    delivery = Delivery(notification(), bench.domain, bench.told, QUEUED, 0.0, 0.0)
    outcome = permanent_outcome("Expired", "x")
    bench.deliverer.end(delivery, outcome)
    bench.hooks.rule("end", Ruling(mail=MAIL))
    assert delivery.follow_up is MAIL
    assert bench.outcomes == [outcome]


def test_an_answer_is_taken_for_another() -> None:
    bench = Hooked("answer")
    bench.deliver(policy=QUEUED)
    bench.pools[0].answer(DEAD)
    bench.hooks.rule("answer", Ruling(outcome=Outcome(OutcomeKind.TRANSIENT, "Unregistered", status=410)))
    assert bench.told.attempts == [("m1", "Unregistered")]
    assert bench.told.deferrals
    assert not bench.told.owner_ends


def test_an_attempt_without_an_answer_has_nothing_to_classify() -> None:
    bench = Hooked("answer")
    bench.deliver(policy=QUEUED)
    bench.pools[0].answer(local_outcome("ConnectFailed"))
    assert not bench.hooks.asked
    assert bench.told.attempts == [("m1", "ConnectFailed")]


@pytest.mark.parametrize("point", ["attempt", "answer", "end"])
@pytest.mark.parametrize("mail", [None, MAIL], ids=["drop", "mail"])
def test_a_hook_ends_a_message(point: str, mail: OutgoingMail | None) -> None:
    bench = Hooked(point)
    delivery = bench.deliver()
    if point != "attempt":
        bench.pools[0].answer(DEAD)
    bench.hooks.rule(point, Ruling(outcome=None if mail else DROP, mail=mail))
    (outcome,) = bench.outcomes
    assert outcome.kind is OutcomeKind.PERMANENT
    assert delivery.follow_up is mail
    if mail is None:
        assert outcome.reason == "DroppedByPolicy"
    else:
        assert outcome.reason == ("ReroutedByPolicy" if point == "attempt" else "Unregistered")
    assert bench.told.attempts == ([] if point == "attempt" else [("m1", "Unregistered")])
    assert not bench.pools[0].requests


def test_what_is_given_back_to_its_sender_is_not_disposed_of() -> None:
    bench = Hooked("end")
    delivery = bench.deliver()
    assert bench.deliverer.withdraw(delivery)
    assert [outcome.reason for outcome in bench.outcomes] == ["ClientGone"]
    assert not bench.hooks.asked


class TwoDomains(Hooked):
    def __init__(self, *points: str, options: DeliveryConfig | None = None) -> None:
        super().__init__(*points)
        self.other_pool = FakePool()
        other = Domain(options or DeliveryConfig(), [Route("other", self.other_pool, FACTS)])
        entries = [
            EntryConfig(name=name, routes=("x",), delivery=DeliveryConfig())
            for name in ("apn_example.com", "other.example")
        ]
        self.deliverer.swap(Domains(DomainLookup(entries), (self.domain, other)))


@pytest.mark.parametrize("point", ["attempt", "answer", "end"])
def test_another_domains_routes_are_tried_once(point: str) -> None:
    bench = TwoDomains(point)
    delivery = bench.deliver()
    if point != "attempt":
        bench.pools[0].answer(DEAD)
    bench.hooks.rule(point, Ruling(domain="other.example"))
    if point == "attempt":
        bench.hooks.rule(point, Ruling(domain="apn_example.com"))
    assert len(bench.other_pool.requests) == 1
    assert delivery.notification.domain == "other.example"
    assert delivery.notification.rerouted
    bench.other_pool.answer(DEAD)
    if point != "attempt":
        bench.hooks.rule(point, Ruling(domain="apn_example.com"))
    assert bench.outcomes == [DEAD]
    assert not bench.pools[0].requests


@pytest.mark.parametrize("point", ["attempt", "answer", "end"])
def test_a_domain_that_is_not_served_changes_nothing(point: str, caplog: pytest.LogCaptureFixture) -> None:
    bench = Hooked(point)
    bench.deliver()
    if point != "attempt":
        bench.pools[0].answer(DEAD)
    bench.hooks.rule(point, Ruling(domain="nowhere.example"))
    if point == "attempt":
        bench.pools[0].answer(DEAD)
    assert bench.outcomes == [DEAD]
    assert "no such domain is served" in caplog.text


# -- while hooks are asked ------------------------------------------------------------------------------


def before_attempt(bench: Hooked) -> None:
    pass


def answered(outcome: Outcome) -> Callable[[Hooked], None]:
    return lambda bench: bench.pools[0].answer(outcome)


@pytest.mark.parametrize("policy", [POLICY, HANDED_BACK], ids=["direct", "overflow"])
def test_at_the_deadline_before_an_attempt_it_was_not_sent(policy: RetryPolicy) -> None:
    bench = Hooked("attempt")
    delivery = bench.deliver(policy=policy)
    (asked,) = bench.hooks.asked
    assert bench.deliverer.give_up(delivery)
    assert asked.withdrawn
    asked.ruled(Ruling())
    told = bench.outcomes or [outcome for _, outcome, _ in bench.told.deferrals]
    assert [outcome.reason for outcome in told] == ["PolicyFailed"]
    assert not bench.pools[0].requests


@pytest.mark.parametrize("point", ["answer", "end"])
@pytest.mark.parametrize(("outcome", "reason"), [(DELIVERED, ""), (DEAD, "PolicyFailed")])
def test_at_the_deadline_after_an_answer_that_counts_or_a_failure_for_now(
    point: str, outcome: Outcome, reason: str
) -> None:
    bench = Hooked(point)
    delivery = bench.deliver()
    bench.pools[0].answer(outcome)
    (asked,) = bench.hooks.asked
    assert bench.deliverer.give_up(delivery)
    asked.ruled(Ruling(outcome=DROP))
    assert [outcome.reason for outcome in bench.outcomes] == [reason]


@pytest.mark.parametrize("point", ["attempt", "answer", "end"])
def test_withdrawn_while_hooks_are_asked(point: str) -> None:
    bench = Hooked(point)
    delivery = bench.deliver()
    if point != "attempt":
        bench.pools[0].answer(DEAD)
    ended = bench.deliverer.withdraw(delivery)
    assert ended is (point == "attempt")
    for asked in list(bench.hooks.asked):
        asked.ruled(Ruling())
    assert [outcome.reason for outcome in bench.outcomes] == ["ClientGone" if ended else "Unregistered"]


@pytest.mark.parametrize("point", ["attempt", "answer", "end"])
def test_recalled_while_hooks_are_asked(point: str) -> None:
    bench = Hooked(point)
    delivery = bench.deliver(policy=QUEUED)
    if point != "attempt":
        bench.pools[0].answer(DELIVERED)
    assert bench.deliverer.recall(delivery) is (point == "attempt")
    for asked in list(bench.hooks.asked):
        asked.ruled(Ruling())
    assert bench.outcomes == ([] if point == "attempt" else [DELIVERED])


def test_a_retry_that_waits_for_hooks_can_be_given_up() -> None:
    bench = Hooked("attempt")
    delivery = bench.deliver()
    bench.hooks.rule("attempt")
    bench.pools[0].answer(BUSY)
    bench.loop.advance(2.0)
    assert bench.hooks.asked
    assert bench.deliverer.withdraw(delivery)
    assert [outcome.reason for outcome in bench.outcomes] == ["ClientGone"]


def test_other_hooks_between_a_question_and_its_answer() -> None:
    bench = Hooked("attempt", "end")
    bench.deliver()
    bench.deliverer.set_hooks(None)
    bench.hooks.rule("attempt")
    bench.pools[0].answer(DELIVERED)
    assert bench.outcomes == [DELIVERED]
    assert domain(FakePool()) is not None
