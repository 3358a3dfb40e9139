from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest

from tubepost_dispatcher.metrics import CATALOG, Metrics
from tubepost_operator.live_status import Rates, coarse, read_metrics, told_of
from tubepost_operator.observed import PodReport

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_dispatchers_own_metrics_are_understood() -> None:
    metrics = Metrics()
    metrics.config_info.labels("abc").set(1)
    metrics.smtp_sessions.set(4)
    metrics.attempts.labels("apns", "delivered", "Delivered").inc(7)
    metrics.attempts.labels("apns", "permanent", "BadDeviceToken").inc(2)
    metrics.route_held.labels("apns").set(1)
    metrics.route_held.labels("other").set(0)
    report = read_metrics(generate_latest(metrics.registry).decode())
    assert report == PodReport(
        "abc",
        False,
        4,
        {("apns", "delivered", "Delivered"): 7.0, ("apns", "permanent", "BadDeviceToken"): 2.0},
        frozenset({"apns"}),
    )
    metrics.queue_entries.set(12)
    metrics.queue_partitions.labels("owned").set(2)
    metrics.queue_partitions.labels("adopted").set(1)
    metrics.retiring.set(1)
    report = read_metrics(generate_latest(metrics.registry).decode())
    assert (report.queued, report.retiring) == (12, True)
    metrics.queue_quarantined_files.set(1)
    metrics.queue_damaged_entries.set(2)
    assert read_metrics(generate_latest(metrics.registry).decode()).set_aside == 3
    assert report.stream == frozenset()
    metrics.queue_stream_state.labels("ok").set(0)
    metrics.queue_stream_state.labels("one_replica").set(1)
    assert read_metrics(generate_latest(metrics.registry).decode()).stream == {"one_replica"}
    for state in ("locked", "failed", "orphaned"):
        metrics.queue_partitions.labels(state).set(1)
        assert read_metrics(generate_latest(metrics.registry).decode()).queued is None
        metrics.queue_partitions.labels(state).set(0)
    metrics.config_last_reload_failed.set(1)
    assert read_metrics(generate_latest(metrics.registry).decode()).refuses(
        "any, since it does not say which"
    )
    metrics.config_refused_info.labels("abd").set(1)
    refusing = read_metrics(generate_latest(metrics.registry).decode())
    assert refusing.refuses("abd")
    assert not refusing.refuses("one that was published since")


def test_workers_that_differ_are_not_done() -> None:
    text = 'tubepost_config_info{hash="a"} 1.0\ntubepost_config_info{hash="b"} 1.0\n'
    assert read_metrics(text).digest == ""
    assert read_metrics("").digest == ""


def test_the_metrics_that_are_read_exist() -> None:
    names = {spec.name for spec in CATALOG}
    assert names >= {
        "tubepost_config_info",
        "tubepost_config_last_reload_failed",
        "tubepost_config_refused_info",
        "tubepost_smtp_sessions",
        "tubepost_attempts",
        "tubepost_route_held",
    }


def test_what_is_no_text_of_metrics_is_refused() -> None:
    with pytest.raises(ValueError):
        read_metrics("tubepost_smtp_sessions{ what\n")


def report(delivered: float, failed: float = 0.0, sessions: int = 0) -> PodReport:
    return PodReport(
        "x",
        sessions=sessions,
        attempts={("apns", "delivered", "Delivered"): delivered, ("apns", "permanent", "Bad"): failed},
    )


def test_rates_are_of_the_time_between_two_looks() -> None:
    rates = Rates()
    first = rates.take({"a": report(1000)}, NOW)
    assert (first.delivered, first.delivered_per_minute, first.last_error) == (1000, 0, None)
    second = rates.take({"a": report(1100, 1), "b": report(20)}, NOW + timedelta(seconds=30))
    assert second.delivered_per_minute == 240
    assert second.last_error == "ApnRoute apns: Bad (permanent)"
    # A pod that began anew counts from zero; the last error stays the last.
    third = rates.take({"a": report(60, 0)}, NOW + timedelta(seconds=90))
    assert third.delivered_per_minute == 60
    assert third.last_error == second.last_error


def test_no_pods_no_facts() -> None:
    live = Rates().take({}, NOW)
    assert (live.sessions, live.delivered, live.failed, live.held) == (0, 0, 0, ())


@given(st.integers(0, 10**12))
def test_coarse_keeps_two_digits(value: int) -> None:
    rounded = coarse(value)
    assert rounded <= value
    assert len(str(rounded).rstrip("0")) <= 2
    assert value < 100 or value - rounded < value / 10


def attempts(**counts: float) -> PodReport:
    """Counts by `outcome_reason` of the route apns."""
    return PodReport(
        "x",
        attempts={("apns", *key.split("_")): value for key, value in counts.items()},  # type: ignore[misc]
    )


def test_a_route_fails_while_attempts_fail_and_nothing_is_delivered() -> None:
    rates = Rates()

    def at(minute: int, report: PodReport) -> tuple[str, ...]:
        return rates.take({"a": report}, NOW + timedelta(minutes=minute)).failing

    assert at(0, attempts()) == ()
    assert at(1, attempts(transient_ConnectFailed=8.0)) == ("apns",)
    assert at(2, attempts(transient_ConnectFailed=8.0)) == ("apns",), "no attempt is no proof"
    live = rates.take({"a": attempts(transient_ConnectFailed=9.0)}, NOW + timedelta(minutes=3))
    assert live.reasons == {"apns": "ConnectFailed"}
    assert told_of(live, "apns") == (False, True, "ConnectFailed")
    assert told_of(live, "other") == (False, False, "")
    assert at(4, attempts(transient_ConnectFailed=10.0, delivered_Delivered=1.0)) == ()
    assert at(5, attempts(transient_ConnectFailed=20.0, delivered_Delivered=1.0)) == ("apns",)
    judged = attempts(transient_ConnectFailed=20.0, delivered_Delivered=1.0, permanent_BadDeviceToken=1.0)
    assert at(6, judged) == (), "APNs answers"


def test_a_device_with_too_much_to_read_is_no_failure_of_the_route() -> None:
    rates = Rates()
    assert rates.take({"a": attempts(transient_TooManyRequests=1.0)}, NOW).failing == ()


def test_what_failed_before_the_first_look_counts() -> None:
    assert Rates().take({"a": attempts(transient_ConnectTimeout=3.0)}, NOW).failing == ("apns",)
    mixed = attempts(transient_ConnectTimeout=3.0, delivered_Delivered=500.0)
    assert Rates().take({"a": mixed}, NOW).failing == ()


def test_what_is_queued_is_told_coarsely() -> None:
    reports = {"a": PodReport("x", queued=1234), "b": PodReport("x"), "c": PodReport("x", queued=5)}
    assert Rates().take(reports, NOW).queued == 1200


def test_what_is_in_a_stream_is_told_once() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    well, ill = frozenset({"ok"}), frozenset({"unreachable"})
    reports = {
        "a": PodReport("x", queued=7, stream=well),
        "b": PodReport("x", queued=8, stream=well),
        "c": PodReport("x", queued=3),
        "d": PodReport("x", stream=ill),
    }
    live = Rates().take(reports, now)
    assert (live.queued, live.stream) == (11, ("unreachable",))
    assert Rates().take({"a": reports["a"]}, now).stream == ()
