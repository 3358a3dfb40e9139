"""A pool: the connections of one endpoint and credential, and the requests that wait for them.

Requests come in by `Pool.submit` and wait in one queue; once per turn of the event loop `_pump` spreads them
over the connections' free streams, each connection writing once. Connections are opened on demand
(`policy.dials_wanted`) and kept: APNs wants them to live for hours. Whether requests may be sent at all is
up to `credential_state`. There is no task, no future and no timer per request.

Every request that was submitted and not withdrawn gets exactly one outcome, by a callback on the event loop.
What a server provably never saw is sent again on another connection without anybody noticing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from collections.abc import Callable
from typing import Any

from tubepost_api.config import RouteConfig
from tubepost_credentials import CertificateCredential, TokenCredential
from tubepost_dispatcher.apns import reasons
from tubepost_dispatcher.apns.blocks import BlockBuilder
from tubepost_dispatcher.apns.connection import Connection, Request, Result, describe
from tubepost_dispatcher.apns.connector import Connector
from tubepost_dispatcher.apns.credential_state import CredentialState
from tubepost_dispatcher.apns.dialing import DialError, Target, parse_proxy
from tubepost_dispatcher.apns.http2.engine import Engine
from tubepost_dispatcher.apns.http2.results import StreamError
from tubepost_dispatcher.apns.pool.answers import unanswered
from tubepost_dispatcher.apns.pool.gauges import PoolGauges
from tubepost_dispatcher.apns.pool.options import PoolOptions, pool_key
from tubepost_dispatcher.apns.pool.policy import PATIENCE, Demand, dials_wanted, spread
from tubepost_dispatcher.apns.pool.waiting import Waiting
from tubepost_dispatcher.apns.reasons import local_outcome
from tubepost_dispatcher.apns.tls import client_context
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome, OutcomeKind

_LOG = logging.getLogger("tubepost.apns")

MAX_MOVES = 5
"""Times that a request may be moved to another connection because the server never saw it."""
REST = 0.05
"""Seconds for which nothing is put on a connection that refused a stream."""
NO_LIMIT_CONNECT_TIMEOUT = 300.0
"""Seconds, where the connect timeout is 0."""
NO_LIMIT_RESPONSE_TIMEOUT = 3600.0
"""Seconds, where the response timeout is 0: nothing waits for ever."""

_OWN_ENDS = frozenset({"idle", "retired", "shutdown", "exhausted"})


__all__ = ["Pool", "PoolOptions", "pool_key"]


class Pool:
    """See the module's text. All methods are for the event loop's thread.

    `credential` None: every request comes back as CredentialMissing.

    Raises:
        ValueError: TLS options, CA or proxy URL are not usable (ssl.SSLError is a different one).
        ssl.SSLError: certificate or ciphers are not usable.
    """

    def __init__(
        self,
        route: RouteConfig,
        credential: CertificateCredential | TokenCredential | None,
        ca_pem: bytes | None,
        proxy_auth: str | None,
        options: PoolOptions,
        metrics: Metrics,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._route = route
        self._options = options
        self._loop = loop or asyncio.get_running_loop()
        self._clock = clock
        self._wall = wall
        self._credential = CredentialState(credential)
        target: Target | None = None
        if credential is not None:
            proxy = parse_proxy(route.proxy, proxy_auth) if route.proxy else None
            target = Target(route.host, route.port, client_context(route.tls, credential, ca_pem), proxy)
        self._builder = BlockBuilder(route.host, route.port)
        self._gauges = PoolGauges(route.name, metrics)
        self._connector = Connector(
            route.name,
            target,
            self._loop,
            clock,
            rng,
            make=self._make_connection,
            opened=self._opened,
            settled=self._schedule_pump,
            failed=self._gauges.connect_failed,
        )
        if isinstance(credential, CertificateCredential):
            metrics.certificate_expiry.labels(route.name).set(credential.not_after.timestamp())
        self._waiting = Waiting()
        self._connections: list[Connection] = []
        self._pump_scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._starved_since = math.inf
        self._refresh_scheduled = False
        self._closing: asyncio.Future[None] | None = None
        self._closed = False

    # -- interface -----------------------------------------------------------------------------------

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics that the certificate names; empty with tokens."""
        credential = self._credential.credential
        return credential.topics if isinstance(credential, CertificateCredential) else ()

    @property
    def default_topic(self) -> str | None:
        """The certificate's own topic; None with tokens. The route's `topic` is the caller's business."""
        credential = self._credential.credential
        return credential.default_topic if isinstance(credential, CertificateCredential) else None

    @property
    def held_until(self) -> float:
        """Monotonic seconds before which requests come back at once; 0.0 when they do not."""
        refusal = self._refusal(self._clock())
        return refusal.held_until if refusal is not None else 0.0

    @property
    def idle_timeout(self) -> float:
        """Seconds after which a connection without requests is closed."""
        return self._options.idle_timeout or math.inf

    def submit(self, request: Request) -> None:
        """Take a request. Its `on_outcome` is called later, exactly once, unless it is withdrawn before."""
        if self._closing is not None:
            self._loop.call_soon(self._tell, request, local_outcome("ShuttingDown", retry_at_once=True))
            return
        if request.response_timeout <= 0:
            request.response_timeout = NO_LIMIT_RESPONSE_TIMEOUT
        self._waiting.append(request)
        if not self._pump_scheduled:
            self._schedule_pump()

    def withdraw(self, request: Request) -> bool:
        """Take a request back. True: it was not sent, and its `on_outcome` will not be called."""
        request.moves = 0
        return self._waiting.withdraw(request)

    def set_options(self, options: PoolOptions) -> None:
        """Apply other options; connections above a lower maximum close after their last answer."""
        self._options = options
        usable = sorted((c for c in self._connections if c.usable), key=lambda c: c.open_streams)
        if options.max_connections:
            for connection in usable[: max(0, len(usable) - options.max_connections)]:
                connection.retire()
        self._schedule_pump()

    @property
    def hold(self) -> tuple[str, str, float] | None:
        """Reason, sentence and seconds to the next probe of the present hold; None when there is none."""
        hold = self._credential.hold
        if not hold.held:
            return None
        return hold.reason, hold.detail, max(0.0, hold.until - self._clock())

    def adopt_hold(self, reason: str, detail: str, seconds: float) -> None:
        """Hold as another process with the same credential does."""
        if self._credential.hold.adopt(self._clock(), seconds, reason, detail):
            self._schedule_pump()

    def release_hold(self) -> None:
        """End the hold, since another process' probe was accepted."""
        self._credential.hold.release()
        self._schedule_pump()

    def status(self) -> dict[str, Any]:
        """Facts for the status page: JSON values, nothing secret."""
        now, wall = self._clock(), self._wall()
        self._refresh()
        facts = self._credential.describe(now, wall)
        return {
            "endpoint": f"{self._route.host}:{self._route.port}",
            "state": "closing" if self._closing else "held" if facts["held"] else "open",
            "pending": len(self._waiting),
            "streams": sum(c.open_streams for c in self._connections),
            "streamLimit": sum(c.engine.stream_limit for c in self._connections if c.usable),
            "dialling": len(self._connector),
            "connections": [describe(c, now) for c in self._connections],
            "connectFailures": self._connector.backoff.failures,
            "lastError": str(self._connector.trouble) if self._connector.trouble else None,
            **facts,
        }

    async def close(self, grace: float) -> None:
        """Send what waits, await answers for at most `grace` seconds, then close all connections.

        Requests submitted from now on come back as ShuttingDown; so do those that could not be sent in
        time, and those whose answer did not come in time, as possible doubles. Returns when nothing of the
        pool is left. May be called again, with a shorter grace for example.
        """
        if self._closing is None:
            self._closing = self._loop.create_future()
        self._check_drained()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await asyncio.shield(self._closing)
        if self._closed:
            return
        self._closed = True
        self._return_waiting(local_outcome("ShuttingDown", retry_at_once=True))
        for connection in list(self._connections):
            connection.shut("shutdown")
        await self._connector.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._gauges.zero()

    # -- the queue -----------------------------------------------------------------------------------

    def _schedule_pump(self) -> None:
        if not self._pump_scheduled:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Send what can be sent, return what cannot, see to connections and timers."""
        self._pump_scheduled = False
        now = self._clock()
        if now >= self._waiting.next_give_up:
            self._give_up(now)
        if self._waiting:
            refusal = self._refusal(now)
            if refusal is not None:
                self._return_waiting(refusal)
            else:
                if self._credential.hold.held:
                    self._return_waiting(self._credential.held(now), keep=1)  # the one kept is the probe
                self._fill(now)
        if self._waiting:
            if self._starved_since == math.inf:
                self._starved_since = now
            self._dial(now)
            self._arm(now)
        else:
            self._starved_since = math.inf
            self._check_drained()
        self._refresh_soon()

    def _refusal(self, now: float) -> Outcome | None:
        """Return the outcome of requests that should not even wait."""
        refusal = self._credential.refusal(now, self._wall())
        if refusal is None and self._connector.trouble and not any(c.usable for c in self._connections):
            refusal = self._connector.refusal(now)
        return refusal

    def _fill(self, now: float) -> None:
        """Put waiting requests on the connections, each of which then writes once."""
        connections = [c for c in self._connections if c.usable]
        if not connections:
            return
        self._builder.authorize(self._credential.bearer(now, self._wall()))
        free = [self._free(c, now) for c in connections]
        waiting = len(self._waiting)
        if len(connections) == 1:
            shares = [min(free[0], waiting)]
        else:
            shares = spread([(c.open_streams, f) for c, f in zip(connections, free, strict=True)], waiting)
        most = self._options.max_deliveries_per_connection
        for connection, share in zip(connections, shares, strict=True):
            if share:
                self._put(connection, share, now)
                connection.flush()
                if most and connection.submitted >= most:
                    connection.retire()

    def _free(self, connection: Connection, now: float) -> int:
        free = connection.capacity(now)
        most = self._options.max_deliveries_per_connection
        return min(free, most - connection.submitted) if most else free

    def _put(self, connection: Connection, share: int, now: float) -> None:
        pop, block, hold = self._waiting.pop, self._builder.block, self._credential.hold
        while share:
            request = pop()
            if request is None:
                return
            try:
                header = block(request)
            except ValueError as error:  # a fault of ours: such requests should not come here
                self._loop.call_soon(self._tell, request, local_outcome("InternalError", str(error)))
                continue
            connection.submit(request, header, now)
            share -= 1
            if hold.reason:
                hold.admit(now)

    def _give_up(self, now: float) -> None:
        """Return what has waited for longer than its caller wants to wait."""
        trouble = self._connector.trouble
        outcome = local_outcome("NoConnectionInTime", str(trouble) if trouble else "all streams are taken")
        for request in self._waiting.take_late(now):
            self._tell(request, outcome)

    def _return_waiting(self, outcome: Outcome, keep: int = 0) -> None:
        for request in self._waiting.take_all(keep):
            self._tell(request, outcome)

    def _resubmit(self, requests: list[Request]) -> None:
        """Put requests that no server has seen at the front of the queue, in their order."""
        front: list[Request] = []
        for request in requests:
            request.moves += 1
            if request.moves > MAX_MOVES:
                self._tell(request, local_outcome("StreamRefused", f"refused unseen {request.moves} times"))
            else:
                front.append(request)
        if front:
            self._waiting.push_front(front)
            self._gauges.resubmitted.inc(len(front))
            self._schedule_pump()

    def _tell(self, request: Request, outcome: Outcome) -> None:
        request.moves = 0
        try:
            request.on_outcome(request, outcome)
        except Exception as error:  # noqa: BLE001 - one caller's fault must not cost others their outcome
            self._loop.call_exception_handler(
                {"message": "on_outcome of a push request raised", "exception": error}
            )

    def _check_drained(self) -> None:
        if self._closing is None or self._closing.done() or self._waiting:
            return
        if not any(c.open_streams for c in self._connections):
            self._closing.set_result(None)

    # -- what connections tell -----------------------------------------------------------------------

    def results(self, connection: Connection, results: list[Result], now: float) -> None:
        """Streams of a connection have ended."""
        delivered = 0
        sent_at = 0.0
        unseen: list[Request] = []
        observe = self._gauges.observe_latency
        for result in results:
            request = result.key
            sent_at = request.sent_at
            if result.status == 200:
                if not delivered:
                    self._accepted(connection, sent_at)
                delivered += 1
                observe(now - sent_at)
                outcome = Outcome(OutcomeKind.DELIVERED, "", 200, request.apns_id.decode("ascii"))
                self._tell(request, outcome)
            else:
                self._not_accepted(connection, result, now, unseen)
        if unseen:
            self._resubmit(unseen)
        if self._waiting:
            self._schedule_pump()
        elif self._closing is not None:
            self._loop.call_soon(self._check_drained)
        self._refresh_soon()

    def _accepted(self, connection: Connection, sent_at: float) -> None:
        connection.answered += 1
        connection.proven = True
        self._credential.accepted(sent_at)
        self._connector.succeeded()

    def _not_accepted(
        self,
        connection: Connection,
        result: Result,
        now: float,
        unseen: list[Request],
    ) -> None:
        request = result.key
        if not result.status:
            if result.error is StreamError.REFUSED:
                # What refuses is busy, or about to say that it allows fewer streams.
                connection.rest_until = now + REST
            cause = connection.detail or connection.cause
            outcome = unanswered(result, cause, closing=self._closed)
            if outcome is None:
                unseen.append(request)
            else:
                self._tell(request, outcome)
            return
        connection.answered += 1
        self._connector.succeeded()
        sent_at = request.sent_at
        self._gauges.observe_latency(now - sent_at)
        meaning = self._credential.interpret(result.status, result.body, request, sent_at, now, self._wall())
        if meaning.replace_connection:
            connection.retire()
        self._tell(request, meaning.outcome)

    def timed_out(self, connection: Connection, request: Request) -> None:
        """The answer to a request did not come in time on a connection that is otherwise alive."""
        del connection
        detail = f"no answer in {request.response_timeout:g} s"
        self._tell(request, local_outcome("ResponseTimeout", detail, possible_double=True))
        if self._waiting:
            self._schedule_pump()
        elif self._closing is not None:
            self._loop.call_soon(self._check_drained)

    def changed(self, connection: Connection) -> None:
        """A connection's capacity may have grown, or it takes no more requests."""
        goaway = connection.engine.goaway
        if goaway is not None and not connection.goaway_reason:
            reason, _ = reasons.parse_body(goaway.debug)
            connection.goaway_reason = reason or "none"
            self._credential.goaway(reason, self._clock())
            _LOG.info("route %s: APNs sent GOAWAY, reason %s", self._route.name, reason or "none")
        if self._waiting:
            self._schedule_pump()

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        if connection not in self._connections:
            return  # it never became usable: its dial reports that
        self._connections.remove(connection)
        cause = connection.cause
        if cause == "goaway" and connection.goaway_reason in reasons.REASONS:
            cause = connection.goaway_reason
        self._gauges.closed(cause)
        if not connection.answered and cause not in _OWN_ENDS and not self._closed:
            # Opened and ended without a single answer: as bad as one that could not be opened.
            detail = connection.detail or f"the connection ended before any answer: {cause}"
            self._connector.failed(DialError("TlsFailed" if cause == "tls" else "ConnectFailed", detail))
        if not self._closed:
            self._schedule_pump()

    # -- opening connections -------------------------------------------------------------------------

    def _dial(self, now: float) -> None:
        if now < self._connector.backoff.until or self._closed:
            return
        usable = [c for c in self._connections if c.usable]
        demand = Demand(
            left=len(self._waiting),
            usable=len(usable),
            unproven=sum(not c.proven for c in usable),
            dialling=len(self._connector),
            most=self._options.max_connections or 1_000_000,
            starved_for=now - self._starved_since,
            stream_limit=max((c.engine.stream_limit for c in usable), default=0),
            by_token=self._credential.token is not None,
        )
        for _ in range(dials_wanted(demand)):
            self._connector.start(self._options.connect_timeout or NO_LIMIT_CONNECT_TIMEOUT)

    def _opened(self, connection: Connection) -> None:
        self._connections.append(connection)
        self._gauges.opened()

    def _make_connection(self) -> Connection:
        authority = f"{self._route.host}:{self._route.port}".encode("ascii")
        return Connection(self, Engine[Request](authority), self._loop, self._clock)

    # -- timers --------------------------------------------------------------------------------------

    def _arm(self, now: float) -> None:
        """Wake up when waiting requests may go on, or have waited long enough."""
        moments = [self._starved_since + PATIENCE, self._connector.backoff.until]
        moments += [c.rest_until for c in self._connections]
        wake = min((moment for moment in moments if moment > now), default=math.inf)
        wake = min(wake, self._waiting.next_give_up)
        if self._timer is not None:
            if self._timer_at <= wake:
                return
            self._timer.cancel()
        if wake == math.inf:
            self._timer = None
            return
        self._timer_at = wake
        self._timer = self._loop.call_later(max(0.0, wake - now), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        self._schedule_pump()

    def _refresh_soon(self) -> None:
        if not self._refresh_scheduled:
            self._refresh_scheduled = True
            self._loop.call_later(PoolGauges.INTERVAL, self._refresh)

    def _refresh(self) -> None:
        """Set the gauges; called now and then, not for each request."""
        self._refresh_scheduled = False
        if not self._closed:
            token = self._credential.token
            refused = self._credential.refusal(self._clock(), self._wall()) is not None
            self._gauges.show(
                connections=sum(c.is_ready for c in self._connections),
                streams=sum(c.open_streams for c in self._connections),
                stream_limit=sum(c.engine.stream_limit for c in self._connections if c.usable),
                pending=len(self._waiting),
                held=refused or self._credential.hold.held,
                token_age=token.age(self._wall()) if token is not None and token.iat else None,
            )
