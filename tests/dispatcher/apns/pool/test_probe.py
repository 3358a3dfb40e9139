from __future__ import annotations

from tests.dispatcher.apns.support import Outcomes, request
from tests.support.loop import FakeLoop
from tubepost_dispatcher.apns.connection import Request
from tubepost_dispatcher.apns.pool.probe import PATIENCE, Probe
from tubepost_dispatcher.outcome import Outcome, OutcomeKind

DELIVERED = Outcome(OutcomeKind.DELIVERED)


def probe(original: Request, loop: FakeLoop) -> Probe:
    return Probe(original, lambda item, outcome: item.on_outcome(item, outcome), loop)


def test_an_answer_in_time_is_the_requests() -> None:
    loop, outcomes = FakeLoop(), Outcomes()
    original = request(outcomes)
    sent = probe(original, loop).request
    assert (sent.token, sent.apns_id, sent.response_timeout) == (
        original.token,
        original.apns_id,
        original.response_timeout,
    )
    sent.sent_at = 7.0
    sent.on_outcome(sent, DELIVERED)
    loop.advance(10 * PATIENCE)
    assert outcomes.by_request == {original: DELIVERED}
    assert original.sent_at == 7.0


def test_who_comes_when_a_probe_is_due_does_not_wait_for_its_whole_time() -> None:
    loop, outcomes = FakeLoop(), Outcomes()
    original = request(outcomes)
    sent = probe(original, loop).request
    loop.advance(PATIENCE + 0.01)
    (outcome,) = outcomes.order
    assert (outcome.reason, outcome.possible_double) == ("ResponseTimeout", True)
    sent.on_outcome(sent, DELIVERED)
    assert len(outcomes.order) == 1, "told once"


def test_one_that_was_sent_before_takes_what_comes() -> None:
    loop, outcomes = FakeLoop(), Outcomes()
    original = request(outcomes)
    original.sent_at = 3.0
    sent = probe(original, loop).request
    loop.advance(10 * PATIENCE)
    assert not outcomes.order
    sent.on_outcome(sent, DELIVERED)
    assert outcomes.order == [DELIVERED]
