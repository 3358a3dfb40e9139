from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from tubepost_runtime.metrics import MetricSet, MetricSpec, begin, computed, counter, gauge, histogram


class Example(MetricSet):
    done = counter("example_done", "Things done, by kind.", "kind")
    open = gauge("example_open", "Things open.", aggregate="max")
    seconds = histogram("example_seconds", "Duration.", buckets=(0.1, 1.0))
    age = computed("example_age_seconds", "Age.", "thing")


def test_one_declaration_makes_row_object_and_attribute() -> None:
    example = Example()
    example.done.labels("a").inc(2)
    example.open.set(3)
    example.seconds.observe(0.5)
    example.age.compute(lambda: [(("x",), 7.0)])
    value = example.registry.get_sample_value
    assert value("example_done_total", {"kind": "a"}) == 2
    assert value("example_open") == 3
    assert value("example_seconds_bucket", {"le": "0.1"}) == 0
    assert value("example_seconds_bucket", {"le": "1.0"}) == 1
    assert value("example_age_seconds", {"thing": "x"}) == 7
    assert Example.catalogue() == (
        MetricSpec("example_done", "counter", "Things done, by kind.", ("kind",)),
        MetricSpec("example_open", "gauge", "Things open.", aggregate="max"),
        MetricSpec("example_seconds", "histogram", "Duration.", buckets=(0.1, 1.0)),
        MetricSpec("example_age_seconds", "gauge", "Age.", ("thing",)),
    )
    assert Example.done.spec.name == "example_done"


def test_a_computed_gauge_has_no_values_until_it_is_told_how() -> None:
    example = Example()
    assert b"\nexample_age_seconds{" not in generate_latest(example.registry)


def test_instances_do_not_share_and_may_be_given_a_registry() -> None:
    registry = CollectorRegistry()
    one, other = Example(registry), Example()
    one.done.labels("a").inc()
    assert registry.get_sample_value("example_done_total", {"kind": "a"}) == 1
    assert other.registry.get_sample_value("example_done_total", {"kind": "a"}) is None


def test_a_metric_of_an_instance_that_is_not_initialised_names_itself() -> None:
    example = Example.__new__(Example)
    with pytest.raises(AttributeError, match=r"Example\.done"):
        _ = example.done


def test_a_tally_is_in_the_metric_whenever_somebody_asks() -> None:
    class Metrics(MetricSet):
        things = counter("things", "Things, by kind.", "kind")

    metrics = Metrics()
    tally = metrics.tally(metrics.things.labels("a"))
    assert metrics.tally(metrics.things.labels("a")) is tally
    tally.count += 3
    metrics.things.labels("a").inc()
    assert metrics.registry.get_sample_value("things_total", {"kind": "a"}) == 4
    tally.count += 2
    assert metrics.registry.get_sample_value("things_total", {"kind": "a"}) == 6


def test_a_histogram_that_is_tallied_shows_what_one_observed_directly_shows() -> None:
    class Metrics(MetricSet):
        seconds = histogram("seconds", "Seconds, by kind.", "kind", buckets=(0.1, 1.0))

    tallied, direct = Metrics(), Metrics()
    tally = tallied.histogram_tally(tallied.seconds.labels("a"))
    assert tallied.histogram_tally(tallied.seconds.labels("a")) is tally
    for values in ([0.0, 0.1, 0.1000001, 1.0, 7.5], [], [0.5]):
        for value in values:
            tally.observe(value)
            direct.seconds.labels("a").observe(value)
        for sample, labels in (
            ("seconds_bucket", {"le": "0.1"}),
            ("seconds_bucket", {"le": "1.0"}),
            ("seconds_bucket", {"le": "+Inf"}),
            ("seconds_count", {}),
            ("seconds_sum", {}),
        ):
            asked = {"kind": "a", **labels}
            assert tallied.registry.get_sample_value(sample, asked) == direct.registry.get_sample_value(
                sample, asked
            )


def test_a_counter_begins_at_0_for_every_combination_of_its_labels() -> None:
    class Metrics(MetricSet):
        faults = counter("faults", "Faults, by point and kind.", "point", "kind")

    metrics = Metrics()
    metrics.faults.labels("first", "a").inc()
    begin(metrics.faults, ("first", "second"), ["a", "b"])
    found = {
        tuple(sample.labels.values()): sample.value
        for sample in next(iter(metrics.faults.collect())).samples
        if sample.name == "faults_total"
    }
    assert found == {("first", "a"): 1, ("first", "b"): 0, ("second", "a"): 0, ("second", "b"): 0}
