"""Mails that follow notifications: kept, tried, given up in words; never lost, and nobody's burden."""

from __future__ import annotations

import logging
import math
from email import message_from_bytes
from typing import Any

import pytest

from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED, NAME
from tests.dispatcher.queue.mail_support import DOWN, GREYLISTED, REJECTED, TAKEN, FakeRelay, MailBench
from tests.support.loop import FakeLoop
from tubepost_api.config import DeliveryConfig, DeliveryMode
from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.follow_up import OutgoingMail, decode, is_mail
from tubepost_dispatcher.queue.entries import UNREADABLE
from tubepost_dispatcher.queue.feeder import SWEEP
from tubepost_dispatcher.queue.groups import MOST_MAILS, RELAY
from tubepost_dispatcher.queue.journal import Journal
from tubepost_dispatcher.queue.mails import MAIL_EXPIRATION, NoRelay
from tubepost_dispatcher.queue.senders import MAIL_LANE
from tubepost_dispatcher.store.memory import MemoryStore
from tubepost_dispatcher.store.port import Entry, Filter, Kept

DAY = 86_400.0


def rows(bench: MailBench) -> list[Entry]:
    store = bench.stores[0]
    assert isinstance(store, MemoryStore)
    return list(store._kept.values())


def failed(bench: MailBench, *numbers: int, **values: Any) -> None:
    """These are stored, sent, and refused by APNs for good."""
    bench.stored(*numbers, **values)
    for _ in numbers:
        bench.pool.answer(DEAD)
    bench.loop.run_until_idle()


def test_a_failure_becomes_a_bounce_in_one_step() -> None:
    bench = MailBench()
    bench.stored(1)
    (before,) = rows(bench)
    bench.pool.answer(DEAD)
    (row,) = rows(bench)  # no turn of the loop in between: one row, one commit
    assert not is_mail(before.body)
    mail = decode(row.body)
    assert (mail.kind, mail.sender, mail.recipient) == ("bounce", "", "a@b.example")
    assert (row.message_id, row.domain, row.sender, row.route) == ("m1", NAME, "a@b.example", RELAY)
    assert row.lane == MAIL_LANE
    bench.loop.run_until_idle()
    assert bench.sent_mails() == ["bounce"]
    assert bench.queue.queued == 1
    sent = bench.relay.answer(TAKEN)
    assert message_from_bytes(sent.content)["Auto-Submitted"] == "auto-replied"
    bench.loop.run_until_idle()
    assert bench.queue.queued == 0
    assert bench.counted("bounce", "sent") == 1


def test_what_is_delivered_is_followed_by_nothing() -> None:
    bench = MailBench()
    bench.stored(1)
    bench.stored(2, dsn={"NOTIFY": "FAILURE"})
    bench.pool.answer(DELIVERED)
    bench.pool.answer(DELIVERED)
    bench.loop.run_until_idle()
    assert (bench.sent_mails(), bench.queue.queued) == ([], 0)


def test_success_is_reported_where_that_is_asked_for() -> None:
    bench = MailBench()
    bench.stored(1, dsn={"NOTIFY": "SUCCESS"})
    bench.pool.answer(DELIVERED)
    bench.loop.run_until_idle()
    assert bench.sent_mails() == ["success"]


@pytest.mark.parametrize("values", [{"sender": ""}, {"dsn": {"NOTIFY": "NEVER"}}])
def test_there_is_none_for_the_null_sender_nor_against_its_will(values: dict[str, Any]) -> None:
    bench = MailBench()
    failed(bench, 1, **values)
    assert (bench.sent_mails(), bench.queue.queued) == ([], 0)


def test_a_policys_mail_goes_in_the_place_of_the_report() -> None:
    bench = MailBench()
    bench.stored(1)
    (delivery,) = bench.queue.slots[0].active.values()
    delivery.follow_up = OutgoingMail(
        "reroute", "app@x.example", "user@x.example", b"Subject: x\r\n\r\n", "m1", NAME, bench.wall()
    )
    bench.pool.answer(DEAD)
    bench.loop.run_until_idle()
    assert bench.sent_mails() == ["reroute"]
    assert bench.relay.mails[0][0].apns_id == "00000000-0000-4000-8000-000000000001"


def test_a_relay_that_refuses_for_good_is_taken_at_its_word(caplog: pytest.LogCaptureFixture) -> None:
    bench = MailBench()
    failed(bench, 1)
    bench.relay.answer(REJECTED)
    bench.loop.run_until_idle()
    assert bench.queue.queued == 0
    assert bench.counted("bounce", "rejected") == 1
    assert caplog.messages == [
        "message m1: the bounce to a@b.example is given up (RelayRejected): 550 5.1.1 Relay: no such user"
    ]


def test_a_mail_that_is_put_off_waits_by_the_domains_schedule() -> None:
    bench = MailBench(options=DeliveryConfig(retry_interval=100.0, max_retry_interval=300.0))
    failed(bench, 1)
    for wait in (100.0, 200.0, 300.0, 300.0):
        bench.relay.answer(GREYLISTED)
        bench.loop.advance(wait - 1.0)
        assert bench.sent_mails() == []
        bench.loop.advance(1.5)
        assert bench.sent_mails() == ["bounce"]
    assert bench.relay.answer(TAKEN).attempt == 4
    assert bench.counted("bounce", "deferred") == 4


def test_a_mail_that_is_put_off_for_five_days_is_given_up() -> None:
    bench = MailBench(options=DeliveryConfig(retry_interval=DAY, max_retry_interval=DAY))
    failed(bench, 1)
    begun, tries = bench.loop.now, 0
    while bench.queue.queued:
        if bench.relay.mails:
            tries += 1
            bench.relay.answer(GREYLISTED)
        bench.loop.advance(3_600.0)
        assert bench.loop.now - begun <= MAIL_EXPIRATION + DAY
    assert tries == 5
    assert bench.counted("bounce", "expired") == 1


def test_a_relay_that_is_down_is_left_alone_and_then_gets_all_of_them() -> None:
    bench = MailBench()
    failed(bench, *range(30))
    assert 1 < len(bench.relay.mails) <= MOST_MAILS
    bench.relay.held_until = bench.loop.now + 3_600.0
    while bench.relay.mails:
        bench.relay.answer(DOWN)
    bench.loop.advance(3_590.0)
    assert bench.sent_mails() == []
    assert bench.queue.queued == 30
    bench.loop.advance(60.0)
    assert bench.sent_mails() == ["bounce"]  # the first one is a probe
    attempts = set()
    while bench.queue.queued:
        attempts.add(bench.relay.answer(TAKEN).attempt)
        bench.loop.advance(1.0)
    assert attempts == {0}  # it was not their fault
    assert bench.counted("bounce", "sent") == 30


def test_notifications_do_not_wait_for_mails() -> None:
    bench = MailBench()
    bench.relay.held_until = math.inf
    failed(bench, 1, 2, 3)
    bench.stored(4)
    assert bench.sent == ["m4"]
    assert bench.queue.describe()[-1]["routes"] == [RELAY]


def test_without_a_relay_what_is_there_waits_until_there_is_one() -> None:
    bench = MailBench()
    bench.relay.held_until = math.inf
    failed(bench, 1)
    bench.loop.advance(DAY)
    assert (bench.sent_mails(), bench.queue.queued) == ([], 1)
    bench.relay.held_until = 0.0
    bench.swap(bench.domain)
    assert bench.sent_mails() == ["bounce"]


def test_without_a_relay_it_expires_at_last() -> None:
    bench = MailBench()
    bench.relay.held_until = math.inf
    failed(bench, 1)
    bench.loop.advance(MAIL_EXPIRATION + 2 * SWEEP)
    assert bench.queue.queued == 0
    assert bench.counted("bounce", "expired") == 1


def test_a_domain_that_is_gone_still_has_its_mails_sent() -> None:
    bench = MailBench()
    bench.relay.held_until = bench.loop.now + 10.0
    failed(bench, 1)
    bench.swap(None)
    bench.loop.advance(40.0)
    assert bench.sent_mails() == ["bounce"]
    bench.relay.answer(GREYLISTED)
    bench.loop.advance(1_500.0)
    assert bench.sent_mails() == ["bounce"]  # by the schedule that domains have by default


def test_what_expires_without_its_domain_is_reported() -> None:
    bench = MailBench()
    bench.stored(1)
    bench.pool.answer(BUSY)
    bench.swap(None)
    bench.loop.advance(7 * DAY + 3 * SWEEP)
    assert bench.sent_mails() == ["bounce"]
    assert b"X-Tubepost; Expired" in bench.relay.mails[0][0].content


def test_a_mode_that_refuses_reports() -> None:
    bench = MailBench()
    bench.stored(1)
    bench.pool.answer(BUSY)
    refuse = DeliveryConfig(mode=DeliveryMode.REFUSE)
    bench.swap(Domain(refuse, bench.domain.routes, bounces=bench.domain.bounces))
    bench.loop.advance(DAY)
    assert bench.sent_mails() == ["bounce"]


def test_a_successor_sends_what_its_predecessor_did_not() -> None:
    loop = FakeLoop()
    store = MemoryStore(loop)
    before = MailBench(loop=loop, stores={0: store})
    failed(before, 1)
    assert before.sent_mails() == ["bounce"]
    before.queue._feeder.stop()  # killed: no answer came, nothing was removed
    store.release(list(store._taken))
    after = MailBench(loop=loop, stores={0: store})
    loop.advance(1.0)
    assert after.sent_mails() == ["bounce"]
    after.relay.answer(TAKEN)
    assert after.queue.queued == 0


def test_a_release_that_cannot_read_a_mail_keeps_it(caplog: pytest.LogCaptureFixture) -> None:
    bench = MailBench()
    bench.relay.held_until = bench.loop.now + 10.0
    failed(bench, 1)
    (row,) = rows(bench)
    store = bench.stores[0]
    store.again(1, row._replace(body=row.body.replace(b'"bounce"', b'"cookie"')))
    bench.loop.advance(40.0)
    assert bench.sent_mails() == []
    (row,) = rows(bench)
    assert row.hold == UNREADABLE
    assert "cookie" in caplog.text
    assert bench.queue.active == 0


def test_an_operator_drops_a_mail(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bench = MailBench()
    bench.relay.held_until = math.inf
    failed(bench, 1)
    taken: list[Kept] = []
    bench.stores[0].take([1], taken.extend)  # type: ignore[arg-type]
    bench.loop.run_until_idle()
    bench.queue.drop(bench.queue.slots[0], taken[0], "dropped by an operator, spam")
    assert bench.queue.queued == 0
    assert bench.counted("bounce", "dropped") == 1
    assert "given up (Dropped): dropped by an operator, spam" in caplog.text


async def test_what_became_of_a_mail_is_in_the_journal() -> None:
    journal = Journal(None, wall=lambda: 1.0)
    bench = MailBench(journal=journal)
    failed(bench, 1)
    bench.relay.answer(GREYLISTED)
    bench.loop.advance(3_600.0)
    bench.relay.answer(TAKEN)
    events = [line for line in await journal.trace("m1") if line["event"] == "bounce"]
    assert [line["outcome"] for line in events] == ["transient", "delivered"]
    assert events[0]["reason"] == "RelayDeferred"
    assert events[0]["detail"] == "451 4.7.1 Relay: greylisted"
    assert events[0]["recipient"] == "a@b.example"
    assert events[0]["apnsId"] == "00000000-0000-4000-8000-000000000001"


def test_the_hold_of_a_mail_on_its_way_meets_it_when_that_fails() -> None:
    bench = MailBench()
    failed(bench, 1)
    (mailing,) = bench.queue.slots[0].mailing.values()
    mailing.hold = "by somebody"
    bench.relay.answer(GREYLISTED)
    (row,) = rows(bench)
    assert (row.hold, row.due) == ("by somebody", math.inf)


def test_mails_are_found_by_the_filters_of_notifications() -> None:
    bench = MailBench()
    bench.relay.held_until = math.inf
    failed(bench, 1)
    found: list[Any] = []
    bench.stores[0].page(Filter(domain=NAME, sender="a@b.example", route=RELAY), None, 10, found.append)
    bench.loop.run_until_idle()
    assert [one.entry.message_id for one in found[0].kept] == ["m1"]


@pytest.mark.pure
def test_a_queue_without_a_relay_hands_nothing_over() -> None:
    relay: Any = NoRelay()
    assert relay.held_until == math.inf
    with pytest.raises(AssertionError):
        relay.send(None, None)
    with pytest.raises(AssertionError):
        relay.blames_relay(None)
    assert FakeRelay().held_until == 0.0
