"""A notification ends with nothing more, with a report, or is said to be late before that."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes

import pytest

from tests.dispatcher.delivery.support import BUSY, DELIVERED
from tests.dispatcher.queue.mail_support import TAKEN, MailBench
from tests.dispatcher.queue.test_mails import rows
from tubepost_api.config import DeliveryConfig, DeliveryMode
from tubepost_api.config_relay import BounceConfig
from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.notification import decode
from tubepost_dispatcher.queue.feeder import SWEEP
from tubepost_dispatcher.store.port import Failure, FailureKind

HOUR = 3_600.0
DAY = 24 * HOUR
LATE = BounceConfig(delay_notices=True, delay_after=4 * HOUR)


def test_a_notification_that_is_late_is_told_of_once() -> None:
    bench = MailBench(LATE)
    bench.stored(1)
    begun = bench.loop.now
    while bench.loop.now < begun + 4 * HOUR - 60:
        if bench.sent:
            bench.pool.answer(BUSY)
        bench.loop.advance(60.0)
    assert bench.sent_mails() == []
    if bench.sent:
        bench.pool.answer(BUSY)
    bench.loop.advance(60.0 + 2 * SWEEP)
    assert bench.sent_mails() == ["delay"]
    content = message_from_bytes(bench.relay.mails[0][0].content)
    status = content.get_payload()[1].get_payload()[1]  # type: ignore[index, union-attr]
    assert status["Action"] == "delayed"  # type: ignore[index]
    assert status["Status"] == "4.3.2"  # type: ignore[index]
    assert status["Diagnostic-Code"] == "X-APNs; 503 ServiceUnavailable"  # type: ignore[index]
    assert status["Remote-MTA"] == "dns; apns.example"  # type: ignore[index]
    assert status["Will-Retry-Until"] == "Fri, 22 Jan 2027 08:16:40 -0000"  # type: ignore[index]
    bench.relay.answer(TAKEN)
    told = bench.loop.now
    while bench.loop.now < told + 2 * DAY:
        if bench.sent:
            bench.pool.answer(BUSY)
        bench.loop.advance(HOUR)
    assert bench.sent_mails() == []
    assert bench.queue.queued == 1


def test_it_still_expires_at_its_time() -> None:
    bench = MailBench(LATE, options=DeliveryConfig(message_expiration=DAY))
    bench.stored(1)
    bench.pool.answer(BUSY)
    bench.pool.held_until = 1e12
    bench.swap(bench.domain)
    bench.loop.advance(4 * HOUR + 2 * SWEEP)
    assert bench.sent_mails() == ["delay"]
    bench.relay.answer(TAKEN)
    (row,) = rows(bench)
    assert row.expires == decode(row.body).accepted_at + DAY
    bench.loop.advance(20 * HOUR + 2 * SWEEP)
    assert bench.sent_mails() == ["bounce"]
    assert bench.ends[-1] == ("m1", "Expired")


def test_what_waits_for_a_held_route_is_late_too_and_delivered_afterwards() -> None:
    bench = MailBench(LATE)
    bench.pool.held_until = 6 * HOUR
    bench.swap(bench.domain)
    bench.stored(1)
    bench.loop.advance(4 * HOUR + 2 * SWEEP)
    assert bench.sent_mails() == ["delay"]
    assert b"It has not been tried yet." in bench.relay.mails[0][0].content
    bench.loop.advance(2 * HOUR + 60.0)
    bench.pool.answer(DELIVERED)
    bench.relay.answer(TAKEN)
    assert bench.queue.queued == 0


def test_a_suspended_domain_tells_it_too() -> None:
    bench = MailBench(LATE, options=DeliveryConfig(mode=DeliveryMode.SUSPEND))
    bench.stored(1)
    bench.loop.advance(4 * HOUR + 2 * SWEEP)
    assert bench.sent_mails() == ["delay"]


@pytest.mark.parametrize("notify", ["FAILURE", "NEVER", "SUCCESS"])
def test_who_does_not_want_it_is_not_told(notify: str) -> None:
    bench = MailBench(LATE, options=DeliveryConfig(mode=DeliveryMode.SUSPEND))
    bench.stored(1, dsn={"NOTIFY": notify})
    bench.loop.advance(5 * HOUR)
    assert bench.sent_mails() == []
    (row,) = rows(bench)
    assert decode(row.body).expires == 0.0


def test_nobody_is_told_once_that_is_switched_off() -> None:
    bench = MailBench(LATE, options=DeliveryConfig(mode=DeliveryMode.SUSPEND))
    bench.stored(1)
    bench.swap(Domain(bench.domain.options, bench.domain.routes, bounces=BounceConfig()))
    bench.loop.advance(5 * HOUR)
    assert bench.sent_mails() == []
    (row,) = rows(bench)
    assert row.expires == decode(row.body).accepted_at + 7 * DAY


def test_a_notice_that_finds_no_room_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = MailBench(LATE, options=DeliveryConfig(mode=DeliveryMode.SUSPEND))
    bench.stored(1)
    store = bench.stores[0]
    full = Failure(FailureKind.FULL, "full")

    def put(entries: object, done: Callable[[Failure], None], **_: object) -> None:
        bench.loop.call_soon(done, full)

    monkeypatch.setattr(store, "put", put)
    bench.loop.advance(4 * HOUR + 2 * SWEEP)
    assert bench.sent_mails() == []
    monkeypatch.undo()
    bench.loop.advance(3 * SWEEP)
    assert bench.sent_mails() == ["delay"]


def test_a_drop_is_reported_and_what_cannot_be_read_is_dropped_without() -> None:
    bench = MailBench(options=DeliveryConfig(mode=DeliveryMode.SUSPEND))
    bench.stored(1)
    (row,) = rows(bench)
    slot = bench.queue.slots[0]
    taken: list[object] = []
    slot.store.take([1], taken.append)
    bench.loop.run_until_idle()
    (one,) = taken[0]  # type: ignore[misc]
    bench.queue.drop(slot, one, "dropped by an operator, by mistake")
    bench.loop.run_until_idle()
    assert bench.sent_mails() == ["bounce"]
    bench.queue.drop(slot, one._replace(entry=row._replace(body=b"?")), "")
    assert bench.queue.queued == 0
