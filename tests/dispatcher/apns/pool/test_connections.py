from __future__ import annotations

import math
from typing import cast

import pytest

from tests.support.loop import FakeLoop
from tubepost_dispatcher.apns.connection import Connection, Owner
from tubepost_dispatcher.apns.health import FREE_REPLACEMENTS, PACED_FROM, RouteHealth
from tubepost_dispatcher.apns.pool.connections import Connections
from tubepost_dispatcher.apns.pool.gauges import PoolGauges, Readings
from tubepost_dispatcher.apns.pool.options import PoolOptions
from tubepost_dispatcher.apns.pool.policy import HEDGE, PATIENCE
from tubepost_dispatcher.metrics import Metrics

pytestmark = pytest.mark.pure  # its connections are others


class FakeEngine:
    def __init__(self, stream_limit: int) -> None:
        self.stream_limit = stream_limit


class FakeConnection:
    """A connection's facts."""

    def __init__(self, streams: int = 0) -> None:
        self.engine = FakeEngine(100)
        self.open_streams = streams
        self.usable = self.is_ready = self.proven = True
        self.rest_until = self.opened_at = self.answered_at = 0.0
        self.answered = 0
        self.cause = self.detail = self.goaway_reason = ""

    def retire(self) -> None:
        self.usable = False


class Bench:
    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.metrics = Metrics()
        self.health = RouteHealth()
        gauges = PoolGauges("r", self.metrics, self.loop, Readings)
        self.connections = Connections(
            "r",
            None,
            cast("Owner", None),
            self.health,
            gauges,
            self.loop,
            self.loop.clock,
            lambda: 1.0,
            settled=lambda: None,
        )
        self.started: list[float] = []
        self.connections.connector.start = self.started.append  # type: ignore[method-assign]

    def add(self, streams: int = 0) -> FakeConnection:
        connection = FakeConnection(streams)
        self.connections._opened(cast("Connection", connection))
        return connection

    def end(self, connection: FakeConnection, cause: str) -> bool:
        connection.cause = cause
        return self.connections.closed(cast("Connection", connection))

    def demand(self, waiting: int = 1) -> float:
        return self.connections.demand(waiting, self.loop.now, PoolOptions(), by_token=False)

    def closed_by(self, cause: str) -> float | None:
        labels = {"route": "r", "cause": cause}
        return self.metrics.registry.get_sample_value("tubepost_apns_connections_closed_total", labels)


def test_the_first_is_opened_at_once_and_another_one_after_some_waiting() -> None:
    bench = Bench()
    bench.demand()
    assert bench.started == [30.0]
    bench.connections.satisfied()
    bench.add()
    assert bench.demand() == bench.loop.now + PATIENCE
    assert len(bench.started) == 1
    bench.loop.advance(2 * PATIENCE)
    assert bench.demand() == math.inf
    assert len(bench.started) == 2


def test_nothing_is_opened_before_the_next_attempt_is_due() -> None:
    bench = Bench()
    lost = bench.add()
    assert bench.end(lost, "lost")
    until = bench.connections.connector.backoff.until
    assert until > bench.loop.now
    bench.demand()
    assert not bench.started
    bench.loop.advance(until - bench.loop.now)
    bench.demand()
    assert bench.started


def test_an_end_without_a_single_answer_counts_as_a_failure_to_connect() -> None:
    bench = Bench()
    for cause in ("idle", "retired", "shutdown", "exhausted"):
        bench.end(bench.add(), cause)
    served = bench.add()
    served.answered = 1
    bench.end(served, "lost")
    assert bench.connections.connector.trouble is None
    bench.end(bench.add(), "tls")
    trouble = bench.connections.connector.trouble
    assert trouble is not None
    assert trouble.reason == "TlsFailed"


def test_while_there_is_a_usable_connection_nothing_is_refused() -> None:
    bench = Bench()
    bench.end(bench.add(), "tls")
    assert bench.connections.refusal(bench.loop.now) is not None
    other = bench.add()
    assert bench.connections.refusal(bench.loop.now) is None
    other.retire()
    assert bench.connections.refusal(bench.loop.now) is not None


def test_the_emptiest_are_retired_above_a_lower_maximum() -> None:
    bench = Bench()
    full, empty, half = bench.add(100), bench.add(0), bench.add(50)
    bench.connections.retire_above(0)
    assert len(bench.connections.usable()) == 3
    bench.connections.retire_above(1)
    assert (full.usable, empty.usable, half.usable) == (True, False, False)
    assert bench.connections.open_streams == 150
    assert bench.connections.stream_limit == 100


def test_a_goaway_is_counted_by_its_reason_where_that_is_one_of_apns_own() -> None:
    bench = Bench()
    for reason in ("Shutdown", "made-up", "none"):
        connection = bench.add()
        connection.goaway_reason = reason
        connection.answered = 1
        bench.end(connection, "goaway")
    assert bench.closed_by("Shutdown") == 1
    assert bench.closed_by("goaway") == 2
    assert not bench.end(FakeConnection(), "lost")


def test_beside_an_attempt_that_hangs_another_one_is_made() -> None:
    bench = Bench()
    began = bench.loop.now
    begun: list[float] = []
    connector = bench.connections.connector
    connector.begun = lambda: begun  # type: ignore[method-assign]
    connector._tasks = begun  # type: ignore[assignment]  # it counts them
    bench.demand()
    begun.append(began)
    assert bench.demand() <= began + HEDGE
    assert len(bench.started) == 1
    bench.loop.advance(HEDGE)
    bench.demand()
    begun.append(bench.loop.now)
    bench.demand()
    assert len(bench.started) == 2


def test_what_is_given_up_unproven_is_replaced_ever_more_slowly() -> None:
    bench = Bench()
    opened = 0
    for _ in range(100):
        if not bench.connections.usable():
            bench.demand()
        if len(bench.started) > opened:
            opened = len(bench.started)
            connection = bench.add()
            connection.opened_at, connection.answered, connection.proven = bench.loop.now, 1, False
            bench.end(connection, "goaway")
        bench.loop.advance(0.1)
    assert opened <= 7
    assert bench.health.replacements >= PACED_FROM
    refusal = bench.connections.refusal(bench.loop.now)
    assert refusal is not None
    assert refusal.reason == "NoConnectionInTime"
    assert refusal.held_until == bench.health.paced_until
    bench.health.accepted()
    assert bench.connections.refusal(bench.loop.now) is None


def test_the_first_replacement_is_free() -> None:
    bench = Bench()
    for number in range(FREE_REPLACEMENTS):
        connection = bench.add()
        connection.opened_at, connection.answered, connection.proven = bench.loop.now + number, 1, False
        bench.end(connection, "goaway")
        bench.demand()
        assert len(bench.started) == number + 1


def test_a_server_that_allows_no_stream_gets_one_connection() -> None:
    bench = Bench()
    bench.add().engine.stream_limit = 0
    for _ in range(100):
        bench.demand(10_000)
        bench.loop.advance(1.0)
    assert not bench.started
    assert bench.connections.why_none_is_free(bench.loop.now) == "APNs allows no streams"


def test_those_that_are_silent_are_retired() -> None:
    bench = Bench()
    silent, idle, answering = bench.add(3), bench.add(0), bench.add(3)
    answering.answered_at = 10.0
    assert bench.connections.retire_silent(5.0) == 1
    assert (silent.usable, idle.usable, answering.usable) == (False, True, True)


def test_why_there_is_no_stream_is_said_as_it_is() -> None:
    bench = Bench()
    assert bench.connections.why_none_is_free(0.0) == "no connection"
    assert not bench.connections.out_of_reach
    full = bench.add(100)
    assert bench.connections.why_none_is_free(0.0) == "all streams are taken"
    bench.end(full, "lost")
    assert bench.connections.why_none_is_free(0.0).startswith("ConnectFailed")
    assert bench.connections.out_of_reach
    bench.connections.connector.succeeded()
    bench.connections.connector.begun = lambda: [1.0]  # type: ignore[method-assign]
    assert bench.connections.why_none_is_free(3.5) == "still connecting after 2.5 s"
