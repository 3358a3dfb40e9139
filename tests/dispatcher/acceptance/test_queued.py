from __future__ import annotations

from typing import Any

import pytest

from tests.dispatcher.acceptance.support import QueuedBench, abandon, garbage_of
from tests.support.mcmt import message, part
from tubepost_api.config import DeliveryConfig, DeliveryMode
from tubepost_dispatcher.acceptance.queue_port import REASONS_OF_FAILURES
from tubepost_dispatcher.intake.receive import MAX_NOTIFICATIONS
from tubepost_dispatcher.outcome import OutcomeKind
from tubepost_dispatcher.reasons.catalogue import REASONS
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.store.port import Failure, FailureKind
from tubepost_dispatcher.transaction import SessionFacts

OTHER = f"sub@{QueuedBench.OTHER}"


def test_250_comes_after_the_disk_and_names_the_message() -> None:
    bench = QueuedBench()
    bench.send()
    assert bench.replies == []
    assert bench.count("tubepost_in_flight") == 1
    (item,) = bench.queue.answer().items
    assert (item[0].message_id, item[0].recipient) == ("m1", "sub@apn_example.com")
    assert bench.replies == [(250, "2.0.0", "Queued as m1")]
    assert bench.messages("accepted") == 1
    assert bench.count("tubepost_in_flight") == 0
    assert bench.pools[0].requests == []


@pytest.mark.parametrize("failure", [None, Failure(FailureKind.FULL, "no space")])
def test_a_message_leaves_no_cycle_behind(failure: Failure | None) -> None:
    """The collector would have to find them, at a cost, and late."""
    bench = QueuedBench()

    def one_message() -> None:
        bench.send()
        bench.queue.answer(failure)

    assert garbage_of(one_message) == []
    assert len(bench.replies) == 1


def test_recipients_and_parts_have_notifications_of_their_own_stored_in_one_go() -> None:
    bench = QueuedBench()
    bench.send("x", "y", OTHER, content=message(part(b'{"a":1}'), part(b'{"b":1}')))
    (putting,) = bench.queue.puttings
    assert [(one.recipient, one.push.payload) for one, _ in putting.items] == [
        (to, payload)
        for to in ("x@apn_example.com", "y@apn_example.com", OTHER)
        for payload in (b'{"a":1}', b'{"b":1}')
    ]
    assert {one.apns_id for one, _ in putting.items}.__len__() == 6
    assert [domain for _, domain in putting.items[3:5]] == [
        bench.active.domains.find("apn_example.com"),
        bench.active.domains.find(QueuedBench.OTHER),
    ]
    bench.queue.answer()
    assert bench.replies == [(250, "2.0.0", "Queued as m1, 6 notifications")]
    assert bench.count("tubepost_push_parts_total") == 2


def test_an_unknown_domain_is_refused_and_others_go_on() -> None:
    bench = QueuedBench()
    session = SessionFacts("192.0.2.1", 1)
    answers = [
        bench.acceptance.check_recipient(session, domain, number)
        for number, domain in enumerate(["apn_example.com", "elsewhere.example", QueuedBench.OTHER])
    ]
    assert [isinstance(answer, Reply) for answer in answers] == [False, True, False]
    assert isinstance(answers[1], Reply)
    assert (answers[1].code, answers[1].enhanced) == (550, "5.1.2")


def test_a_domain_that_refuses_is_550_and_the_others_go_on() -> None:
    bench = QueuedBench(DeliveryConfig(mode=DeliveryMode.REFUSE))
    session = SessionFacts("192.0.2.1", 1)
    answers = [
        bench.acceptance.check_recipient(session, domain, 0)
        for domain in ("apn_example.com", QueuedBench.OTHER)
    ]
    assert [isinstance(answer, Reply) for answer in answers] == [False, True]
    assert isinstance(answers[1], Reply)
    assert (answers[1].code, answers[1].enhanced) == (550, "5.7.1")


def test_more_recipients_than_a_message_may_make_notifications_come_with_another() -> None:
    bench = QueuedBench()
    session = SessionFacts("192.0.2.1", 1)
    answers = [
        bench.acceptance.check_recipient(session, "apn_example.com", count)
        for count in (MAX_NOTIFICATIONS - 1, MAX_NOTIFICATIONS)
    ]
    assert not isinstance(answers[0], Reply)
    assert isinstance(answers[1], Reply)
    assert (answers[1].code, answers[1].enhanced) == (452, "4.5.3")


def test_what_is_suspended_is_kept() -> None:
    bench = QueuedBench(DeliveryConfig(mode=DeliveryMode.SUSPEND))
    bench.send(OTHER, "x")
    assert len(bench.queue.answer().items) == 2
    assert bench.replies == [(250, "2.0.0", "Queued as m1, 2 notifications")]


def test_what_is_for_nobody_is_counted_and_dropped() -> None:
    bench = QueuedBench(DeliveryConfig(mode=DeliveryMode.BLACKHOLE))
    bench.send(OTHER)
    assert bench.queue.puttings == []
    assert bench.replies.pop() == (250, "2.0.0", "Discarded: delivery mode is Blackhole")
    assert bench.count("tubepost_blackholed_total") == 1
    assert [one.message_id for one in bench.journal.discarded] == ["m1"]
    bench.send("x", OTHER)
    bench.queue.answer()
    assert bench.replies.pop() == (
        250,
        "2.0.0",
        "Queued as m1, 1 notification; 1 discarded, delivery mode is Blackhole",
    )
    assert bench.count("tubepost_blackholed_total") == 2
    bench.send("x", OTHER)
    bench.queue.answer(Failure(FailureKind.FULL, "no space"))
    assert bench.replies.pop()[0] == 452
    assert bench.count("tubepost_blackholed_total") == 2


@pytest.mark.parametrize("kind", list(FailureKind))
def test_a_fault_of_the_disk_is_never_the_messages(kind: FailureKind) -> None:
    bench = QueuedBench()
    bench.send("x", "y")
    bench.queue.answer(Failure(kind, "/secret/path"))
    ((code, enhanced, text),) = bench.replies
    spec = REASONS[REASONS_OF_FAILURES[kind]]
    assert (code, enhanced, text) == (spec.smtp_code, spec.enhanced, spec.text)
    assert code == (452 if kind is FailureKind.FULL else 451)
    assert spec.kind is OutcomeKind.TRANSIENT
    assert spec.remedy
    assert bench.messages("deferred") == 1
    assert bench.count("tubepost_queue_refused_total", kind=kind.value) == 1
    assert bench.count("tubepost_queue_accepted_total", cause="queued") == 0
    assert [(event.kind, event.reason) for event in bench.hub.events] == [("tempfail", spec.reason)] * 2


def test_what_is_safe_is_counted_by_notification() -> None:
    bench = QueuedBench()
    bench.send("x", "y", content=message(part(), part()))
    assert bench.count("tubepost_queue_accepted_total", cause="queued") == 0
    bench.queue.answer()
    assert bench.count("tubepost_queue_accepted_total", cause="queued") == 4


def test_a_slow_disk_is_answered_at_the_deadline_and_what_it_keeps_is_not_delivered() -> None:
    bench = QueuedBench(deadline=3.0)
    bench.send()
    bench.loop.advance(2.9)
    assert bench.replies == []
    bench.loop.advance(0.2)
    assert bench.replies == [(451, "4.3.0", "The queue does not answer in time, try again later")]
    assert bench.queue.puttings[0].abandoned
    assert bench.acceptance.open == 0
    assert bench.count("tubepost_queue_refused_total", kind="slow") == 1


def test_a_client_that_leaves_before_the_250_is_not_delivered_for() -> None:
    bench = QueuedBench()
    abandon(bench.send())
    assert bench.queue.puttings[0].abandoned
    assert bench.messages("abandoned") == 1
    assert bench.acceptance.open == 0
    bench.loop.advance(60.0)
    assert bench.messages("deferred") == 0


@pytest.mark.parametrize("to", [["x"], ["x", OTHER]])
def test_what_can_never_be_sent_is_refused_at_once(to: list[str]) -> None:
    bench = QueuedBench()
    bench.send(*to, content=message(part(), part(b'{"aps":"' + b"x" * 5000 + b'"}')))
    assert bench.queue.puttings == []
    ((code, enhanced, text),) = bench.replies
    assert (code, enhanced) == (552, "5.3.4")
    assert text.startswith('for "x@apn_example.com": the payload' if len(to) > 1 else "the payload")
    assert [event.kind for event in bench.hub.events] == ["permfail"] * 2 * len(to)


def test_a_route_without_a_credential_keeps_what_comes() -> None:
    bench = QueuedBench(facts=None)
    bench.send()
    bench.queue.answer()
    assert bench.replies[0][0] == 250


def test_a_malformed_payload_is_refused_and_logged() -> None:
    bench = QueuedBench()
    bench.send("x", "y", content=message(part(b'{"aps": }')))
    assert bench.replies[0][:2] == (554, "5.6.0")
    assert [(event.kind, event.destination_address) for event in bench.hub.events] == [
        ("permfail", "x"),
        ("permfail", "y"),
    ]


def test_a_fault_of_ours_is_451_and_never_a_bounce(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = QueuedBench()

    def fail(*args: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(bench.queue, "put", fail)
    bench.send()
    assert bench.replies == [(451, "4.3.0", "Internal error, try again later")]
    assert bench.acceptance.open == 0
    bench.loop.advance(60.0)
    assert len(bench.replies) == 1
