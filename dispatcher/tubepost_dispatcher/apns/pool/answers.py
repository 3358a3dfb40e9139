"""What becomes of requests whose stream has ended: an outcome for their owner, or another connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tubepost_dispatcher.apns.connection import Connection, Request, Result
from tubepost_dispatcher.apns.connector import Connector
from tubepost_dispatcher.apns.credential_state import CredentialState
from tubepost_dispatcher.apns.http2.results import StreamError
from tubepost_dispatcher.apns.pool.gauges import PoolGauges
from tubepost_dispatcher.apns.pool.waiting import Waiting
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import local_outcome

MAX_MOVES = 5
"""Times that a request may be moved to another connection because the server never saw it."""
REST = 0.05
"""Seconds for which nothing is put on a connection that refused a stream."""


class Answers:
    """Tells outcomes, and lets credential, connector and connection know what an answer says about them."""

    __slots__ = ("_connector", "_credential", "_gauges", "_loop", "_waiting", "_wall", "closed")

    def __init__(
        self,
        credential: CredentialState,
        connector: Connector,
        waiting: Waiting,
        gauges: PoolGauges,
        loop: asyncio.AbstractEventLoop,
        wall: Callable[[], float],
    ) -> None:
        self._credential = credential
        self._connector = connector
        self._waiting = waiting
        self._gauges = gauges
        self._loop = loop
        self._wall = wall
        self.closed = False
        """The pool is closed: no more answers are expected."""

    def take(self, connection: Connection, results: list[Result], now: float) -> None:
        """Tell the outcomes of ended streams; what the server never saw goes back to the queue's head."""
        accepted = 0
        unseen: list[Request] = []
        observe = self._gauges.observe_latency
        tell = self.tell
        for result in results:
            if result.status == 200:
                request = result.key
                if not accepted:
                    self._accepted(connection, request.sent_at, now)
                accepted += 1
                observe(now - request.sent_at)
                tell(request, Outcome(OutcomeKind.DELIVERED, "", 200, request.apns_id.decode("ascii")))
            elif result.status:
                self._rejected(connection, result, now)
            else:
                self._ended(connection, result, now, unseen)
        connection.answered += accepted
        if unseen:
            self._send_again(unseen)

    def tell(self, request: Request, outcome: Outcome) -> None:
        """Give a request its outcome."""
        request.moves = 0
        try:
            request.on_outcome(request, outcome)
        except Exception as error:  # noqa: BLE001 - one caller's fault must not cost others their outcome
            self._loop.call_exception_handler(
                {"message": "on_outcome of a push request raised", "exception": error}
            )

    def _accepted(self, connection: Connection, sent_at: float, now: float) -> None:
        connection.proven = True
        self._credential.accepted(sent_at, now)
        self._connector.succeeded()

    def _rejected(self, connection: Connection, result: Result, now: float) -> None:
        request = result.key
        connection.answered += 1
        self._connector.succeeded()
        self._gauges.observe_latency(now - request.sent_at)
        meaning = self._credential.interpret(
            result.status, result.body, request, request.sent_at, now, self._wall()
        )
        if meaning.replace_connection:
            connection.retire()
        self.tell(request, meaning.outcome)

    def _ended(self, connection: Connection, result: Result, now: float, unseen: list[Request]) -> None:
        if result.error is StreamError.REFUSED:
            # The server is busy, or about to lower its stream limit.
            connection.rest_until = now + REST
        outcome = unanswered(result, connection.detail or connection.cause, closed=self.closed)
        if outcome is None:
            unseen.append(result.key)
        else:
            self.tell(result.key, outcome)

    def _send_again(self, unseen: list[Request]) -> None:
        front: list[Request] = []
        for request in unseen:
            request.moves += 1
            if request.moves > MAX_MOVES:
                self.tell(request, local_outcome("StreamRefused", f"refused unseen {request.moves} times"))
            else:
                front.append(request)
        if front:
            self._waiting.push_front(front)
            self._gauges.resubmitted.inc(len(front))


def unanswered(result: Result, cause: str, *, closed: bool) -> Outcome | None:
    """Return the outcome of a request without an answer, or None when it may safely be sent again.

    None only when APNs cannot have acted on it: it refused the stream, the stream is above a GOAWAY's last
    one, or the end of the request was never sent. `cause` says how the connection ended, if it did.
    """
    if result.error in {StreamError.REFUSED, StreamError.UNPROCESSED} or not result.fully_sent:
        return None
    if closed:
        return local_outcome("ShuttingDown", "no answer in time", possible_double=True)
    if result.error is StreamError.LOST:
        return local_outcome("ConnectionLost", cause, possible_double=True, retry_at_once=True)
    reason = "StreamReset" if result.error is StreamError.RESET else "ProtocolError"
    return local_outcome(reason, f"HTTP/2 error code {result.error_code}", possible_double=True)
