from __future__ import annotations

from tests.support.loop import FakeLoop
from tubepost_dispatcher.apns.pool.gauges import INTERVAL, PoolGauges, Readings
from tubepost_dispatcher.metrics import Metrics


class Pool:
    """What the gauges of one pool read."""

    def __init__(self, metrics: Metrics, loop: FakeLoop) -> None:
        self.readings = Readings()
        self.reads = 0
        self.gauges = PoolGauges("apns", metrics, loop, self.read)

    def read(self) -> Readings:
        self.reads += 1
        return self.readings

    def show(self, readings: Readings) -> None:
        self.readings = readings
        self.gauges.refresh()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"route": "apns", **labels})


def test_pools_of_one_route_add_up_and_take_only_their_own_part_out() -> None:
    metrics = Metrics()
    one, two = Pool(metrics, FakeLoop()), Pool(metrics, FakeLoop())
    one.show(Readings(connections=4, pending=3))
    two.show(Readings(connections=1))
    two.show(Readings(connections=2, pending=3))
    assert value(metrics, "tubepost_apns_connections") == 6
    one.gauges.stop()
    assert value(metrics, "tubepost_apns_connections") == 2
    assert value(metrics, "tubepost_apns_pending") == 3


def test_many_changes_are_one_refresh() -> None:
    loop = FakeLoop()
    pool = Pool(Metrics(), loop)
    for _ in range(100):
        pool.gauges.refresh_soon()
    loop.advance(INTERVAL)
    assert pool.reads == 1
    pool.gauges.refresh_soon()
    loop.advance(INTERVAL)
    assert pool.reads == 2


def test_a_refresh_that_comes_after_the_end_shows_nothing() -> None:
    metrics, loop = Metrics(), FakeLoop()
    pool = Pool(metrics, loop)
    pool.readings = Readings(connections=1)
    pool.gauges.refresh_soon()
    pool.gauges.stop()
    loop.advance(INTERVAL)
    assert value(metrics, "tubepost_apns_connections") == 0


def test_held_and_token_age_are_the_routes() -> None:
    metrics = Metrics()
    pool = Pool(metrics, FakeLoop())
    assert value(metrics, "tubepost_route_held") == 0
    pool.show(Readings(held=True, token_age=12.5))
    assert value(metrics, "tubepost_route_held") == 1
    assert value(metrics, "tubepost_provider_token_age_seconds") == 12.5


def test_connections_are_counted_with_why_they_ended() -> None:
    metrics = Metrics()
    gauges = Pool(metrics, FakeLoop()).gauges
    gauges.opened()
    gauges.closed("goaway")
    gauges.connect_failed("timeout")
    assert value(metrics, "tubepost_apns_connections_opened_total") == 1
    assert value(metrics, "tubepost_apns_connections_closed_total", cause="goaway") == 1
    assert value(metrics, "tubepost_apns_connect_failures_total", cause="timeout") == 1
