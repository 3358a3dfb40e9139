from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.operator.cases import snapshot
from tests.operator.fake import FakeCluster
from tests.operator.objects import push_domain
from tubepost_operator.actions import Event, Plan
from tubepost_operator.api import ApiError
from tubepost_operator.apply import Applier, event_document
from tubepost_operator.cache import Cache
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.observed import Key
from tubepost_operator.plan.push_domain import decide, plan_push_domain

NOW = datetime(2026, 11, 23, 12, 0, 0, 500_000, tzinfo=UTC)
ALERTS = Key("PushDomain", "default", "alerts")


class Bench:
    def __init__(self) -> None:
        self.cluster, self.cache, self.metrics = FakeCluster(), Cache(), OperatorMetrics()
        self.applier = Applier(self.cluster, self.cache, self.metrics, "replica-1", lambda: NOW)

    def count(self, kind: str, action: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "tubepost_operator_writes_total", {"kind": kind, "action": action}
        )


def plan() -> Plan:
    seen = snapshot("first-publish")
    return plan_push_domain(seen, decide(seen))


async def test_children_are_applied_in_order_and_known_afterwards() -> None:
    bench = Bench()
    first = plan()
    assert await bench.applier.children(ALERTS, first, lambda _: False) == {}
    applied = [kind for verb, kind, _ in bench.cluster.writes()]
    assert applied == [apply.key.kind for apply in first.apply]
    assert all(bench.cache.meta(apply.key) is not None for apply in first.apply)
    assert bench.count("Deployment", "apply") == 1


async def test_without_its_configuration_no_pod_is_started() -> None:
    bench = Bench()
    bench.cluster.fail = lambda verb, kind, name: ApiError(422, "no") if kind == "ConfigMap" else None
    rejected = await bench.applier.children(ALERTS, plan(), lambda error: error.status == 422)
    assert [(key.kind, text) for key, text in rejected.items()] == [("ConfigMap", "no")]
    assert "Deployment" not in {kind for _, kind, _ in bench.cluster.writes()}


async def test_what_is_no_rejection_is_raised() -> None:
    bench = Bench()
    bench.cluster.fail = lambda verb, kind, name: ApiError(500, "later") if kind == "Service" else None
    with pytest.raises(ApiError, match="later"):
        await bench.applier.children(ALERTS, plan(), lambda error: error.status == 422)


async def test_a_status_of_an_object_that_has_gone() -> None:
    bench = Bench()
    document = push_domain()
    bench.cache.put(document)
    there = await bench.applier.status_and_events(ALERTS, document, Plan(status={"conditions": []}))
    assert not there
    assert bench.cache.get(ALERTS) is None


async def test_an_event_that_cannot_be_posted_stops_nothing() -> None:
    bench = Bench()
    bench.cluster.fail = lambda verb, kind, name: ApiError(403, "no") if kind == "Event" else None
    event = Event("Normal", "Published", "generation 1")
    assert await bench.applier.status_and_events(ALERTS, push_domain(), Plan(events=(event,)))


def test_events_say_what_they_are_about() -> None:
    document = event_document(push_domain(), Event("Warning", "Repaired", "put back"), "replica-1", NOW)
    assert document["involvedObject"]["name"] == "alerts"
    assert document["firstTimestamp"] == "2026-11-23T12:00:00Z"
    later = event_document(
        push_domain(), Event("Warning", "Repaired", "put back"), "replica-1", NOW.replace(microsecond=7)
    )
    assert document["metadata"]["name"] != later["metadata"]["name"]
