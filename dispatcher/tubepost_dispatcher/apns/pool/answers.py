"""What it means that a stream ended without an answer."""

from __future__ import annotations

from tubepost_dispatcher.apns.connection import Result
from tubepost_dispatcher.apns.http2.results import StreamError
from tubepost_dispatcher.apns.reasons import local_outcome
from tubepost_dispatcher.outcome import Outcome


def unanswered(result: Result, cause: str, *, closing: bool) -> Outcome | None:
    """Return the outcome of a request without an answer, or None when it may be sent again unnoticed.

    None only when APNs cannot have acted on it: it refused the stream, the stream is above a GOAWAY's last
    one, or the end of the request was never sent. `cause` says how the connection ended, if it did.
    """
    if result.error in {StreamError.REFUSED, StreamError.UNPROCESSED} or not result.fully_sent:
        return None
    if closing:
        return local_outcome("ShuttingDown", "no answer in time", possible_double=True)
    if result.error is StreamError.LOST:
        return local_outcome("ConnectionLost", cause, possible_double=True, retry_at_once=True)
    reason = "StreamReset" if result.error is StreamError.RESET else "ProtocolError"
    return local_outcome(reason, f"HTTP/2 error code {result.error_code}", possible_double=True)
