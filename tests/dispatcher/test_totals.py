from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tubepost_dispatcher.metrics import CATALOG, Metrics
from tubepost_dispatcher.totals import Totals, take_samples


def _value(totals: Totals, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(totals)
    return registry.get_sample_value(name, labels)


def test_workers_are_added_up_and_those_that_ended_stay_in_the_counters() -> None:
    one, two, totals = Metrics(), Metrics(), Totals()
    one.messages.labels("push", "accepted").inc(3)
    two.messages.labels("push", "accepted").inc(4)
    one.smtp_sessions.set(5)
    two.smtp_sessions.set(6)
    totals.update("one", take_samples(one.registry))
    totals.update("two", take_samples(two.registry))
    assert _value(totals, "tubepost_messages_total", kind="push", result="accepted") == 7
    assert _value(totals, "tubepost_smtp_sessions") == 11
    totals.fold("one")
    assert _value(totals, "tubepost_messages_total", kind="push", result="accepted") == 7
    assert _value(totals, "tubepost_smtp_sessions") == 6
    totals.fold("one")
    assert _value(totals, "tubepost_messages_total", kind="push", result="accepted") == 7


def test_gauges_that_mean_the_same_everywhere_are_not_added() -> None:
    one, two, totals = Metrics(), Metrics(), Totals()
    for metrics in (one, two):
        metrics.config_generation.set(9)
        metrics.route_held.labels("prod").set(1)
    totals.update("one", take_samples(one.registry))
    totals.update("two", take_samples(two.registry))
    assert _value(totals, "tubepost_config_generation") == 9
    assert _value(totals, "tubepost_route_held", route="prod") == 1


def test_histograms_keep_buckets_sum_and_count() -> None:
    one, two, totals = Metrics(), Metrics(), Totals()
    one.apns_latency.labels("prod").observe(0.02)
    two.apns_latency.labels("prod").observe(20.0)
    totals.update("one", take_samples(one.registry))
    totals.update("two", take_samples(two.registry))
    totals.fold("two")
    assert _value(totals, "tubepost_apns_latency_seconds_bucket", route="prod", le="0.025") == 1
    assert _value(totals, "tubepost_apns_latency_seconds_bucket", route="prod", le="+Inf") == 2
    assert _value(totals, "tubepost_apns_latency_seconds_count", route="prod") == 2
    assert _value(totals, "tubepost_apns_latency_seconds_sum", route="prod") == 20.02


def test_the_exposition_can_be_parsed_and_names_every_metric_of_the_catalogue() -> None:
    totals = Totals()
    totals.update("one", take_samples(Metrics().registry))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(totals)
    families = {f.name for f in text_string_to_metric_families(generate_latest(registry).decode())}
    assert families == {spec.name for spec in CATALOG}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["inc", "update", "end"])), max_size=40))
def test_counters_never_go_back(steps: list[tuple[str, str]]) -> None:
    totals, workers, last = Totals(), {}, 0.0
    for name, step in steps:
        metrics = workers.setdefault(name, Metrics())
        if step == "inc":
            metrics.push_parts.inc()
        elif step == "update":
            totals.update(name, take_samples(metrics.registry))
        else:
            totals.fold(name)
            del workers[name]
        now = _value(totals, "tubepost_push_parts_total") or 0.0
        assert now >= last
        last = now
