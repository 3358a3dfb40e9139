from __future__ import annotations

import asyncio

import pytest

from tests.dispatcher.acceptance.support import TOKEN, Bench, abandon, garbage_of
from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED
from tests.support.mcmt import message, part
from tubepost_api.config import DeliveryConfig, DeliveryMode, McmtReception, Throttle
from tubepost_dispatcher.acceptance.active import ActiveConfig
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.delivery.domain import Domains
from tubepost_dispatcher.domain_lookup import DomainLookup
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import local_outcome
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import SessionFacts


def test_250_carries_the_apns_id_and_comes_after_the_verdict() -> None:
    bench = Bench()
    bench.inject()
    assert bench.replies == []
    assert bench.count("tubepost_in_flight") == 1
    bench.pools[0].answer(DELIVERED)
    assert bench.replies == [(250, "2.0.0", f"Delivered apns-id={DELIVERED.apns_id}")]
    assert bench.messages("accepted") == 1
    assert bench.count("tubepost_in_flight") == 0
    (event,) = bench.hub.events
    assert (event.kind, event.route, event.status, event.device_token) == ("delivery", "route0", 0, TOKEN)
    assert (event.source_address, event.destination_address) == ("alerts@sender.example", "sub")


@pytest.mark.parametrize("outcomes", [(DELIVERED,), (DEAD,), (BUSY, DELIVERED)])
def test_a_message_leaves_no_cycle_behind(outcomes: tuple[Outcome, ...]) -> None:
    """The collector would have to find them, at a cost, and late."""
    bench = Bench()

    def one_message() -> None:
        bench.inject()
        for outcome in outcomes:
            bench.loop.advance(5.0)
            bench.pools[0].answer(outcome)

    assert garbage_of(one_message) == []
    assert len(bench.replies) == 1


def test_a_permanent_failure_is_a_550_with_apns_reason() -> None:
    bench = Bench()
    bench.inject()
    bench.pools[0].answer(DEAD)
    ((code, _, text),) = bench.replies
    assert code == 550
    assert "Unregistered" in text
    assert bench.count("tubepost_dead_tokens_total", route="route0") == 1
    assert bench.hub.events[0].kind == "permfail"


def test_transient_failures_are_tried_again_with_the_same_apns_id_until_the_deadline() -> None:
    bench = Bench(deadline=10.0)
    bench.inject()
    ids = set()
    for _ in range(100):
        if bench.replies:
            break
        ids.add(bench.pools[0].requests[0].apns_id)
        bench.pools[0].answer(BUSY)
        if not bench.replies:
            bench.loop.advance(min(timer.when() for timer in bench.loop.timers) - bench.loop.now)
    ((code, _, text),) = bench.replies
    assert code == 451
    assert "ServiceUnavailable" in text
    assert len(ids) == 1
    assert bench.loop.now < 1010.0
    assert bench.count("tubepost_retries_total", route="route0") == len(bench.hub.events) - 1 >= 4


def test_a_later_success_is_a_250() -> None:
    bench = Bench()
    bench.inject()
    bench.pools[0].answer(BUSY)
    bench.loop.advance(1.0)
    bench.pools[0].answer(DELIVERED)
    assert bench.replies[0][0] == 250
    assert [event.kind for event in bench.hub.events] == ["tempfail", "delivery"]
    assert bench.hub.events[1].attempt == 2


def test_the_next_route_takes_over_at_once_when_the_first_is_unavailable() -> None:
    bench = Bench(routes=2)
    bench.inject()
    bench.pools[0].answer(local_outcome("ConnectFailed"))
    bench.loop.advance(0.0)
    bench.pools[1].answer(DELIVERED)
    assert bench.replies[0][0] == 250
    assert bench.hub.events[-1].route == "route1"
    assert bench.count("tubepost_failovers_total", route="route1") == 1


def test_a_held_route_is_passed_over_and_used_again_later() -> None:
    bench = Bench(routes=2)
    bench.pools[0].held_until = bench.loop.now + 60
    bench.inject()
    assert (len(bench.pools[0].requests), len(bench.pools[1].requests)) == (0, 1)
    bench.pools[0].held_until = 0.0
    bench.inject()
    assert len(bench.pools[0].requests) == 1


def test_a_hold_beyond_the_deadline_is_answered_without_waiting() -> None:
    bench = Bench()
    bench.inject()
    bench.pools[0].answer(local_outcome("RouteHeld", held_until=bench.loop.now + 300))
    assert bench.replies[0][0] == 451


def test_a_possible_double_is_counted_and_repeated_at_once() -> None:
    bench = Bench()
    bench.inject()
    bench.pools[0].answer(local_outcome("ConnectionLost", possible_double=True, retry_at_once=True))
    bench.loop.advance(0.0)
    assert len(bench.pools[0].requests) == 1
    assert bench.count("tubepost_possible_doubles_total", route="route0") == 1


def test_a_missing_credential_is_transient() -> None:
    bench = Bench(facts=None)
    bench.inject()
    assert bench.replies[0][0] == 451
    assert "CredentialMissing" in bench.replies[0][2]


@pytest.mark.parametrize(
    ("mode", "code", "result"),
    [(DeliveryMode.SUSPEND, 451, "deferred"), (DeliveryMode.BLACKHOLE, 250, "accepted")],
)
def test_modes_that_send_nothing(mode: DeliveryMode, code: int, result: str) -> None:
    bench = Bench(DeliveryConfig(mode=mode))
    bench.inject()
    assert bench.replies[0][0] == code
    assert bench.pools[0].requests == []
    assert bench.messages(result) == 1
    assert bench.count("tubepost_blackholed_total") == (mode is DeliveryMode.BLACKHOLE)
    assert len(bench.journal.discarded) == (mode is DeliveryMode.BLACKHOLE)


def test_blackhole_still_refuses_what_could_not_be_sent() -> None:
    bench = Bench(DeliveryConfig(mode=DeliveryMode.BLACKHOLE))
    bench.inject('{"aps": "' + "x" * 5000 + '"}')
    assert bench.replies[0][:2] == (552, "5.3.4")


def test_one_recipient_and_one_part() -> None:
    bench = Bench()
    second = bench.acceptance.check_recipient(SessionFacts("192.0.2.1", 1), "apn_example.com", 1)
    assert isinstance(second, Reply)
    assert (second.code, second.enhanced) == (452, "4.5.3")
    bench.inject(parts=2)
    assert bench.replies[0][0] == 554
    assert bench.replies[0][2].startswith("One push part per message with Direct acceptance")


def test_an_unknown_domain_is_550() -> None:
    answer = Bench().acceptance.check_recipient(SessionFacts("192.0.2.1", 1), "elsewhere.example", 0)
    assert isinstance(answer, Reply)
    assert (answer.code, answer.enhanced) == (550, "5.1.2")


def test_a_domain_that_refuses_is_550() -> None:
    bench = Bench(DeliveryConfig(mode=DeliveryMode.REFUSE))
    answer = bench.acceptance.check_recipient(SessionFacts("192.0.2.1", 1), "apn_example.com", 0)
    assert isinstance(answer, Reply)
    assert (answer.code, answer.enhanced) == (550, "5.7.1")


def test_reception_reject_and_mail_without_a_relay() -> None:
    bench = Bench(reception=McmtReception.REJECT)
    bench.inject()
    assert bench.replies == [(554, "5.7.1", "MCMT messages are not accepted here")]
    bench = Bench()
    bench.take(b"Subject: mail\r\n\r\nhello\r\n")
    assert bench.replies[0][0] == 554
    assert bench.messages("rejected", "mail") == 1


def test_a_malformed_payload_is_refused_and_logged() -> None:
    bench = Bench()
    bench.inject('{"aps": }')
    assert bench.replies[0][:2] == (554, "5.6.0")
    assert bench.hub.events[0].kind == "permfail"
    assert bench.hub.events[0].status == 4
    ((what, outcome),) = bench.journal.refusals
    assert (what.message_id, what.recipient, what.push.token) == ("m1", "sub@apn_example.com", b"")
    assert (outcome.kind, outcome.reason) == (DEAD.kind, bench.hub.events[-1].reason)
    assert outcome.detail == " ".join(map(str, bench.replies[0]))


def test_the_throttle_delays_and_then_refuses() -> None:
    bench = Bench(DeliveryConfig(throttle=Throttle(messages=1, seconds=20.0)), deadline=30.0)
    for _ in range(3):
        bench.inject()
    assert len(bench.pools[0].requests) == 1
    assert bench.replies == [
        (451, "4.7.0", "Throttled: the delivery rate of this domain is used up, try later")
    ]
    assert [(event.kind, event.reason, event.status) for event in bench.hub.events] == [
        ("tempfail", "Throttled", 1)
    ]
    bench.loop.advance(20.0)
    assert len(bench.pools[0].requests) == 2


def test_what_was_sent_and_has_no_verdict_is_answered_at_the_deadline() -> None:
    bench = Bench(DeliveryConfig(response_timeout=60.0), deadline=3.0)
    bench.pools[0].withdrawable = False
    bench.inject()
    bench.loop.advance(2.9)
    assert bench.replies == []
    bench.loop.advance(0.2)
    assert bench.replies == [
        (451, "4.4.2", "Not delivered: ResponseTimeout (no answer by the acceptance deadline)")
    ]
    assert (bench.messages("deferred"), bench.acceptance.open) == (1, 0)
    bench.pools[0].answer(DELIVERED)
    assert len(bench.replies) == 1
    assert bench.hub.events[0].kind == "delivery"
    assert bench.count("tubepost_possible_doubles_total", route="route0") == 1
    assert bench.messages("accepted") == 0


def test_what_was_not_sent_is_withdrawn_at_the_deadline() -> None:
    bench = Bench(deadline=3.0)
    bench.inject()
    bench.loop.advance(3.1)
    assert bench.replies == [(451, "4.4.1", "Not delivered: NoConnectionInTime")]
    assert bench.pools[0].requests == []
    assert bench.hub.events[0].reason == "NoConnectionInTime"


def test_a_refusal_is_logged_with_what_the_message_said() -> None:
    bench = Bench()
    apns_id = "99999999-2222-4333-8444-555555555555"
    inner = [b"apns-id: " + apns_id.encode(), b"apns-push-type: none"]
    content = message(part(b"{}", inner=inner), headers=[b"X-Tubepost-Context: campaign=spring"])
    bench.take(content)
    (event,) = bench.hub.events
    assert (event.kind, event.status, event.apns_id) == ("permfail", 4, apns_id)
    assert event.context["campaign"] == "spring"


def test_a_client_that_left_before_sending_costs_nothing() -> None:
    bench = Bench()
    transaction = bench.inject()
    abandon(transaction)
    assert bench.pools[0].requests == []
    assert bench.messages("abandoned") == 1
    assert bench.acceptance.open == 0


def test_a_client_that_left_after_sending_is_a_possible_double() -> None:
    bench = Bench()
    bench.pools[0].withdrawable = False
    transaction = bench.inject()
    abandon(transaction)
    assert bench.acceptance.open == 1
    bench.pools[0].answer(DELIVERED)
    assert bench.acceptance.open == 0
    assert bench.count("tubepost_possible_doubles_total", route="route0") == 1


def test_a_client_that_left_between_two_attempts_ends_them() -> None:
    bench = Bench()
    transaction = bench.inject()
    bench.pools[0].answer(BUSY)
    abandon(transaction)
    bench.loop.advance(60.0)
    assert bench.pools[0].requests == []
    assert bench.acceptance.open == 0


def test_a_fault_of_ours_is_451_and_never_a_bounce(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    def broken(request: ApnsRequest) -> None:
        raise OSError("/secret/path")

    bench.pools[0].submit = broken  # type: ignore[method-assign]
    bench.inject()
    assert bench.replies == [(451, "4.3.0", "Internal error, try again later")]
    assert bench.acceptance.open == 0


def test_another_configuration_serves_the_repetition() -> None:
    old, new = Bench(), Bench()
    old.inject()
    old.swap(new.active)
    old.pools[0].answer(BUSY)
    old.loop.advance(1.0)
    assert len(new.pools[0].requests) == 1


def test_a_repetition_for_a_domain_that_is_gone_is_deferred_at_once() -> None:
    bench = Bench()
    bench.inject()
    bench.swap(ActiveConfig(bench.active.config, Domains(DomainLookup(()), ()), None))
    bench.pools[0].answer(local_outcome("ShuttingDown", retry_at_once=True))
    bench.loop.advance(0.0)
    assert bench.replies[0][:2] == (451, "4.3.5")
    assert bench.pools[0].requests == []
    assert bench.acceptance.open == 0


@pytest.mark.parametrize("mode", [DeliveryMode.SUSPEND, DeliveryMode.BLACKHOLE])
def test_a_repetition_does_not_leave_once_nothing_shall_leave(mode: DeliveryMode) -> None:
    old, new = Bench(), Bench(DeliveryConfig(mode=mode))
    old.inject()
    old.swap(new.active)
    old.pools[0].answer(BUSY)
    old.loop.advance(1.0)
    assert old.replies[0][:2] == (451, "4.3.2")
    assert new.pools[0].requests == []


def test_a_repetition_takes_the_route_that_replaced_its_own() -> None:
    old, new = Bench(), Bench(routes=2)
    old.inject()
    old.swap(new.active)
    old.pools[0].answer(local_outcome("ShuttingDown", retry_at_once=True))
    new.pools[0].held_until = old.loop.now + 60
    old.loop.advance(0.0)
    new.pools[1].answer(DELIVERED)
    assert old.replies[0][0] == 250


async def test_the_end_does_not_wait_for_a_relay_beyond_its_grace() -> None:
    bench = Bench()
    never = asyncio.Event()
    task = bench.context.relay._tasks.spawn(never.wait())
    async with asyncio.timeout(20):
        await bench.context.close(0.0)
    assert task.cancelled()
