"""A pool: the connections of one endpoint and credential, and the requests that wait for them.

Requests come in by `Pool.submit` and wait in one queue; once per turn of the event loop `_pump` spreads them
over the connections' free streams, each connection writing once. Connections are opened on demand
(`policy.dials_wanted`) and kept: APNs wants them to live for hours. Whether requests may be sent at all is up
to `credential_state`. There is no task, no future and no timer per request.

Every request that was submitted and not withdrawn gets exactly one outcome, by a callback on the event loop.
What a server provably never saw is sent again on another connection, unknown to the caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import ssl
import time
from collections.abc import Callable
from typing import Any

from tubepost_api.config import RouteConfig
from tubepost_credentials import CertificateCredential, TokenCredential
from tubepost_dispatcher.apns.alarm import Alarm
from tubepost_dispatcher.apns.blocks import BlockBuilder
from tubepost_dispatcher.apns.connection import Connection, Request, Result
from tubepost_dispatcher.apns.credential_state import CredentialState
from tubepost_dispatcher.apns.dialing import Target, parse_proxy
from tubepost_dispatcher.apns.error_body import parse_body
from tubepost_dispatcher.apns.health import LEAST_INTERVAL, RouteHealth
from tubepost_dispatcher.apns.pool.answers import Answers
from tubepost_dispatcher.apns.pool.connections import Connections
from tubepost_dispatcher.apns.pool.filling import Filler
from tubepost_dispatcher.apns.pool.gauges import PoolGauges, Readings
from tubepost_dispatcher.apns.pool.options import PoolOptions
from tubepost_dispatcher.apns.pool.probe import Probe
from tubepost_dispatcher.apns.pool.waiting import Waiting
from tubepost_dispatcher.apns.tls import client_context
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import local_outcome
from tubepost_runtime.addresses import with_port

_LOG = logging.getLogger("tubepost.apns")

NO_LIMIT_RESPONSE_TIMEOUT = 3600.0
"""Seconds, where the response timeout is 0: nothing waits for ever."""
AVOID = 1.0
"""Seconds for which another route should be taken, and again, while this one has no stream to offer."""
INTEREST = 60.0
"""Seconds after the last question for the route for which a connection is sought although nothing waits."""


class Pool:
    """See the module's text. All methods are for the event loop's thread.

    `credential` None: every request comes back as CredentialMissing. `tls`: its context where there is one.

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
        tls: ssl.SSLContext | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._route = route
        self._options = options
        self._loop = loop = loop or asyncio.get_running_loop()
        self._clock, self._wall = clock, wall
        target: Target | None = None
        if credential is not None:
            proxy = parse_proxy(route.proxy, proxy_auth) if route.proxy else None
            context = tls or client_context(route.tls, credential, ca_pem)
            target = Target(route.host, route.port, context, proxy)
        self._credential = CredentialState(credential)
        self._waiting = Waiting()
        self._gauges = PoolGauges(route.name, metrics, loop, self._readings)
        self._health = RouteHealth()
        self._connections = Connections(
            *(route.name, target, self, self._health, self._gauges, loop, clock, rng),
            settled=self._schedule_pump,
        )
        self._answers = Answers(
            *(route.name, self._credential, self._connections.connector, self._health),
            *(self._waiting, self._gauges, loop, wall),
        )
        self._tell = self._answers.tell
        self._filler = Filler(
            *(route.name, BlockBuilder(route.host, route.port), self._credential, self._waiting),
            *(self._tell, loop, wall),
        )
        if isinstance(credential, CertificateCredential):
            metrics.certificate_expiry.labels(route.name).set(credential.not_after.timestamp())
        self._pump_scheduled = False
        self._starved = False  # requests were given up for want of a stream, and there is none yet
        self._asked_at = -math.inf
        self._alarm = Alarm(loop, clock, self._schedule_pump)
        self._closing: asyncio.Future[None] | None = None
        self._closed = False

    # -- interface -----------------------------------------------------------------------------------

    @property
    def held_until(self) -> float:
        """Monotonic seconds before which another route should be taken; 0.0 when this one takes requests.

        Until then requests come back at once, or wait for a connection; without another route, submit them.
        """
        now = self._clock()
        refusal = self._refusal(now)
        if refusal is not None:
            until = refusal.held_until
        elif self._starved or self._connections.out_of_reach:
            until = now + AVOID
        elif self._health.may_send(now):
            return 0.0
        else:
            self._health.turned_away += 1 / 3  # delivery asks some three times for each that goes elsewhere
            return max(self._health.probe_at, now + LEAST_INTERVAL / 2)
        if now >= self._asked_at + AVOID:
            self._asked_at = now  # have it ready as soon as it can be
            self._schedule_pump()
        return until

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
        self._connections.retire_above(options.max_connections)
        self._schedule_pump()

    @property
    def hold(self) -> tuple[str, str, float] | None:
        """Reason, sentence and seconds to the next probe of the present hold; None when there is none.

        Also None where it concerns some sources only: which ones is this process' own experience.
        """
        hold = self._credential.hold
        if not hold.held or self._credential.blames_some:
            return None
        return hold.reason, hold.detail, max(0.0, hold.until - self._clock())

    def adopt_hold(self, reason: str, detail: str, seconds: float) -> None:
        """Hold as another process with the same credential does."""
        if self._credential.hold.adopt(self._clock(), seconds, reason, detail):
            _LOG.info("route %s: held (%s), found by another worker: %s", self._route.name, reason, detail)
            self._schedule_pump()

    def release_hold(self) -> None:
        """End the hold, since another process' probe was accepted."""
        self._credential.hold.release()
        self._schedule_pump()

    def status(self) -> dict[str, Any]:
        """Facts for the status page: JSON values, nothing secret."""
        now, wall = self._clock(), self._wall()
        self._gauges.refresh()
        facts = self._credential.describe(now, wall)
        return {
            "endpoint": with_port(self._route.host, self._route.port),
            "state": "closing" if self._closing else "held" if facts["held"] else "open",
            "pending": len(self._waiting),
            **self._connections.describe(now),
            **self._health.describe(now),
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
        self._closed = self._answers.closed = True
        self._connections.shut()
        # Including those that the connections gave back as never sent.
        self._return_waiting(local_outcome("ShuttingDown", retry_at_once=True))
        self._alarm.cancel()
        await self._connections.connector.cancel()
        self._gauges.stop()

    # -- the queue -----------------------------------------------------------------------------------

    def _schedule_pump(self) -> None:
        if not self._pump_scheduled:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Send what can be sent, return what cannot, see to connections and the alarm."""
        self._pump_scheduled = False
        now = self._clock()
        if now >= self._waiting.next_give_up:
            self._give_up(now)
        if self._starved and any(c.capacity(now) for c in self._connections.usable()):
            self._starved = False
            _LOG.info("route %s: streams are available again", self._route.name)
        if self._waiting:
            refusal = self._refusal(now)
            if refusal is not None:
                self._return_waiting(refusal)
            else:
                if self._credential.hold.held:
                    self._return_held(now)
                if self._health.in_doubt:
                    self._probe(now)
                else:
                    self._fill(now, len(self._waiting))
        if self._waiting:
            again = self._demand(len(self._waiting), now)
            self._alarm.no_later_than(min(again, self._waiting.next_give_up))
        elif self._is_sought(now):
            self._alarm.no_later_than(self._demand(1, now))
        else:
            self._connections.satisfied()
            self._check_drained()
        self._gauges.refresh_soon()

    def _demand(self, count: int, now: float) -> float:
        """Open connections for what waits; returns when to ask again."""
        if not self._health.may_send(now):
            return math.inf  # a probe is out, and has its connection
        by_token = self._credential.token is not None
        return self._connections.demand(count, now, self._options, by_token=by_token)

    def _is_sought(self, now: float) -> bool:
        """Whether a connection is wanted although nothing waits: others would come here if there were one."""
        return (
            (self._starved or self._connections.out_of_reach)
            and now < self._asked_at + INTEREST
            and self._closing is None
            and self._credential.refusal(now, self._wall()) is None
        )

    def _refusal(self, now: float) -> Outcome | None:
        """Return the outcome of requests that should not even wait."""
        refusal = self._credential.refusal(now, self._wall())
        if refusal is None and now < (until := self._health.rest_until):
            return local_outcome("RouteResting", self._health.rest_detail, held_until=until)
        return refusal or self._connections.refusal(now)

    def _probe(self, now: float) -> None:
        """In doubt: send one request if a probe is due, return the others unless the doubt is new."""
        health = self._health
        due = health.may_send(now)
        if now >= health.grace_until:
            until = max(health.probe_at, now + AVOID)
            silent = local_outcome("RouteSilent", health.silence(now), held_until=until)
            health.turned_away += self._return_waiting(silent, keep=int(due))
        else:
            self._alarm.no_later_than(health.grace_until)
        if due and self._waiting:
            self._connections.retire_silent(health.probed_at)  # a test takes another connection
            if any(c.capacity(now) for c in self._connections.usable()) and (first := self._waiting.pop()):
                self._waiting.push_front([Probe(first, self._tell, self._loop).request])
                self._fill(now, 1)
                health.probed(now)

    def _fill(self, now: float, count: int) -> None:
        """Send so many requests, if there are streams for them."""
        self._filler.fill(self._connections.usable(), count, now, self._options.max_deliveries_per_connection)

    def _give_up(self, now: float) -> None:
        """Return what has waited for longer than its owner wants to wait."""
        late = self._waiting.take_late(now)
        if not late:
            return
        detail = self._connections.why_none_is_free(now)
        if not self._starved:
            self._starved = True
            _LOG.warning("route %s: no free stream for waiting requests: %s", self._route.name, detail)
        self._asked_at = now
        outcome = local_outcome("NoConnectionInTime", detail)
        for request in late:
            self._tell(request, outcome)

    def _return_waiting(self, outcome: Outcome, keep: int = 0) -> int:
        taken = self._waiting.take_all(keep)
        for request in taken:
            self._tell(request, outcome)
        return len(taken)

    def _return_held(self, now: float) -> None:
        """Return what a hold concerns, but for a probe."""
        credential = self._credential
        probes = int(credential.hold.open_to_probe(now))
        for request in self._waiting.take_where(lambda one: credential.blames(one.source), probes):
            self._tell(request, credential.held(now))

    def _check_drained(self) -> None:
        if self._closing is None or self._closing.done() or self._waiting:
            return
        if not self._connections.open_streams:
            self._closing.set_result(None)

    # -- what connections tell -----------------------------------------------------------------------

    @property
    def idle_timeout(self) -> float:
        """Seconds after which a connection without requests is closed."""
        return self._options.idle_timeout or math.inf

    def results(self, connection: Connection, results: list[Result], now: float) -> None:
        """Streams of a connection have ended."""
        self._answers.take(connection, results, now)
        self._streams_are_free()
        self._gauges.refresh_soon()

    def timed_out(self, connection: Connection, request: Request) -> None:
        """The answer to a request did not come in time on a connection that is otherwise alive."""
        now = self._clock()
        if connection.answered_at <= request.sent_at and not connection.retired:
            # It answers PING and no request: nothing more is put on it.
            _LOG.warning(
                "route %s: replacing a connection that answers PING but none of its %d requests",
                self._route.name,
                connection.open_streams + 1,
            )
            self._health.replaced(connection.opened_at, now)
            connection.retire()
        if self._answers.unanswered(request, now):
            self._connections.retire_silent(now)
        detail = f"no answer in {request.response_timeout:g} s"
        self._tell(request, local_outcome("ResponseTimeout", detail, possible_double=True))
        self._streams_are_free()

    def changed(self, connection: Connection) -> None:
        """A connection's capacity may have grown, or it takes no more requests."""
        goaway = connection.engine.goaway
        if goaway is not None and not connection.goaway_reason:
            reason, _ = parse_body(goaway.debug)
            connection.goaway_reason = reason or "none"
            held = self._credential.hold.reason
            self._credential.goaway(reason, self._clock())
            self._answers.note_hold(held)
            _LOG.info("route %s: APNs sent GOAWAY, reason %s", self._route.name, reason or "none")
        if self._waiting or self._starved:
            self._schedule_pump()

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        if self._connections.closed(connection) and not self._closed:
            self._schedule_pump()

    def _streams_are_free(self) -> None:
        if self._waiting:
            self._schedule_pump()
        elif self._closing is not None:
            self._loop.call_soon(self._check_drained)

    def _readings(self) -> Readings:
        now, wall = self._clock(), self._wall()
        token = self._credential.token
        return Readings(
            connections=self._connections.ready,
            streams=self._connections.open_streams,
            stream_limit=self._connections.stream_limit,
            pending=len(self._waiting),
            held=self._credential.unusable(now, wall) or self._connections.out_of_reach,
            token_age=token.age(wall) if token is not None and token.iat else None,
        )
