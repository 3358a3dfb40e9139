"""The connections of a pool: those that are open, and when to open another."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

from tubepost_dispatcher.apns.connection import Connection, Owner, Request, describe
from tubepost_dispatcher.apns.connector import Connector
from tubepost_dispatcher.apns.dialing import DialError, Target
from tubepost_dispatcher.apns.health import PACED_FROM, RouteHealth
from tubepost_dispatcher.apns.http2.engine import Engine
from tubepost_dispatcher.apns.pool.gauges import PoolGauges
from tubepost_dispatcher.apns.pool.options import PoolOptions
from tubepost_dispatcher.apns.pool.policy import HEDGE, PATIENCE, Demand, dials_wanted
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import REASONS, local_outcome

_LOG = logging.getLogger("tubepost.apns")

NO_LIMIT_CONNECT_TIMEOUT = 300.0
"""Seconds, where the connect timeout is 0."""

_OWN_ENDS = frozenset({"idle", "retired", "shutdown", "exhausted"})


class Connections:
    """Opens connections on demand, and keeps those that became usable until they are closed.

    `owner` is told what happens on each of them; `settled` is called after each attempt to open one.
    """

    def __init__(
        self,
        route: str,
        target: Target | None,
        owner: Owner,
        health: RouteHealth,
        gauges: PoolGauges,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        rng: Callable[[], float],
        *,
        settled: Callable[[], None],
    ) -> None:
        self._route = route
        self._owner = owner
        self._health = health
        self._gauges = gauges
        self._loop = loop
        self._clock = clock
        self._known: list[Connection] = []
        self._starved_since = math.inf
        self.connector = Connector(
            route,
            target,
            loop,
            clock,
            rng,
            make=self._make,
            opened=self._opened,
            settled=settled,
            failed=gauges.connect_failed,
        )

    def usable(self) -> list[Connection]:
        """Those that take requests, if not at once then later."""
        return [connection for connection in self._known if connection.usable]

    @property
    def ready(self) -> int:
        """How many are open, including those that only wait for their last answers."""
        return sum(connection.is_ready for connection in self._known)

    @property
    def open_streams(self) -> int:
        """Requests that wait for their answer."""
        return sum(connection.open_streams for connection in self._known)

    @property
    def stream_limit(self) -> int:
        """Concurrent requests that APNs allows on the usable connections together."""
        return sum(connection.engine.stream_limit for connection in self.usable())

    def refusal(self, now: float) -> Outcome | None:
        """Return the outcome of requests while there is no connection and connecting fails; else None."""
        health = self._health
        paced = health.replacements >= PACED_FROM and now < health.paced_until and not health.in_doubt
        if (self.connector.trouble is None and not paced) or self.usable():
            return None
        if paced:
            many = health.replacements
            detail = f"{many} connections in a row were replaced without an accepted push; waiting"
            return local_outcome("NoConnectionInTime", detail, held_until=health.paced_until)
        return self.connector.refusal(now)

    @property
    def out_of_reach(self) -> bool:
        """Whether connecting fails and there is no connection."""
        return self.connector.trouble is not None and not self.usable()

    def why_none_is_free(self, now: float) -> str:
        """Say, for people, why requests find no stream."""
        usable = self.usable()
        if self.connector.trouble is not None and not usable:
            return str(self.connector.trouble)
        if not usable:
            begun = self.connector.begun()
            return f"still connecting after {now - begun[0]:.1f} s" if begun else "no connection"
        if not self.stream_limit:
            return "APNs allows no streams"
        return "all streams are taken"

    def satisfied(self) -> None:
        """Note that no request is waiting for a stream."""
        self._starved_since = math.inf

    def demand(self, waiting: int, now: float, options: PoolOptions, *, by_token: bool) -> float:
        """Open the connections that waiting requests call for; returns when to ask again.

        Args:
            waiting: how many requests wait.
            now: monotonic seconds.
            options: the pool's.
            by_token: authentication is by provider token.
        """
        if self._starved_since == math.inf:
            self._starved_since = now
        starved_for = now - self._starved_since
        backoff = self.connector.backoff
        begun = self.connector.begun()
        begin_at = max(backoff.until, self._health.paced_until)
        if now >= begin_at:
            usable = self.usable()
            demand = Demand(
                left=waiting,
                usable=len(usable),
                unproven=sum(not c.proven for c in usable),
                dialling=len(self.connector),
                most=options.max_connections or 1_000_000,
                starved_for=starved_for,
                stream_limit=max((c.engine.stream_limit for c in usable), default=0),
                by_token=by_token,
                hanging=sum(now >= moment + HEDGE for moment in begun),
            )
            for _ in range(dials_wanted(demand)):
                self.connector.start(options.connect_timeout or NO_LIMIT_CONNECT_TIMEOUT)
        hedges = (moment + HEDGE for moment in self.connector.begun())
        moments = (begin_at, *hedges, *(c.rest_until for c in self._known))
        again = min((moment for moment in moments if moment > now), default=math.inf)
        return min(again, self._starved_since + PATIENCE) if starved_for < PATIENCE else again

    def retire_silent(self, since: float) -> int:
        """Retire those that have requests and have answered none since; returns how many."""
        silent = [c for c in self.usable() if c.open_streams and c.answered_at < since]
        for connection in silent:
            connection.retire()
        return len(silent)

    def retire_above(self, most: int) -> None:
        """Retire the least busy connections above a maximum; 0 means no maximum."""
        usable = sorted(self.usable(), key=lambda connection: connection.open_streams)
        if most:
            for connection in usable[: max(0, len(usable) - most)]:
                connection.retire()

    def closed(self, connection: Connection) -> bool:
        """Note the end of a connection; False if it never became usable, which the connector reports."""
        if connection not in self._known:
            return False
        self._known.remove(connection)
        cause = connection.cause
        if cause == "goaway" and connection.goaway_reason in REASONS:
            cause = connection.goaway_reason
        self._gauges.closed(cause)
        _LOG.debug(
            "route %s: connection ended (%s) after %d answers", self._route, cause, connection.answered
        )
        if not connection.answered and cause not in _OWN_ENDS:
            # Ended without a single answer: no better than one that could not be opened.
            detail = connection.detail or f"the connection ended before any answer: {cause}"
            self.connector.failed(DialError("TlsFailed" if cause == "tls" else "ConnectFailed", detail))
        elif not connection.proven and cause not in _OWN_ENDS:
            self._health.replaced(connection.opened_at, self._clock())
        return True

    def shut(self) -> None:
        """Close all; requests without an answer are lost."""
        for connection in list(self._known):
            connection.shut("shutdown")

    def describe(self, now: float) -> dict[str, Any]:
        """Facts for the status page."""
        trouble = self.connector.trouble
        return {
            "streams": self.open_streams,
            "streamLimit": self.stream_limit,
            "dialling": len(self.connector),
            "connections": [describe(connection, now) for connection in self._known],
            "connectFailures": self.connector.backoff.failures,
            "lastError": str(trouble) if trouble else None,
        }

    def _make(self) -> Connection:
        return Connection(self._owner, Engine[Request](), self._loop, self._clock)

    def _opened(self, connection: Connection) -> None:
        self._known.append(connection)
        self._gauges.opened()
        now = self._clock()
        _LOG.debug(
            "route %s: connected after %.2f s, stream limit %d",
            self._route,
            now - connection.opened_at,
            connection.engine.stream_limit,
        )
        self.connector.overtaken(now - HEDGE)
