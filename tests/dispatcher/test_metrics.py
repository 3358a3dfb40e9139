from __future__ import annotations

import re

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tubepost_dispatcher.metrics import CATALOG, Metrics
from tubepost_runtime.metrics import MetricSpec

KINDS = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


@pytest.mark.parametrize("spec", CATALOG, ids=lambda spec: spec.name)
def test_every_metric_of_the_catalogue_can_be_counted(spec: MetricSpec) -> None:
    metrics = Metrics()
    found = [value for value in vars(metrics).values() if getattr(value, "_name", None) == spec.name]
    assert len(found) == 1, "one attribute for one metric"
    assert isinstance(found[0], KINDS[spec.kind])
    assert found[0]._labelnames == spec.labels


def test_no_metric_is_outside_the_catalogue() -> None:
    names = {family.name for family in Metrics().registry.collect()}
    assert names == {spec.name for spec in CATALOG}
    assert len(names) == len(CATALOG)


@pytest.mark.parametrize("spec", CATALOG, ids=lambda spec: spec.name)
def test_names_and_help_follow_the_conventions(spec: MetricSpec) -> None:
    assert re.fullmatch(r"tubepost(_[a-z0-9]+)+", spec.name)
    assert not spec.name.endswith(("_total", "_count", "_sum", "_bucket", "_created"))
    assert spec.help.endswith(".")
    assert "\n" not in spec.help
    assert all(re.fullmatch(r"[a-z]+", label) for label in spec.labels)
    if spec.kind != "gauge":
        assert spec.aggregate == "sum"


def test_instances_do_not_share() -> None:
    one, other = Metrics(), Metrics()
    one.blackholed.inc()
    assert other.registry.get_sample_value("tubepost_blackholed_total") == 0


def test_both_texts_can_be_parsed() -> None:
    metrics = Metrics()
    metrics.messages.labels("push", "accepted").inc(2)
    metrics.apns_latency.labels("prod").observe(0.3)
    expected = {spec.name for spec in CATALOG}
    plain = {
        family.name: family
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
    }
    assert expected <= plain.keys()
    assert plain["tubepost_messages"].samples[0].value == 2
    rich = {family.name for family in parse_openmetrics(generate_openmetrics(metrics.registry).decode())}
    assert rich == expected
