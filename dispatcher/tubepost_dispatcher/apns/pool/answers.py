"""What becomes of requests whose stream has ended: an outcome for their owner, or another connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from tubepost_dispatcher.apns.connection import Connection, Request, Result
from tubepost_dispatcher.apns.connector import Connector
from tubepost_dispatcher.apns.credential_state import CredentialState
from tubepost_dispatcher.apns.error_body import parse_retry_after
from tubepost_dispatcher.apns.health import RouteHealth
from tubepost_dispatcher.apns.http2.results import StreamError
from tubepost_dispatcher.apns.pool.gauges import PoolGauges
from tubepost_dispatcher.apns.pool.waiting import Waiting
from tubepost_dispatcher.outcome import Outcome, OutcomeKind, identified
from tubepost_dispatcher.reasons.catalogue import local_outcome
from tubepost_dispatcher.text import clean

_LOG: Final = logging.getLogger("tubepost.apns")

MAX_MOVES = 5
"""Times that a request may be moved to another connection because the server never saw it."""
REST = 0.05
"""Seconds for which nothing is put on a connection that refused a stream."""


class Answers:
    """Tells outcomes, and lets credential, connector and connection know what an answer says about them."""

    __slots__ = (
        "_connector",
        "_credential",
        "_gauges",
        "_health",
        "_loop",
        "_route",
        "_waiting",
        "_wall",
        "closed",
    )

    def __init__(
        self,
        route: str,
        credential: CredentialState,
        connector: Connector,
        health: RouteHealth,
        waiting: Waiting,
        gauges: PoolGauges,
        loop: asyncio.AbstractEventLoop,
        wall: Callable[[], float],
    ) -> None:
        self._route = route
        self._credential = credential
        self._health = health
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
                outcome = Outcome(OutcomeKind.DELIVERED, "", 200, request.apns_id.decode("ascii"))
                if result.unique_id:  # of the development environment
                    outcome = identified(outcome, _unique_id(result))
                tell(request, outcome)
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
        held = self._credential.hold.reason
        self._credential.accepted(sent_at, now)
        if held:
            self.note_hold(held)
        self._health.accepted()
        self._answered(connection, now)

    def _answered(self, connection: Connection, now: float) -> None:
        health = self._health
        since = health.doubted_since
        connection.answered_at = now
        if health.answered(now):
            _LOG.info(
                "route %s: APNs answers again after %.1f s, %d requests timed out",
                self._route,
                now - since,
                health.unanswered,
            )
        self._connector.succeeded()

    def note_hold(self, before: str) -> None:
        """Log that a hold has begun or ended; `before`: the reason it had, empty for none."""
        hold = self._credential.hold
        if hold.reason and hold.reason != before:
            _LOG.warning("route %s: held (%s): %s", self._route, hold.reason, hold.detail)
        elif before and not hold.reason:
            _LOG.info("route %s: hold ended (%s)", self._route, before)

    def _rejected(self, connection: Connection, result: Result, now: float) -> None:
        request = result.key
        connection.answered += 1
        self._answered(connection, now)
        self._gauges.observe_latency(now - request.sent_at)
        wall, held = self._wall(), self._credential.hold.reason
        retry_after = parse_retry_after(result.retry_after, wall)
        meaning = self._credential.interpret(
            result.status, result.body, request, request.sent_at, now, wall, retry_after
        )
        if self._credential.hold.reason != held:
            self.note_hold(held)
        if meaning.replace_connection and not connection.retired:
            _LOG.debug("route %s: replacing a connection after %s", self._route, meaning.outcome.reason)
            self._health.replaced(connection.opened_at, now)
            connection.retire()
        if meaning.rests:
            detail = f"{meaning.outcome.reason}, Retry-After {retry_after:.0f} s"
            if self._health.rest(retry_after, detail, now):
                _LOG.warning("route %s: paused, APNs answered %d %s", self._route, result.status, detail)
        outcome = meaning.outcome
        if result.unique_id:
            outcome = identified(outcome, _unique_id(result))
        self.tell(request, outcome)

    def _ended(self, connection: Connection, result: Result, now: float, unseen: list[Request]) -> None:
        if result.error is StreamError.REFUSED:
            # The server is busy, or about to lower its stream limit.
            connection.rest_until = now + REST
        if connection.cause == "silent":
            self.unanswered(result.key, now)
        outcome = unanswered(result, connection.detail or connection.cause, closed=self.closed)
        if outcome is None:
            unseen.append(result.key)
        else:
            self.tell(result.key, outcome)

    def unanswered(self, request: Request, now: float) -> bool:
        """Note a request whose answer did not come in time; True when that begins a doubt."""
        if not self._health.timed_out(request.sent_at, now):
            return False
        _LOG.warning(
            "route %s: no answer from APNs for %.1f s; sending one probe at a time until it answers",
            self._route,
            now - request.sent_at,
        )
        return True

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


def _unique_id(result: Result) -> str:
    return clean(result.unique_id.decode("ascii", "replace"))


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
