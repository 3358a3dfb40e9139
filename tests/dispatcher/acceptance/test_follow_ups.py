"""Mails that follow while a sender waits: the relay has them before the answer, or that is as without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.dispatcher.acceptance.support import WALL, Bench, abandon, garbage_of
from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED
from tests.dispatcher.queue.mail_support import DOWN, REJECTED, TAKEN, FakeRelay
from tests.support.mcmt import message, part
from tubepost_api.config_relay import BounceConfig
from tubepost_dispatcher.acceptance.direct import DirectAcceptance
from tubepost_dispatcher.acceptance.follow_ups import FollowUps
from tubepost_dispatcher.acceptance.follow_ups import answer as answer_of
from tubepost_dispatcher.bounces.reports import Reports
from tubepost_dispatcher.follow_up import MailKind, OutgoingMail
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import permanent_outcome
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Recipient, SessionFacts, Transaction

MAIL = BounceConfig(direct="Mail")
NEVER_TAKEN = (550, "5.1.6", "APNs: Unregistered")


class Relay(FakeRelay):
    def __init__(self, bench: DirectBench) -> None:
        super().__init__()
        self._bench = bench

    def refuse(self, reply: Reply, done: Callable[[Reply], None]) -> None:
        self._bench.loop.call_soon(done, reply)


class DirectBench(Bench):
    def __init__(self, bounces: BounceConfig | None = None, *, relay: bool = True) -> None:
        super().__init__()
        self.relay = Relay(self)
        reports = Reports(lambda kind: self.metrics.bounces.labels(kind, "no_relay").inc())
        reports.swap("mx.test", relay=relay)
        self.journalled: list[tuple[str, str]] = []
        sender: Any = self.relay
        follow_ups = FollowUps(reports, sender, self.metrics, self, lambda: WALL, self.loop.clock)
        self.acceptance = DirectAcceptance(self.active, self.deliverer, self.context, self.queue, follow_ups)
        domain = self.active.domains.find("apn_example.com")
        assert domain is not None
        domain.bounces = bounces or BounceConfig()

    def mailed(self, mail: OutgoingMail, outcome: Outcome, at: float, due: float = 0.0) -> None:
        self.journalled.append((mail.kind, outcome.reason))

    def asked(self, dsn: dict[str, str] | None = None, sender: str = "alerts@sender.example") -> Any:
        """A message whose sender asks for reports."""
        session = SessionFacts("192.0.2.1", 4711)
        entry = self.acceptance.check_recipient(session, "apn_example.com", 0)
        assert not isinstance(entry, Reply)
        recipient = Recipient("sub@apn_example.com", "apn_example.com", entry, dsn)
        transaction = Transaction(self, session, "m1", sender, [recipient], message(part()))
        self.acceptance.accept(transaction)
        return transaction

    def outcome(self, outcome: Outcome) -> None:
        self.pools[0].answer(outcome)
        self.loop.run_until_idle()

    def counted(self, kind: str, result: str) -> float:
        return self.count("tubepost_bounces_total", kind=kind, result=result)


def bench_with(bounces: BounceConfig | None = None, *, relay: bool = True) -> DirectBench:
    return DirectBench(bounces, relay=relay)


def test_by_default_the_550_is_the_bounce() -> None:
    bench = bench_with()
    bench.asked()
    bench.outcome(DEAD)
    assert bench.replies == [NEVER_TAKEN]
    assert bench.relay.mails == []


def test_a_report_that_the_relay_has_comes_before_the_250() -> None:
    bench = bench_with(MAIL)
    bench.asked()
    bench.outcome(DEAD)
    assert bench.replies == []
    mail = bench.relay.answer(TAKEN)
    assert (mail.kind, mail.sender, mail.recipient) == ("bounce", "", "alerts@sender.example")
    assert bench.replies == [(250, "2.0.0", "Not delivered (Unregistered), reported by mail")]
    assert bench.counted("bounce", "sent") == 1
    assert bench.journalled == [("bounce", "")]


@pytest.mark.parametrize("answer", [REJECTED, DOWN])
def test_a_report_that_it_does_not_take_leaves_the_550(
    answer: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    bench = bench_with(MAIL)
    bench.asked()
    bench.outcome(DEAD)
    bench.relay.answer(answer)
    assert bench.replies == [NEVER_TAKEN]
    assert bench.counted("bounce", "rejected") == 1
    assert (
        f"message m1: the relay has not taken the mail (bounce) to alerts@sender.example ({answer.reason})"
        in (caplog.text)
    )


def test_a_relay_that_is_left_alone_keeps_nobody_waiting() -> None:
    bench = bench_with(MAIL)
    bench.relay.held_until = bench.loop.now + 60.0
    bench.asked()
    bench.outcome(DEAD)
    assert bench.replies == [NEVER_TAKEN]
    assert bench.relay.mails == []


def test_without_a_relay_the_550_is_the_bounce_and_that_is_counted() -> None:
    bench = bench_with(MAIL, relay=False)
    bench.asked()
    bench.outcome(DEAD)
    assert bench.replies == [NEVER_TAKEN]
    assert bench.counted("bounce", "no_relay") == 1


@pytest.mark.parametrize(("dsn", "sender"), [({"NOTIFY": "NEVER"}, "a@b.example"), (None, "")])
def test_who_must_not_get_a_report_gets_the_550(dsn: dict[str, str] | None, sender: str) -> None:
    bench = bench_with(MAIL)
    bench.asked(dsn, sender)
    bench.outcome(DEAD)
    assert bench.replies == [NEVER_TAKEN]
    assert bench.relay.mails == []


def test_what_fails_for_now_stays_with_the_sender() -> None:
    bench = bench_with(MAIL)
    bench.asked()
    bench.outcome(BUSY)
    bench.loop.advance(60.0)
    assert bench.replies[0][0] == 451
    assert bench.relay.mails == []


@pytest.mark.parametrize("bounces", [MAIL, BounceConfig()])
def test_success_is_reported_and_keeps_nobody_waiting(bounces: BounceConfig) -> None:
    bench = bench_with(bounces)
    bench.asked({"NOTIFY": "SUCCESS"})
    bench.outcome(DELIVERED)
    assert bench.replies == [(250, "2.0.0", f"Delivered apns-id={DELIVERED.apns_id}")]
    assert bench.relay.answer(DOWN).kind == "success"
    assert bench.counted("success", "rejected") == 1
    assert len(bench.replies) == 1


def test_a_policys_mail_goes_whatever_the_field_says() -> None:
    bench = bench_with()
    transaction = bench.asked()
    delivery = transaction.pending.delivery
    delivery.follow_up = OutgoingMail(
        "reroute", "a@b.example", "c@d.example", b"x\r\n", "m1", "apn.example", 1.0
    )
    bench.outcome(DEAD)
    assert bench.relay.answer(TAKEN).kind == "reroute"
    assert bench.replies == [(250, "2.0.0", "Not delivered (Unregistered), sent as mail instead")]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (TAKEN, (250, "2.0.0", "Sent as mail instead")),
        (DOWN, (451, "4.4.1", "The mail in its place: Relay cannot be reached")),
        (REJECTED, (550, "5.1.1", "The mail in its place: Relay: no such user")),
    ],
)
def test_of_what_a_policy_never_let_out_the_mail_is_the_answer(
    said: Reply, heard: tuple[int, str, str]
) -> None:
    bench = bench_with()
    transaction = bench.asked()
    delivery = transaction.pending.delivery
    delivery.follow_up = OutgoingMail(
        "reroute", "a@b.example", "c@d.example", b"x\r\n", "m1", "apn.example", 1.0
    )
    bench.outcome(permanent_outcome("ReroutedByPolicy", "sent as a mail instead"))
    bench.relay.answer(said)
    assert bench.replies == [heard]


@pytest.mark.parametrize(("kind", "taken"), [("bounce", "reported"), ("reroute", "mailed")])
def test_listeners_with_more_than_a_line_hear_that_it_was_not_delivered(kind: MailKind, taken: str) -> None:
    mail = OutgoingMail(kind, "a@b.example", "c@d.example", b"x\r\n", "m1", "apn.example", 1.0)
    assert answer_of(mail, DEAD, TAKEN).taken == taken
    assert answer_of(mail, DEAD, REJECTED).taken == ""


def test_a_client_that_has_gone_is_sent_no_report() -> None:
    bench = bench_with(MAIL)
    bench.pools[0].withdrawable = False
    transaction = bench.asked()
    abandon(transaction)
    bench.outcome(DEAD)
    assert bench.relay.mails == []


def test_one_that_goes_while_the_relay_has_it_changes_nothing() -> None:
    bench = bench_with(MAIL)
    transaction = bench.asked()
    bench.outcome(DEAD)
    abandon(transaction)
    bench.relay.answer(TAKEN)
    assert bench.messages("abandoned") == 1
    assert bench.count("tubepost_in_flight") == 0


def test_it_leaves_no_cycle_behind() -> None:
    bench = bench_with(MAIL)

    def one_message() -> None:
        bench.asked()
        bench.outcome(DEAD)
        bench.relay.answer(TAKEN)

    assert garbage_of(one_message) == []
