from __future__ import annotations

import pytest

from tests.dispatcher.apns.support import Outcomes, request
from tubepost_dispatcher.apns.http2.results import StreamError, StreamResult
from tubepost_dispatcher.apns.pool.answers import unanswered
from tubepost_dispatcher.outcome import OutcomeKind

ERRORS = [error for error in StreamError if error is not StreamError.NONE]


def result(error: StreamError, *, sent: bool = True) -> StreamResult:
    return StreamResult(request(Outcomes()), error=error, error_code=8, fully_sent=sent)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("error", ERRORS)
def test_what_was_never_sent_as_a_whole_goes_elsewhere_unnoticed(error: StreamError, closed: bool) -> None:
    assert unanswered(result(error, sent=False), "", closed=closed) is None


@pytest.mark.parametrize("error", ERRORS)
def test_what_was_sent_may_be_a_double_unless_the_server_says_otherwise(error: StreamError) -> None:
    outcome = unanswered(result(error), "reset by peer", closed=False)
    if error in {StreamError.REFUSED, StreamError.UNPROCESSED}:
        assert outcome is None
        return
    assert outcome is not None
    assert (outcome.kind, outcome.possible_double) == (OutcomeKind.TRANSIENT, True)
    assert outcome.retry_at_once == (error is StreamError.LOST)


def test_the_reason_says_how_the_stream_ended() -> None:
    reasons = {
        error: found.reason for error in ERRORS if (found := unanswered(result(error), "", closed=False))
    }
    assert reasons == {
        StreamError.LOST: "ConnectionLost",
        StreamError.RESET: "StreamReset",
        StreamError.PROTOCOL: "ProtocolError",
    }


def test_at_the_end_of_a_pool_a_lost_answer_is_its_closing() -> None:
    outcome = unanswered(result(StreamError.LOST), "shutdown", closed=True)
    assert outcome is not None
    assert (outcome.reason, outcome.possible_double) == ("ShuttingDown", True)
