"""Direct acceptance with `overflow: Queue`: what has no verdict is kept, and nothing is sent twice by that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.dispatcher.acceptance.support import Bench, abandon
from tests.dispatcher.acceptance.test_direct_mail import BOTH, Relay, settled
from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED
from tubepost_api.config import AcceptanceOverflow, DeliveryConfig, DeliveryMode, Throttle
from tubepost_api.config_relay import RelayConfig
from tubepost_dispatcher.acceptance import relay
from tubepost_dispatcher.acceptance.direct import DISK_PATIENCE
from tubepost_dispatcher.reasons.catalogue import local_outcome
from tubepost_dispatcher.store.port import Failure, FailureKind

QUEUED = (250, "2.0.0", "Queued as m1")


def overflowing(*args: Any, **options: Any) -> Bench:
    return Bench(*args, overflow=AcceptanceOverflow.QUEUE, **options)


def counted(bench: Bench) -> float:
    return bench.count("tubepost_queue_accepted_total", cause="overflow")


def test_a_verdict_in_time_needs_no_queue() -> None:
    bench = overflowing()
    for outcome, code in ((DELIVERED, 250), (DEAD, 550)):
        bench.inject()
        bench.pools[0].answer(outcome)
        assert bench.replies.pop()[0] == code
    assert (bench.queue.outcomes, counted(bench)) == ([], 0)


def test_what_fails_until_the_deadline_goes_into_the_queue_with_its_attempts() -> None:
    bench = overflowing(deadline=10.0)
    bench.inject()
    while not bench.queue.puttings:
        if bench.pools[0].requests:
            bench.pools[0].answer(BUSY)
        bench.loop.advance(0.5)
    assert (bench.replies, bench.pools[0].requests) == ([], [])
    (item,) = bench.queue.answer().items
    assert item[0].attempt >= 4
    assert bench.queue.outcomes == [BUSY]
    assert bench.replies == [QUEUED]
    assert (counted(bench), bench.messages("accepted"), bench.acceptance.open) == (1, 1, 0)
    # Failed attempts have their lines, and there is no line of an end that is none.
    assert [event.kind for event in bench.hub.events] == ["tempfail"] * item[0].attempt


def test_what_was_not_sent_is_withdrawn_from_its_pool_first() -> None:
    bench = overflowing(deadline=3.0)
    bench.inject()
    bench.loop.advance(3.1)
    assert bench.pools[0].requests == []
    assert [one.reason for one in bench.queue.outcomes] == ["NoConnectionInTime"]
    bench.queue.answer()
    assert bench.replies == [QUEUED]


@pytest.mark.parametrize(
    ("outcome", "code"),
    [(DELIVERED, 250), (DEAD, 550), (local_outcome("ResponseTimeout", possible_double=True), None)],
)
def test_a_request_under_way_comes_to_its_end_first(outcome: Any, code: int | None) -> None:
    bench = overflowing(DeliveryConfig(response_timeout=60.0), deadline=3.0)
    bench.pools[0].withdrawable = False
    bench.inject()
    bench.loop.advance(20.0)
    assert (bench.replies, bench.queue.puttings) == ([], [])
    bench.pools[0].answer(outcome)
    bench.loop.advance(1.0)
    assert bench.pools[0].requests == []
    if code is None:
        bench.queue.answer()
        assert bench.replies == [QUEUED]
        assert bench.queue.outcomes == [outcome]
    else:
        assert bench.replies[0][0] == code
        assert bench.queue.outcomes == []


def test_between_two_attempts_the_last_outcome_counts() -> None:
    bench = overflowing(deadline=0.1)
    bench.inject()
    bench.pools[0].answer(BUSY)
    bench.loop.advance(0.2)
    assert bench.queue.outcomes == [BUSY]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"facts": None}, "CredentialMissing"),
        ({"delivery": DeliveryConfig(mode=DeliveryMode.SUSPEND)}, "Suspended"),
    ],
)
def test_what_cannot_be_tried_is_kept_at_once(options: dict[str, Any], reason: str) -> None:
    bench = overflowing(**options)
    bench.inject()
    assert [one.reason for one in bench.queue.outcomes] == [reason]
    assert bench.pools[0].requests == []
    bench.queue.answer()
    assert bench.replies == [QUEUED]


def test_what_exceeds_the_throttle_is_kept() -> None:
    bench = overflowing(DeliveryConfig(throttle=Throttle(messages=1, seconds=100.0)))
    bench.inject()
    bench.inject()
    assert [one.reason for one in bench.queue.outcomes] == ["Throttled"]


def test_a_silent_route_hands_over_at_once() -> None:
    bench = overflowing()
    bench.inject()
    bench.pools[0].answer(local_outcome("RouteSilent"))
    assert [one.reason for one in bench.queue.outcomes] == ["RouteSilent"]


def test_blackhole_and_what_can_never_be_sent_are_as_ever() -> None:
    bench = overflowing(DeliveryConfig(mode=DeliveryMode.BLACKHOLE), facts=None)
    bench.inject()
    assert bench.replies.pop()[2].startswith("Discarded")
    bench = overflowing(DeliveryConfig(mode=DeliveryMode.SUSPEND))
    bench.inject('{"aps": "' + "x" * 5000 + '"}')
    assert bench.replies.pop()[0] == 552
    assert bench.queue.outcomes == []


def test_a_schedule_without_another_attempt_leaves_it_to_the_sender() -> None:
    bench = overflowing(facts=None)
    bench.queue.patient = False
    bench.inject()
    assert bench.replies[0][0] == 451
    assert "CredentialMissing" in bench.replies[0][2]
    assert counted(bench) == 0


def test_a_queue_that_cannot_take_it_leaves_it_to_the_sender() -> None:
    bench = overflowing(facts=None)
    bench.inject()
    bench.queue.answer(Failure(FailureKind.FULL, "/secret"))
    assert bench.replies == [(452, "4.3.1", "The queue is full, try again later")]
    assert bench.count("tubepost_queue_refused_total", kind="full") == 1


def test_a_slow_disk_has_a_deadline_of_its_own() -> None:
    bench = overflowing(deadline=30.0)
    bench.inject()
    bench.loop.advance(29.0)
    # One that comes later has a later deadline than the disk.
    bench.inject()
    bench.loop.advance(1.1)
    (putting,) = bench.queue.puttings
    bench.loop.advance(DISK_PATIENCE + 0.1)
    assert putting.abandoned
    assert bench.replies == [(451, "4.3.0", "The queue does not answer in time, try again later")]
    bench.loop.advance(60.0)
    assert len(bench.replies) == 2
    assert bench.count("tubepost_queue_refused_total", kind="slow") == 2


def test_a_client_that_leaves_is_not_delivered_for() -> None:
    bench = overflowing(deadline=3.0)
    transaction = bench.inject()
    bench.loop.advance(3.1)
    abandon(transaction)
    assert bench.queue.puttings[0].abandoned
    assert (bench.messages("abandoned"), bench.acceptance.open) == (1, 0)
    bench = overflowing(deadline=3.0)
    bench.pools[0].withdrawable = False
    abandon(bench.inject())
    bench.pools[0].answer(BUSY)
    assert (bench.queue.puttings, bench.messages("abandoned"), bench.acceptance.open) == ([], 1, 0)


def test_an_overflow_that_is_configured_away_meanwhile() -> None:
    bench, other = overflowing(deadline=3.0), Bench()
    bench.inject()
    bench.swap(other.active)
    bench.loop.advance(3.1)
    assert bench.queue.puttings == []
    assert bench.replies[0][0] == 451


def test_a_fault_of_ours_is_451(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = overflowing(facts=None)

    def fail(*args: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(bench.queue, "take_over", fail)
    bench.inject()
    assert bench.replies == [(451, "4.3.0", "Internal error, try again later")]


@pytest.mark.parametrize("mode", [DeliveryMode.DELIVER, DeliveryMode.SUSPEND])
async def test_the_mail_goes_before_the_queue_takes_over(
    monkeypatch: pytest.MonkeyPatch, mode: DeliveryMode
) -> None:
    taker = Relay()
    monkeypatch.setattr(relay, "relay", taker.relay)
    bench = overflowing(DeliveryConfig(mode=mode), facts=None if mode is DeliveryMode.DELIVER else "default")
    config = bench.active.config.model_copy(update={"passthru": RelayConfig(host="mx")})
    bench.swap(replace(bench.active, config=config))
    taker.go.clear()
    bench.take(BOTH)
    await settled()
    assert bench.queue.puttings == []
    taker.go.set()
    await settled()
    assert len(taker.mails) == 1
    bench.queue.answer()
    assert bench.replies == [QUEUED]
