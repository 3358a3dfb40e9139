from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.operator.cases import snapshot
from tests.operator.fake import FakeCluster
from tests.operator.objects import push_domain
from tubepost_operator.actions import Apply, Enlarge, Event, Mark, Plan, Refresh, Scale
from tubepost_operator.api import ApiError
from tubepost_operator.apply import Applier, event_document
from tubepost_operator.cache import Cache
from tubepost_operator.metadata import object_key, read_meta
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key
from tubepost_operator.plan.push_domain import decide, plan_push_domain

OWNER = Key("PushDomain", "default", "alerts")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def manifest(kind: str) -> Document:
    version = "apps/v1" if kind == "Deployment" else "v1"
    metadata = {"name": "alerts", "namespace": "default", "labels": Names.labels("alerts")}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": {"replicas": 1}}


def apply(kind: str) -> Apply:
    return Apply(Key(kind, "default", "alerts"), manifest(kind), create=True)


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def applier(cluster: FakeCluster, cache: Cache) -> Applier:
    return Applier(cluster, cache, OperatorMetrics(), "pod", lambda: NOW)


def is_rejection(error: ApiError) -> bool:
    return error.status == 422


async def test_what_was_written_is_in_the_cache(cluster: FakeCluster, cache: Cache, applier: Applier) -> None:
    assert await applier.children(OWNER, Plan(apply=(apply("Deployment"),)), is_rejection) == {}
    (child,) = cache.children_of("default", "alerts")
    assert child.in_sync
    assert child.body == cluster.get_now("Deployment", "alerts")
    scale = Scale(Key("Deployment", "default", "alerts"), 3)
    await applier.children(OWNER, Plan(scale=scale), is_rejection)
    (child,) = cache.children_of("default", "alerts")
    assert child.body is not None
    assert child.body["spec"]["replicas"] == 3
    await applier.children(OWNER, Plan(delete=(child.meta,)), is_rejection)
    assert cache.children_of("default", "alerts") == []
    assert cluster.objects == {}


async def test_a_rejected_child_does_not_keep_back_the_others(cluster: FakeCluster, applier: Applier) -> None:
    cluster.fail = lambda _, kind, __: ApiError(422, "no") if kind == "Service" else None
    plan = Plan(apply=(apply("Service"), apply("Deployment")))
    rejected = await applier.children(OWNER, plan, is_rejection)
    assert rejected == {Key("Service", "default", "alerts"): "no"}
    assert ("Deployment", "default", "alerts") in cluster.objects


async def test_without_its_config_map_a_deployment_is_not_applied(
    cluster: FakeCluster, applier: Applier
) -> None:
    cluster.fail = lambda _, kind, __: ApiError(422, "no") if kind == "ConfigMap" else None
    rejected = await applier.children(
        OWNER, Plan(apply=(apply("ConfigMap"), apply("Deployment"))), is_rejection
    )
    assert {key.kind for key in rejected} == {"ConfigMap"}
    assert cluster.objects == {}


async def test_other_errors_end_the_reconcile(cluster: FakeCluster, applier: Applier) -> None:
    cluster.fail = lambda *_: ApiError(503, "busy")
    with pytest.raises(ApiError):
        await applier.children(OWNER, Plan(apply=(apply("Service"),)), is_rejection)


async def test_a_pod_is_annotated_and_one_that_is_gone_is_no_error(
    cluster: FakeCluster, cache: Cache, applier: Applier
) -> None:
    pod = cluster.put({**manifest("Pod"), "spec": {"containers": []}})
    key = Key("Pod", "default", "alerts")
    cache.put_meta(read_meta(pod, "Pod"))
    gone = Refresh(Key("Pod", "default", "gone"), "digest")
    await applier.children(OWNER, Plan(refresh=(Refresh(key, "digest"), gone)), is_rejection)
    (meta,) = cache.pods_of("default", "alerts")
    assert meta.annotations == {Names.REFRESH_ANNOTATION: "digest"}


async def test_a_status_is_patched_to_exactly_what_it_should_be(
    cluster: FakeCluster, cache: Cache, applier: Applier
) -> None:
    document = cluster.put({**push_domain(), "status": {"old": 1, "config": {"name": "a", "hash": "b"}}})
    cache.put(document)
    status = {"address": "x", "config": {"name": "c"}}
    assert await applier.status_and_events(OWNER, document, Plan(status=status))
    assert cluster.get_now("PushDomain", "alerts")["status"] == status
    assert cache.get(OWNER) == cluster.get_now("PushDomain", "alerts")


async def test_the_status_of_an_older_version_is_a_conflict(cluster: FakeCluster, applier: Applier) -> None:
    older = cluster.put(push_domain())
    cluster.put({**push_domain(), "spec": {"replicas": 2}})
    with pytest.raises(ApiError) as caught:
        await applier.status_and_events(OWNER, older, Plan(status={"a": 1}))
    assert caught.value.kind == "conflict"


async def test_the_status_of_an_object_that_is_gone_says_so(cache: Cache, applier: Applier) -> None:
    document = push_domain()
    cache.put(document)
    assert not await applier.status_and_events(object_key(document), document, Plan(status={"a": 1}))
    assert cache.get(OWNER) is None


async def test_an_event_that_cannot_be_posted_is_no_error(cluster: FakeCluster, applier: Applier) -> None:
    cluster.fail = lambda verb, *_: ApiError(403, "no") if verb == "CREATE" else None
    plan = Plan(events=(Event("Normal", "Ready", "text"),))
    assert await applier.status_and_events(OWNER, push_domain(), plan)
    assert cluster.events == []


def test_an_event_is_what_the_server_takes() -> None:
    document = {**push_domain("a" * 63), "apiVersion": "tubepost.io/v1alpha1"}
    event = event_document(
        document, Event("Normal", "Ready", "text"), "pod", datetime(2026, 11, 23, tzinfo=UTC)
    )
    assert len(event["metadata"]["name"]) <= 253
    assert event["involvedObject"]["uid"] == document["metadata"]["uid"]
    assert event["type"] == "Normal"


def test_two_events_of_a_second_have_different_names() -> None:
    event = Event("Warning", "Repaired", "text")
    first = event_document(push_domain(), event, "pod", NOW.replace(microsecond=500_000))
    second = event_document(push_domain(), event, "pod", NOW.replace(microsecond=7))
    assert first["firstTimestamp"] == second["firstTimestamp"] == "2026-11-23T12:00:00Z"
    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert first["involvedObject"]["name"] == "alerts"


async def test_children_are_applied_in_order_and_counted(cluster: FakeCluster, cache: Cache) -> None:
    metrics = OperatorMetrics()
    applier = Applier(cluster, cache, metrics, "pod", lambda: NOW)
    seen = snapshot("first-publish")
    plan = plan_push_domain(seen, decide(seen))
    assert await applier.children(OWNER, plan, is_rejection) == {}
    assert [kind for _, kind, _ in cluster.writes()] == [apply.key.kind for apply in plan.apply]
    assert all(cache.meta(apply.key) is not None for apply in plan.apply)
    labels = {"kind": "Deployment", "action": "apply"}
    assert metrics.registry.get_sample_value("tubepost_operator_writes_total", labels) == 1


async def test_one_value_that_the_definition_refuses_does_not_keep_the_conditions_back(
    cluster: FakeCluster, cache: Cache, applier: Applier, caplog: pytest.LogCaptureFixture
) -> None:
    document = cluster.put(push_domain())
    cache.put(document)
    refused = [ApiError(422, 'status.users[1]: Invalid value: "old.name"')]
    cluster.fail = lambda verb, *_: refused.pop() if verb == "PATCH" and refused else None
    status = {"observedGeneration": 1, "conditions": [{"type": "Ready"}], "users": ["alerts", "old.name"]}
    assert await applier.status_and_events(OWNER, document, Plan(status=status))
    assert cluster.get_now("PushDomain", "alerts")["status"] == {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready"}],
    }
    assert 'users[1]: Invalid value: "old.name"' in caplog.text


async def test_a_claim_that_cannot_grow_is_a_rejection(
    cluster: FakeCluster, cache: Cache, applier: Applier
) -> None:
    metadata = {"name": "queue-alerts-0", "namespace": "default", "labels": Names.labels("alerts")}
    claim: Document = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
    cluster.put({**claim, "spec": {"resources": {"requests": {"storage": "1Gi"}}}})
    key = Key("PersistentVolumeClaim", "default", "queue-alerts-0")
    plan = Plan(enlarge=(Enlarge(key, "2Gi"),))
    assert plan.writes
    assert await applier.children(OWNER, plan, is_rejection) == {}
    (child,) = cache.children_of("default", "alerts")
    assert child.body is not None
    assert child.body["spec"]["resources"]["requests"]["storage"] == "2Gi"
    cluster.fail = lambda *_: ApiError(422, "only dynamically provisioned pvc can be resized")
    assert await applier.children(OWNER, plan, is_rejection) == {
        key: "only dynamically provisioned pvc can be resized"
    }
    cluster.fail = lambda *_: ApiError(500, "no")
    with pytest.raises(ApiError):
        await applier.children(OWNER, plan, is_rejection)


async def test_claims_are_marked_before_anything_else_and_deleted_where_that_is_allowed(
    cluster: FakeCluster, cache: Cache, applier: Applier
) -> None:
    metadata = {"name": "queue-alerts-1", "namespace": "default", "labels": Names.labels("alerts")}
    cluster.put({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata})
    key = Key("PersistentVolumeClaim", "default", "queue-alerts-1")
    for drained in (True, False, True):
        plan = Plan(marks=(Mark(key, drained=drained),))
        assert plan.writes
        assert await applier.children(OWNER, plan, is_rejection) == {}
        (child,) = cache.children_of("default", "alerts")
        assert (Names.DRAINED_ANNOTATION in child.meta.annotations) is drained
    plan = Plan(delete=(child.meta,))
    cluster.fail = lambda *_: ApiError(422, "no")
    assert await applier.children(OWNER, plan, is_rejection) == {key: "no"}
    with pytest.raises(ApiError):
        await applier.children(OWNER, Plan(marks=(Mark(key, drained=False),)), is_rejection)
    cluster.fail = lambda *_: None
    assert await applier.children(OWNER, plan, is_rejection) == {}
    assert not cluster.objects
    gone = Plan(marks=(Mark(key, drained=True),))
    assert await applier.children(OWNER, gone, is_rejection) == {}
