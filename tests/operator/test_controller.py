from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.exposition import generate_latest

from tests.operator.conftest import furnish, made, start
from tests.operator.fake import FakeCluster, FakePods
from tests.operator.objects import logger, push_domain, route, secret_document
from tubepost_api.suspension import ANNOTATION, Suspension
from tubepost_operator import controller as controller_module
from tubepost_operator import holding
from tubepost_operator.api import ApiError
from tubepost_operator.fights import FREE
from tubepost_operator.kinds import CHILDREN, OWN, RELATED, Kind
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key, PodReport
from tubepost_operator.plan import push_domain as push_domain_module
from tubepost_operator.plan import stale_secret
from tubepost_operator.plan.children import wanted_children
from tubepost_operator.plan.workloads import Arrangement
from tubepost_operator.rbac import PERMISSIONS
from tubepost_operator.settings import ReleaseSettings
from tubepost_runtime.backoff import Exponential

CHILD_KINDS = {"ConfigMap", "ServiceAccount", "Service", "Deployment", "PodDisruptionBudget"}


def without_status(document: Document) -> Document:
    return {key: value for key, value in document.items() if key != "status"}


def config_maps(cluster: FakeCluster) -> list[str]:
    return sorted(name for kind, _, name in cluster.objects if kind == "ConfigMap")


async def test_a_push_domain_becomes_children_and_ready(cluster: FakeCluster) -> None:
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
    assert {kind for kind, _, _ in cluster.objects} >= CHILD_KINDS
    for kind, _, name in list(cluster.objects):
        if kind in CHILDREN:
            owner = cluster.get_now(kind, name)["metadata"]["ownerReferences"][0]
            assert owner["uid"] == cluster.get_now("PushDomain", "alerts")["metadata"]["uid"]
            assert "finalizers" not in cluster.get_now(kind, name)["metadata"]
    assert cluster.condition("apns", of="ApnRoute") == ("True", "Ready")
    assert cluster.get_now("ApnRoute", "apns")["status"]["users"] == ["alerts"]


async def test_an_object_made_anew_while_the_answer_that_the_old_one_is_gone_is_on_its_way(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(cluster)
    merge = cluster.merge

    async with start(cluster) as running:
        await made(running)
        cache = running.leadership.cache
        key = Key("PushDomain", "default", "alerts")

        async def late(
            kind: Kind, namespace: str, name: str, patch: Document, subresource: str | None = None
        ) -> Document | None:
            if (kind.name, subresource) != ("PushDomain", "status") or replaced:
                return await merge(kind, namespace, name, patch, subresource)
            replaced.append(name)
            cluster.remove("PushDomain", name)
            answer = await merge(kind, namespace, name, patch, subresource)
            anew = push_domain()
            cluster.put({**anew, "metadata": {**anew["metadata"], "uid": "another"}})
            await running.until(
                lambda: (cache.get(key) or {"metadata": {}})["metadata"].get("uid") == "another"
            )
            return answer

        replaced: list[str] = []
        monkeypatch.setattr(cluster, "merge", late)
        cluster.edit("PushDomain", "alerts", lambda document: document["spec"].update(logLevel="Debug"))
        await running.until(lambda: replaced)
        await made(running)


async def test_what_others_added_is_removed(cluster: FakeCluster) -> None:
    furnish(cluster)

    def add(document: Document) -> None:
        document["spec"]["paused"] = True
        owner = {"manager": "kubectl-edit", "fieldsV1": {"f:spec": {"f:paused": {}}}}
        document["metadata"]["managedFields"] = [owner]

    async with start(cluster) as running:
        await made(running)
        cluster.edit("Deployment", "alerts", add)
        await running.until(lambda: "paused" not in cluster.get_now("Deployment", "alerts")["spec"])
        await running.rest()
        assert any(event["reason"] == "Repaired" for event in cluster.events)
        cluster.requests.clear()
        running.leadership.controller.enqueue_all()
        await running.rest()
        assert cluster.requests == []


def hundred(document: Document) -> None:
    """A policy of the cluster that decides about requests."""
    if document["kind"] == "Deployment":
        containers = document["spec"]["template"]["spec"]["containers"]
        containers[0] = {**containers[0], "resources": {"requests": {"cpu": "77m"}}}


async def test_a_policy_that_changes_a_child_is_left_alone_and_said(cluster: FakeCluster) -> None:
    cluster.mutate = hundred
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
        written = [request for request in cluster.requests if request[:2] == ("APPLY", "Deployment")]
        assert len(written) == 1
        for _ in range(3):
            cluster.roll_out()
            cluster.put(secret_document())
            await running.rest()
        assert [request for request in cluster.requests if request[:2] == ("APPLY", "Deployment")] == written
        assert not [event for event in cluster.events if event["reason"] == "Repaired"]
        conditions = cluster.get_now("PushDomain", "alerts")["status"]["conditions"]
        (message,) = [item["message"] for item in conditions if item["type"] == "Programmed"]
        assert "A policy or webhook of the cluster decides: Deployment alerts: spec.template" in message
    cluster.requests.clear()
    # A new leader does not know it yet: it asks the API server what it would make of it, and writes nothing.
    async with start(cluster) as running:
        await running.rest()
        assert ("TRY", "Deployment", "alerts") in cluster.requests
        assert cluster.writes() == []


@pytest.mark.parametrize(("manager", "times"), [("kube-controller-manager", 1), ("kubectl", FREE)])
async def test_a_fight_is_said_and_not_fought_at_any_price(
    cluster: FakeCluster, manager: str, times: int
) -> None:
    furnish(cluster)
    scaled = {"manager": manager, "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}

    def scale(document: Document) -> None:
        document["spec"]["replicas"] = 3
        document["metadata"]["managedFields"] = [scaled]

    def replicas() -> int:
        return int(cluster.get_now("Deployment", "alerts")["spec"]["replicas"])

    async with start(cluster) as running:
        await made(running)
        for turn in range(times):
            cluster.edit("Deployment", "alerts", scale)
            await running.until(lambda: replicas() == 1)
            await running.rest()
            if turn == 0:
                assert cluster.condition("alerts", "Programmed")[1] != "Contested", "once may be a mistake"
        cluster.edit("Deployment", "alerts", scale)
        await running.until(lambda: cluster.condition("alerts", "Programmed") == ("False", "Contested"))
        await running.rest()
        assert replicas() == 3, "it has become a fight"
        events = [event["message"] for event in cluster.events if event["reason"] == "Repaired"]
        assert len(events) == times
        assert f"spec.replicas was changed from 1 to 3 by {manager}" in events[0]
        (told,) = [event["message"] for event in cluster.events if event["reason"] == "Contested"]
        assert "scaleTargetRef name kind PushDomain" in told
        text = generate_latest(running.metrics.registry).decode()
    assert f'tubepost_operator_repairs_total{{kind="Deployment"}} {times}.0' in text


async def test_pods_with_an_old_immutable_secret_are_stopped_and_started(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stale_secret, "STALE_AFTER", 0.2)
    furnish(cluster)
    cluster.put({**secret_document(), "immutable": True})
    pods = FakePods()

    def replicas() -> int:
        return int(cluster.get_now("Deployment", "alerts")["spec"]["replicas"])

    def drain(document: Document) -> None:
        document["metadata"]["deletionTimestamp"] = "2026-11-23T12:00:00Z"

    async with start(cluster, pods) as running:
        await made(running)
        cluster.start_pod("alerts-1", ip="10.0.0.7")
        old = cluster.get_now("PushDomain", "alerts")["status"]["config"]["hash"]
        pods.reports["10.0.0.7"] = PodReport(old)
        await running.rest()
        cluster.remove("Secret", "cert")
        await running.until(lambda: cluster.condition("alerts")[1] == "SecretNotFound")
        # Made anew, and not even immutable: what the kubelet keeps is the old one.
        cluster.put(secret_document())
        await running.until(lambda: cluster.condition("alerts", "Programmed") == ("False", "StaleSecret"))
        assert replicas() == 0
        cluster.edit("Pod", "alerts-1", drain)
        await running.rest()
        assert replicas() == 0, "until the last pod is gone"
        cluster.remove("Pod", "alerts-1")
        await running.until(lambda: replicas() == 1)
        new = cluster.get_now("PushDomain", "alerts")["status"]["config"]["hash"]
        pods.reports["10.0.0.8"] = PodReport(new)
        cluster.start_pod("alerts-2", ip="10.0.0.8")
        cluster.roll_out()
        await running.until(lambda: cluster.condition("alerts")[0] == "True")
        assert [event for event in cluster.events if event["reason"] == "StaleSecret"]


async def test_an_old_immutable_secret_interrupts_only_the_routes_that_need_it(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stale_secret, "STALE_AFTER", 0.2)
    furnish(cluster)
    cluster.put({**secret_document("fixed"), "immutable": True})
    cluster.put(route("other", certificate={"secretName": "fixed"}))
    entry = {"name": "other.example.com", "routes": ["other"]}
    cluster.edit("PushDomain", "alerts", lambda found: found["spec"]["domains"].append(entry))
    pods = FakePods()
    volume = Names.secret_volume("fixed")

    def mounts() -> bool:
        spec = cluster.get_now("Deployment", "alerts")["spec"]
        assert spec["replicas"] == 1
        return volume in [item["name"] for item in spec["template"]["spec"]["volumes"]]

    def hash_now() -> str:
        return str(cluster.get_now("PushDomain", "alerts")["status"]["config"]["hash"])

    async with start(cluster, pods) as running:
        await made(running)
        cluster.start_pod("alerts-1", ip="10.0.0.7")
        pods.reports["10.0.0.7"] = PodReport(hash_now())
        await running.rest()
        assert mounts()
        cluster.remove("Secret", "fixed")
        await running.until(lambda: cluster.condition("alerts")[1] == "SecretNotFound")
        cluster.put({**secret_document("fixed"), "immutable": True})
        await running.until(lambda: cluster.condition("alerts", "Programmed") == ("False", "StaleSecret"))
        assert not mounts()
        # A pod without it has started; the old one is about to go.
        pods.reports["10.0.0.8"] = PodReport("without")
        cluster.start_pod("alerts-2", ip="10.0.0.8")
        await running.until(lambda: ("PATCH", "Pod", "alerts-2") in cluster.requests)
        assert not mounts(), "until the last pod that mounts it is gone"
        cluster.remove("Pod", "alerts-1")
        await running.until(mounts)
        pods.reports["10.0.0.9"] = PodReport(hash_now())
        cluster.start_pod("alerts-3", ip="10.0.0.9")
        cluster.remove("Pod", "alerts-2")
        cluster.roll_out()
        await running.until(lambda: cluster.condition("alerts")[0] == "True")
        (told,) = [event for event in cluster.events if event["reason"] == "StaleSecret"]
        assert "these routes send nothing: other." in told["message"]


async def test_of_two_operators_one_yields_in_words(cluster: FakeCluster) -> None:
    furnish(cluster)
    async with start(cluster) as first:
        await made(first)
        template = cluster.get_now("Deployment", "alerts")["spec"]["template"]
        generation = cluster.get_now("Deployment", "alerts")["metadata"]["generation"]
        async with start(cluster, release=ReleaseSettings(image="new:1"), lease_namespace="second") as second:
            await second.until(lambda: [event for event in cluster.events if event["reason"] == "Yielded"])
            await second.rest()
            await first.rest()
            (told,) = [event["message"] for event in cluster.events if event["reason"] == "Yielded"]
            assert "default/tubepost-operator" in told
            assert "second/tubepost-operator leaves it alone" in told
            text = generate_latest(second.metrics.registry).decode()
            assert "tubepost_operator_yielded 1.0" in text
            deployment = cluster.get_now("Deployment", "alerts")
            assert deployment["spec"]["template"] == template
            assert deployment["metadata"]["generation"] == generation
            assert cluster.condition("alerts") == ("True", "Ready")


async def test_what_an_uninstalled_release_left_is_taken_over(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "ANSWER", 0.05)
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
    async with start(cluster, release=ReleaseSettings(image="new:1"), lease_namespace="second") as running:
        await running.until(
            lambda: all(
                document["metadata"]["annotations"]["tubepost.io/operator"] == "second/tubepost-operator"
                for key, document in cluster.objects.items()
                if key[0] in CHILDREN
            )
        )
        container = cluster.get_now("Deployment", "alerts")["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == "new:1"


async def test_a_paused_push_domain_is_left_alone_until_it_is_not(cluster: FakeCluster) -> None:
    furnish(cluster)

    def pause(document: Document) -> None:
        document["metadata"]["annotations"] = {"tubepost.io/paused": "true"}

    def go_on(document: Document) -> None:
        document["metadata"]["annotations"] = {}

    def debug(document: Document) -> None:
        document["spec"]["replicas"] = 0

    async with start(cluster) as running:
        await made(running)
        cluster.edit("PushDomain", "alerts", pause)
        await running.rest()
        assert cluster.condition("alerts", "Programmed") == ("True", "Programmed")
        cluster.edit("Deployment", "alerts", debug)
        await running.until(lambda: cluster.condition("alerts", "Programmed") == ("False", "Paused"))
        cluster.remove("Service", "alerts")
        await running.rest()
        assert cluster.get_now("Deployment", "alerts")["spec"]["replicas"] == 0
        assert ("Service", "default", "alerts") not in cluster.objects
        cluster.edit("PushDomain", "alerts", go_on)
        await running.until(lambda: ("Service", "default", "alerts") in cluster.objects)
        await running.until(lambda: cluster.get_now("Deployment", "alerts")["spec"]["replicas"] == 1)


async def test_nothing_is_written_while_nothing_changes_nor_after_a_restart(cluster: FakeCluster) -> None:
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
        cluster.requests.clear()
        running.leadership.controller.enqueue_all()
        await running.rest()
        assert cluster.requests == []
    cluster.requests.clear()
    async with start(cluster) as running:
        await running.rest()
        assert cluster.writes() == []


async def test_what_is_deleted_or_changed_by_hand_is_put_back(cluster: FakeCluster) -> None:
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
        before = {key: value for key, value in cluster.objects.items() if key[0] in CHILD_KINDS}
        (config,) = config_maps(cluster)
        for kind, name in (("Service", "alerts"), ("ConfigMap", config), ("ServiceAccount", "alerts")):
            cluster.remove(kind, name)
            await running.until(lambda kind=kind, name=name: (kind, "default", name) in cluster.objects)

        def scale(document: Document) -> None:
            document["spec"]["replicas"] = 7

        def unbudget(document: Document) -> None:
            document["spec"]["maxUnavailable"] = 0

        def unlabel(document: Document) -> None:
            del document["metadata"]["labels"]["app.kubernetes.io/managed-by"]

        cluster.edit("Deployment", "alerts", scale)
        cluster.edit("PodDisruptionBudget", "alerts", unbudget)
        cluster.edit("Service", "alerts", unlabel)
        await running.until(
            lambda: (
                cluster.get_now("Deployment", "alerts")["spec"]["replicas"] == 1
                and cluster.get_now("PodDisruptionBudget", "alerts")["spec"]["maxUnavailable"] == 1
                and "app.kubernetes.io/managed-by"
                in cluster.get_now("Service", "alerts")["metadata"]["labels"]
            )
        )
        cluster.roll_out()
        await running.rest()
        for key, value in before.items():
            assert cluster.objects[key].get("spec") == value.get("spec")
            assert cluster.objects[key].get("data") == value.get("data")
        assert any(event["reason"] == "Repaired" for event in cluster.events)


async def test_ten_edits_in_a_second_make_one_change(cluster: FakeCluster) -> None:
    furnish(cluster)
    async with start(cluster, debounce=0.3) as running:
        await made(running)
        cluster.requests.clear()
        for hours in range(1, 11):

            def edit(document: Document, hours: int = hours) -> None:
                document["spec"]["delivery"] = {"expiry": f"{hours}h"}

            cluster.edit("PushDomain", "alerts", edit)
            await asyncio.sleep(0.01)
        await running.until(
            lambda: any(request[:2] == ("APPLY", "ConfigMap") for request in cluster.requests)
        )
        await running.rest()
        assert sum(request[:2] == ("APPLY", "ConfigMap") for request in cluster.requests) == 1
        (config,) = config_maps(cluster)
        assert '"expiry":36000.0' in cluster.get_now("ConfigMap", config)["data"]["config.json"]


async def test_a_change_reaches_exactly_its_users(cluster: FakeCluster) -> None:
    furnish(cluster)
    cluster.put(secret_document("other"))
    cluster.put(route("second", certificate={"secretName": "other"}))
    cluster.put(push_domain("bystander", routes=["second"], replicas=0))
    cluster.put(logger())
    async with start(cluster) as running:
        await made(running)
        cluster.requests.clear()
        cluster.put(secret_document())
        await running.until(lambda: ("GET", "Secret", "cert") in cluster.requests)
        await running.rest()
        names = {name.split("/")[0] for _, _, name in cluster.requests}
        assert names <= {"cert", "alerts", "apns"} | set(config_maps(cluster))


async def test_a_foreign_service_is_left_alone_until_it_goes(cluster: FakeCluster) -> None:
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "alerts"}, "spec": {"mine": True}}
    cluster.put(foreign)
    furnish(cluster)
    async with start(cluster) as running:
        await running.until(lambda: cluster.condition("alerts")[1] == "NameConflict")
        assert cluster.get_now("Service", "alerts")["spec"] == {"mine": True}
        assert "ownerReferences" not in cluster.get_now("Service", "alerts")["metadata"]
        cluster.remove("Service", "alerts")
        running.leadership.controller.enqueue_all()
        await made(running)


async def test_what_is_restored_without_owners_is_taken_back(cluster: FakeCluster) -> None:
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
    backup = [document for key, document in cluster.objects.items() if key[0] in CHILDREN]
    cluster.remove("PushDomain", "alerts")
    cluster.events.clear()
    # As Velero does it: children before custom resources, without references or status.
    for document in backup:
        kept = {
            key: value
            for key, value in document["metadata"].items()
            if key in {"name", "labels", "annotations"}
        }
        cluster.put({**without_status(document), "metadata": kept})
    cluster.put(push_domain())
    async with start(cluster) as running:
        await made(running)
        uid = cluster.get_now("PushDomain", "alerts")["metadata"]["uid"]
        for kind, _, name in cluster.objects:
            if kind in CHILDREN:
                (owner,) = cluster.get_now(kind, name)["metadata"]["ownerReferences"]
                assert owner["uid"] == uid
        (event,) = [event for event in cluster.events if event["reason"] == "Adopted"]
        assert "Deployment alerts" in event["message"]
        assert not [event for event in cluster.events if event["reason"] == "Repaired"]
        cluster.requests.clear()
        running.leadership.controller.enqueue_all()
        await running.rest()
        assert cluster.requests == []


async def test_what_the_server_fills_in_is_nobody_s_even_where_a_restore_named_it(
    cluster: FakeCluster,
) -> None:
    """`kubectl create` of a backup makes its writer the owner of every default."""
    restored = {
        "manager": "kubectl-create",
        "fieldsV1": {"f:spec": {"f:minReadySeconds": {}, "f:paused": {}}},
    }

    def default(document: Document) -> None:
        if document["kind"] == "Deployment":
            document["spec"].setdefault("minReadySeconds", 0)

    def restore(document: Document) -> None:
        document["spec"] |= {"minReadySeconds": 0, "paused": True}
        document["metadata"]["managedFields"] = [restored]

    cluster.default = default
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
        cluster.edit("Deployment", "alerts", restore)
        await running.until(lambda: "paused" not in cluster.get_now("Deployment", "alerts")["spec"])
        cluster.edit("Deployment", "alerts", lambda it: it["metadata"].update(managedFields=[restored]))
        await running.rest()
        cluster.requests.clear()
        for _ in range(3):
            cluster.roll_out()
            await running.rest()
        assert [request for request in cluster.writes() if request[1] == "Deployment"] == []
        assert cluster.get_now("Deployment", "alerts")["spec"]["minReadySeconds"] == 0
    cluster.requests.clear()
    async with start(cluster) as running:
        await running.rest()
        assert ("TRY", "Deployment", "alerts") in cluster.requests
        assert cluster.writes() == []
        assert cluster.condition("alerts") == ("True", "Ready")


async def test_a_status_that_somebody_else_wrote_is_put_back(cluster: FakeCluster) -> None:
    furnish(cluster)

    def forge(document: Document) -> None:
        document["status"] = {
            "conditions": [{"type": "Ready", "status": "False", "reason": "Me", "message": ""}]
        }

    async with start(cluster) as running:
        await made(running)
        for kind, name in (("PushDomain", "alerts"), ("ApnRoute", "apns")):
            before = cluster.get_now(kind, name)["status"]
            cluster.edit(kind, name, forge)
            await running.until(lambda kind=kind, name=name: cluster.condition(name, of=kind)[0] == "True")
            await running.rest()
            after = cluster.get_now(kind, name)["status"]
            assert {item["type"] for item in after["conditions"]} == {
                item["type"] for item in before["conditions"]
            }


async def test_the_last_good_configuration_stays_until_the_reference_is_mended(cluster: FakeCluster) -> None:
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
        (config,) = config_maps(cluster)
        good = cluster.get_now("ConfigMap", config)["data"]
        template = cluster.get_now("Deployment", "alerts")["spec"]["template"]
        route_document = cluster.get_now("ApnRoute", "apns")
        cluster.remove("ApnRoute", "apns")
        await running.until(lambda: cluster.condition("alerts") == ("False", "RouteNotFound"))
        await running.rest()
        assert cluster.get_now("ConfigMap", config)["data"] == good
        assert cluster.get_now("Deployment", "alerts")["spec"]["template"] == template
        cluster.put(without_status(route_document))
        await running.until(lambda: cluster.condition("alerts")[0] == "True")


async def test_a_new_secret_rolls_and_the_old_configuration_goes_with_its_last_pod(
    cluster: FakeCluster,
) -> None:
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
        (old,) = config_maps(cluster)
        cluster.start_pod("alerts-1")
        cluster.put(secret_document("renewed"))

        def rename(document: Document) -> None:
            document["spec"]["certificate"]["secretName"] = "renewed"

        cluster.edit("ApnRoute", "apns", rename)
        await running.until(lambda: len(config_maps(cluster)) == 2)
        await running.rest()
        cluster.roll_out()
        await running.rest()
        assert old in config_maps(cluster)
        cluster.remove("Pod", "alerts-1")
        await running.until(lambda: old not in config_maps(cluster))
        volumes = cluster.get_now("Deployment", "alerts")["spec"]["template"]["spec"]["volumes"]
        assert [volume["secret"]["secretName"] for volume in volumes if "secret" in volume] == ["renewed"]


async def test_contents_reload_and_the_status_waits_for_the_pods(cluster: FakeCluster) -> None:
    furnish(cluster)
    pods = FakePods()
    async with start(cluster, pods) as running:
        await made(running)
        cluster.start_pod("alerts-1", ip="10.0.0.7")
        digest = cluster.get_now("PushDomain", "alerts")["status"]["config"]["hash"]
        pods.reports["10.0.0.7"] = PodReport(digest)
        await running.until(lambda: pods.asked)
        await running.rest()
        template = cluster.get_now("Deployment", "alerts")["spec"]["template"]
        annotations = cluster.get_now("Pod", "alerts-1")["metadata"]["annotations"]
        assert annotations["tubepost.io/refresh"] == digest
        transition = _since(cluster)
        cluster.put(secret_document())
        await running.until(
            lambda: (
                cluster.get_now("Pod", "alerts-1")["metadata"]["annotations"]["tubepost.io/refresh"] != digest
            )
        )
        newer = cluster.get_now("Pod", "alerts-1")["metadata"]["annotations"]["tubepost.io/refresh"]
        assert cluster.get_now("PushDomain", "alerts")["status"]["config"]["hash"] == digest
        pods.reports["10.0.0.7"] = PodReport(newer)
        await running.until(
            lambda: cluster.get_now("PushDomain", "alerts")["status"]["config"]["hash"] == newer
        )
        # Taken in time: no edit has a status flap.
        assert _since(cluster) == transition
        assert cluster.get_now("Deployment", "alerts")["spec"]["template"] == template


def _since(cluster: FakeCluster) -> list[tuple[str, str]]:
    conditions = cluster.get_now("PushDomain", "alerts")["status"]["conditions"]
    return [(item["type"], item["lastTransitionTime"]) for item in conditions if item["type"] != "Delivering"]


async def test_an_upgrade_of_the_operator_rolls_a_few_at_a_time(cluster: FakeCluster) -> None:
    names = [f"domain-{number}" for number in range(5)]
    cluster.put(secret_document())
    cluster.put(route())
    for name in names:
        cluster.put(push_domain(name))
    async with start(cluster) as running:
        await running.until(lambda: all(("Deployment", "default", name) in cluster.objects for name in names))
        await running.rest()
        for name in names:
            cluster.roll_out(name)
        await running.rest()

    def rolled() -> list[str]:
        return [
            name
            for name in names
            if cluster.get_now("Deployment", name)["spec"]["template"]["spec"]["containers"][0]["image"]
            == "new:1"
        ]

    async with start(cluster, release=ReleaseSettings(image="new:1"), upgrades_at_a_time=2) as running:
        await running.rest()
        assert len(rolled()) == 2
        for expected in (4, 5):
            for name in rolled():
                cluster.roll_out(name)
            await running.until(lambda expected=expected: len(rolled()) == expected)
            await running.rest()
            assert len(rolled()) == expected


async def test_push_domains_that_never_ran_do_not_hold_up_an_upgrade(cluster: FakeCluster) -> None:
    furnish(cluster)
    cluster.put(push_domain("broken", routes=["nowhere"]))
    async with start(cluster) as running:
        await made(running)
    release = ReleaseSettings(image="new:1")
    async with start(cluster, release=release, upgrades_at_a_time=1) as running:
        await running.until(
            lambda: (
                cluster.get_now("Deployment", "alerts")["spec"]["template"]["spec"]["containers"][0]["image"]
                == "new:1"
            )
        )


async def test_a_roll_that_was_under_way_at_the_start_has_its_place(cluster: FakeCluster) -> None:
    names = {"alerts", "other"}
    furnish(cluster)
    cluster.put(push_domain("other"))
    async with start(cluster) as running:
        await made(running)
        await running.until(lambda: ("Deployment", "default", "other") in cluster.objects)
        cluster.roll_out("other")
        await running.rest()

    def rolled() -> set[str]:
        templates = {name: cluster.get_now("Deployment", name)["spec"]["template"] for name in names}
        return {name for name in names if templates[name]["spec"]["containers"][0]["image"] == "new:1"}

    release = ReleaseSettings(image="new:1")
    async with start(cluster, release=release, upgrades_at_a_time=1) as running:
        await running.until(rolled)
        await running.rest()
    (first,) = rolled()

    def halfway(document: Document) -> None:
        document["status"] = {"updatedReplicas": 1, "replicas": 2, "availableReplicas": 1}

    cluster.edit("Deployment", first, halfway)
    for number in range(2):
        pod = cluster.start_pod(f"{first}-{number}", first, ip=f"10.0.0.{number}")
        template = cluster.get_now("Deployment", first)["spec"]["template"]
        pod["metadata"]["annotations"] = dict(template["metadata"]["annotations"])
        cluster.put(pod)
    async with start(cluster, release=release, upgrades_at_a_time=1) as running:
        await running.rest()
        assert rolled() == {first}
        cluster.remove("Pod", f"{first}-0")
        cluster.roll_out(first)
        await running.until(lambda: rolled() == names)


async def test_nothing_is_started_with_somebody_else_s_account(cluster: FakeCluster) -> None:
    furnish(cluster)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "alerts"}}
    account["metadata"]["namespace"] = "default"  # type: ignore[index]
    cluster.put(account)
    async with start(cluster) as running:
        await running.until(lambda: cluster.condition("alerts") == ("False", "NameConflict"))
        await running.rest()
        assert ("Deployment", "default", "alerts") not in cluster.objects


async def test_a_user_s_change_does_not_wait_for_the_upgrade(cluster: FakeCluster) -> None:
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
    async with start(cluster, release=ReleaseSettings(image="new:1"), upgrades_at_a_time=1) as running:
        for other in range(3):
            running.leadership.controller.rollouts.started(Key("PushDomain", "x", str(other)))

        def edit(document: Document) -> None:
            document["spec"]["podTemplate"] = {"labels": {"team": "push"}}

        cluster.edit("PushDomain", "alerts", edit)
        await running.until(
            lambda: cluster.get_now("Deployment", "alerts")["spec"]["template"]["metadata"]["labels"].get(
                "team"
            )
        )


async def test_what_the_server_refuses_is_a_condition(cluster: FakeCluster) -> None:
    furnish(cluster)
    cluster.fail = lambda verb, kind, _: (
        ApiError(422, "spec.template: forbidden by a policy")
        if (verb, kind) == ("APPLY", "Deployment")
        else None
    )
    async with start(cluster) as running:
        await running.until(lambda: cluster.condition("alerts") == ("False", "Rejected"))
        assert ("APPLY", "Service", "alerts") in cluster.requests
        cluster.fail = lambda *_: None
        running.leadership.controller.enqueue_all()
        await made(running)


async def test_an_error_of_the_server_that_does_not_pass_is_a_condition(cluster: FakeCluster) -> None:
    furnish(cluster)
    failures = 0

    def fail(verb: str, kind: str, _: str) -> ApiError | None:
        nonlocal failures
        if (verb, kind) != ("APPLY", "Deployment"):
            return None
        failures += 1
        return ApiError(500, "failed to create typed patch object")

    cluster.fail = fail
    async with start(cluster) as running:
        await running.until(lambda: failures == 2)
        # It may still be a passing trouble of the server: nothing is said against the object.
        assert cluster.condition("alerts")[1] != "Rejected"
        await running.until(lambda: cluster.condition("alerts") == ("False", "Rejected"))
        assert failures >= 3
        cluster.fail = lambda *_: None
        running.leadership.controller.enqueue_all()
        await made(running)


async def test_what_may_not_be_read_is_a_condition_and_ends_by_itself(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller_module, "REFUSED_PAUSE", 0.05)
    furnish(cluster)
    words = 'services "alerts" is forbidden: User "operator" cannot get resource "services"'
    cluster.fail = lambda verb, kind, _: ApiError(403, words) if (verb, kind) == ("GET", "Service") else None
    async with start(cluster) as running:
        await running.until(lambda: cluster.condition("alerts") == ("False", "NoAccess"))
        assert cluster.condition("alerts", "Programmed") == ("False", "NoAccess")
        (event,) = [event for event in cluster.events if event["reason"] == "NoAccess"]
        assert words in event["message"]
        assert "Remedy: give the operator's account this permission" in event["message"]
        await running.until(lambda: cluster.condition("apns", of="ApnRoute") == ("True", "Ready"))
        cluster.fail = lambda *_: None
        await made(running)


async def test_a_fault_of_the_operator_is_a_condition_once_it_lasts(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(cluster)
    monkeypatch.setattr(controller_module, "plan_route", lambda _: {}["bug"])
    async with start(cluster) as running:
        running.leadership.controller.queue._delays = Exponential(0.01, 0.02)
        await running.until(lambda: cluster.condition("apns", of="ApnRoute") == ("False", "OperatorError"))
        await running.until(lambda: cluster.condition("alerts", "Accepted")[0] == "True")


async def test_passing_errors_are_tried_again_with_back_off(cluster: FakeCluster) -> None:
    furnish(cluster)
    failures = iter([ApiError(503, "busy"), ApiError(0, "no answer")])
    cluster.fail = lambda verb, kind, _: (
        next(failures, None) if (verb, kind) == ("APPLY", "ConfigMap") else None
    )
    async with start(cluster) as running:
        await made(running)
        text = generate_latest(running.metrics.registry).decode()
    assert 'tubepost_operator_errors_total{class="server",kind="PushDomain"} 1.0' in text
    assert 'tubepost_operator_errors_total{class="connection",kind="PushDomain"} 1.0' in text


async def test_a_removed_push_domain_takes_its_children_along(cluster: FakeCluster) -> None:
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
        cluster.remove("PushDomain", "alerts")
        await running.rest()
        assert not {kind for kind, _, _ in cluster.objects} & CHILD_KINDS
        await running.until(lambda: cluster.condition("apns", of="ApnRoute") == ("True", "NotUsed"))


async def test_a_disabled_network_policy_goes(cluster: FakeCluster) -> None:
    furnish(cluster)
    async with start(cluster, network_policies=True) as running:
        await made(running)
        assert ("NetworkPolicy", "default", "alerts") in cluster.objects
    async with start(cluster) as running:
        await running.until(lambda: ("NetworkPolicy", "default", "alerts") not in cluster.objects)


async def test_only_what_the_role_permits_is_asked_for(cluster: FakeCluster) -> None:
    verbs = {
        "GET": "get",
        "LIST": "list",
        "WATCH": "watch",
        "APPLY": "patch",
        "TRY": "patch",
        "PATCH": "patch",
        "CREATE": "create",
        "DELETE": "delete",
    }
    permitted = {
        (resource, verb) for item in PERMISSIONS for resource in item.resources for verb in item.verbs
    }
    plurals = {kind.name: kind.plural for kind in (*OWN.values(), *RELATED.values())}
    plurals |= {"Secret": "secrets", "Pod": "pods", "Event": "events"}
    furnish(cluster)
    async with start(cluster, network_policies=True) as running:
        await made(running)
        cluster.start_pod("alerts-1")
        await running.rest()
    async with start(cluster) as running:
        await running.rest()
    for verb, kind, name in cluster.requests:
        resource = plurals[kind] + ("/status" if name.endswith("/status") else "")
        assert (resource, verbs[verb]) in permitted, (verb, kind, name)


async def test_a_push_domain_costs_few_requests_and_an_edit_three(cluster: FakeCluster) -> None:
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
        made_of = Counter(verb for verb, kind, _ in cluster.requests if kind in {*CHILD_KINDS, "Secret"})
        # Names are looked up before they are taken; the Deployment again once it has rolled out.
        assert (made_of["APPLY"], made_of["GET"]) == (5, 7)
        cluster.requests.clear()

        def edit(document: Document) -> None:
            document["spec"]["delivery"] = {"expiry": "2h"}

        cluster.edit("PushDomain", "alerts", edit)
        await running.until(lambda: len(cluster.requests) >= 3)
        await running.rest()
        assert sorted((verb, kind) for verb, kind, _ in cluster.requests) == [
            ("APPLY", "ConfigMap"),
            ("CREATE", "Event"),
            ("PATCH", "PushDomain"),
        ]


async def test_a_reconcile_builds_the_manifests_once(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = 0

    def count(arranged: Arrangement) -> dict[Key, Document]:
        nonlocal built
        built += 1
        return wanted_children(arranged)

    monkeypatch.setattr(push_domain_module, "wanted_children", count)
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
        controller = running.leadership.controller
        before = built
        await controller.reconcile(Key("PushDomain", "default", "alerts"))
        assert built == before + 1


async def test_a_suspension_ends_at_its_time_and_the_spec_stays(cluster: FakeCluster) -> None:
    furnish(cluster)

    def until(end: datetime) -> Callable[[Document], None]:
        text = Suspension("alice", "INC-7", "2026-11-30T12:00:00Z", end.isoformat()).text()
        return lambda document: document["metadata"].update(annotations={ANNOTATION: text})

    def published() -> str:
        name = cluster.get_now("PushDomain", "alerts")["status"]["config"]["name"]
        return str(cluster.get_now("ConfigMap", name)["data"]["config.json"])

    async with start(cluster) as running:
        await made(running)
        spec = copy.deepcopy(cluster.get_now("PushDomain", "alerts")["spec"])
        cluster.edit("PushDomain", "alerts", until(datetime.now(UTC) + timedelta(hours=1)))
        await running.until(lambda: cluster.condition("alerts", "Delivering") == ("False", "Suspended"))
        assert '"mode":"Suspend"' in published()
        cluster.edit("PushDomain", "alerts", until(datetime.now(UTC) + timedelta(seconds=0.2)))
        await running.until(lambda: cluster.condition("alerts", "Delivering")[1] != "Suspended")
        assert '"mode":"Suspend"' not in published()
        assert cluster.get_now("PushDomain", "alerts")["spec"] == spec
