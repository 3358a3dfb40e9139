"""A PushDomain moves between workloads: the operator on a cluster in memory, pods that say what they have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.operator.conftest import Running, furnish, made, start
from tests.operator.fake import FakeCluster, FakePods
from tubepost_operator.api import ApiError
from tubepost_operator.observed import Document, PodReport
from tubepost_operator.plan import push_domain as module

CLAIM: Document = {"disk": {"claim": {"size": "1Gi"}}}


class Saying(FakePods):
    """Pods that are three seconds older whenever they are asked."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    async def ask(self, url: str) -> PodReport:
        self.seconds += 3.0
        return replace(await super().ask(url), at=self.seconds)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "LITTLE_LEFT", (200, 0.01))
    return iter(())


def queued(document: Document) -> None:
    document["spec"] |= {"acceptance": {"mode": "Queued"}, "queue": CLAIM}


def direct(document: Document) -> None:
    del document["spec"]["acceptance"], document["spec"]["queue"]


def workloads(cluster: FakeCluster) -> set[str]:
    return {kind for kind, _, _ in cluster.objects} & {"Deployment", "StatefulSet"}


def serving(cluster: FakeCluster, workload: str) -> bool:
    """Whether the configuration of a workload's pods tells somebody to retire."""
    name = cluster.get_now(workload, "alerts")["metadata"]["annotations"]["tubepost.io/config"]
    return '"serving":' in cluster.get_now("ConfigMap", name)["data"]["config.json"]


def told(cluster: FakeCluster) -> bool:
    """Whether the status is about the StatefulSet's configuration."""
    status = cluster.get_now("PushDomain", "alerts").get("status", {})
    annotations = cluster.get_now("StatefulSet", "alerts")["metadata"]["annotations"]
    return bool(status.get("config", {}).get("name") == annotations["tubepost.io/config"])


def digest(cluster: FakeCluster) -> str:
    return str(cluster.get_now("PushDomain", "alerts")["status"]["config"]["hash"])


async def on_claims(running: Running, pods: Saying, replicas: int = 1) -> None:
    """The StatefulSet and its pods, and nothing else."""
    cluster = running.cluster
    await running.until(lambda: "StatefulSet" in workloads(cluster) and told(cluster))
    cluster.roll_out(kind="StatefulSet")
    for number in range(replicas):
        start_pod(cluster, number)
        pods.reports[f"10.0.1.{number}"] = PodReport(digest(cluster), queued=4)
    await running.until(lambda: workloads(cluster) == {"StatefulSet"})
    await running.until(lambda: cluster.condition("alerts") == ("True", "Ready"))


def start_pod(cluster: FakeCluster, number: int) -> None:
    template = cluster.get_now("StatefulSet", "alerts")["spec"]["template"]
    owner = {"kind": "StatefulSet", "name": "alerts", "uid": "uid-s", "controller": True}
    cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"alerts-{number}", "ownerReferences": [owner], **template["metadata"]},
            "spec": template["spec"],
            "status": {
                "podIP": f"10.0.1.{number}",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"state": {"running": {}}}],
            },
        }
    )


async def looks(running: Running, pods: Saying, times: int) -> None:
    """The operator has asked pods so many times more."""
    goal = len(pods.asked) + times
    await running.until(lambda: len(pods.asked) >= goal)


async def test_from_direct_to_a_claim_and_back(cluster: FakeCluster) -> None:
    furnish(cluster)
    pods = Saying()
    async with start(cluster, pods) as running:
        await made(running)
        cluster.edit("PushDomain", "alerts", queued)
        await running.until(lambda: "StatefulSet" in workloads(cluster))
        await running.rest()
        assert workloads(cluster) == {"Deployment", "StatefulSet"}, "until the new one is ready"
        await on_claims(running, pods)
        assert cluster.condition("alerts", "QueueDurable") == ("True", "Persistent")

        cluster.edit("PushDomain", "alerts", direct)
        await running.until(lambda: "Deployment" in workloads(cluster))
        await looks(running, pods, 5)
        assert not serving(cluster, "StatefulSet"), "both serve"
        cluster.roll_out()
        await running.until(lambda: serving(cluster, "StatefulSet"))
        pods.reports["10.0.1.0"] = PodReport("retired", queued=4, retiring=True)
        await running.until(lambda: cluster.condition("alerts", "QueueSettled") == ("False", "QueueDraining"))
        await running.until(lambda: cluster.condition("alerts") == ("True", "Ready"))
        await looks(running, pods, 20)
        assert "StatefulSet" in workloads(cluster)
        pods.reports["10.0.1.0"] = PodReport("retired", queued=0, retiring=True)
        await running.until(lambda: workloads(cluster) == {"Deployment"})
        cluster.remove("Pod", "alerts-0")
        await running.until(lambda: cluster.condition("alerts", "QueueSettled") == ("", ""))
        await running.until(lambda: sum(kind == "ConfigMap" for kind, _, _ in cluster.objects) == 1)


async def test_fewer_replicas_on_claims(cluster: FakeCluster) -> None:
    furnish(cluster, replicas=3, acceptance={"mode": "Queued"}, queue=CLAIM)
    pods = Saying()
    async with start(cluster, pods) as running:
        await on_claims(running, pods, replicas=3)
        cluster.edit("PushDomain", "alerts", lambda document: document["spec"].update(replicas=1))
        await running.until(lambda: serving(cluster, "StatefulSet"))
        assert cluster.get_now("StatefulSet", "alerts")["spec"]["replicas"] == 3
        assert cluster.get_now("PodDisruptionBudget", "alerts")["spec"]["maxUnavailable"] == 3
        pods.reports["10.0.1.2"] = PodReport("x", queued=0, retiring=True)
        await running.until(lambda: cluster.get_now("StatefulSet", "alerts")["spec"]["replicas"] == 2)
        pods.reports["10.0.1.1"] = PodReport("x", queued=0, retiring=True)
        await running.until(lambda: cluster.get_now("StatefulSet", "alerts")["spec"]["replicas"] == 1)
        for number in (1, 2):
            cluster.remove("Pod", f"alerts-{number}")
        await running.until(lambda: not serving(cluster, "StatefulSet"))


async def test_by_the_users_word_a_queue_is_given_up(cluster: FakeCluster) -> None:
    furnish(cluster, acceptance={"mode": "Queued"}, queue=CLAIM)
    pods = Saying()
    async with start(cluster, pods) as running:
        await on_claims(running, pods)
        cluster.edit("PushDomain", "alerts", direct)
        await running.until(lambda: "Deployment" in workloads(cluster))
        cluster.roll_out()
        await running.until(lambda: cluster.condition("alerts", "QueueSettled") == ("False", "QueueDraining"))
        generation = cluster.get_now("PushDomain", "alerts")["metadata"]["generation"]

        def give_up(document: Document) -> None:
            document["metadata"]["annotations"] = {"tubepost.io/abandon-queue": str(generation)}

        cluster.edit("PushDomain", "alerts", give_up)
        await running.until(lambda: workloads(cluster) == {"Deployment"})
        await running.until(lambda: any(event["reason"] == "QueueAbandoned" for event in cluster.events))


async def test_a_claim_grows_or_it_is_said_that_it_cannot(cluster: FakeCluster) -> None:
    furnish(cluster, acceptance={"mode": "Queued"}, queue=CLAIM)
    pods = Saying()
    async with start(cluster, pods) as running:
        await on_claims(running, pods)
        labels = cluster.get_now("StatefulSet", "alerts")["metadata"]["labels"]
        cluster.put(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "queue-alerts-0", "labels": labels},
                "spec": {"resources": {"requests": {"storage": "1Gi"}}},
                "status": {"phase": "Bound"},
            }
        )

        wanted = "2Gi"

        def grow(document: Document) -> None:
            document["spec"]["queue"] = {"disk": {"claim": {"size": wanted}}}

        def size() -> str:
            claim = cluster.get_now("PersistentVolumeClaim", "queue-alerts-0")
            return str(claim["spec"]["resources"]["requests"]["storage"])

        cluster.edit("PushDomain", "alerts", grow)
        await running.until(lambda: size() == "2Gi")
        await running.rest()
        template = cluster.get_now("StatefulSet", "alerts")["spec"]["volumeClaimTemplates"][0]
        assert template["spec"]["resources"]["requests"]["storage"] == "1Gi", "it cannot be changed"
        assert cluster.condition("alerts") == ("True", "Ready")

        def fail(verb: str, kind: str, _: str) -> ApiError | None:
            text = "only dynamically provisioned pvc can be resized"
            return ApiError(403, text) if (verb, kind) == ("PATCH", "PersistentVolumeClaim") else None

        cluster.fail, wanted = fail, "3Gi"
        cluster.edit("PushDomain", "alerts", grow)
        await running.until(lambda: cluster.condition("alerts") == ("False", "Rejected"))
        conditions = cluster.get_now("PushDomain", "alerts")["status"]["conditions"]
        message = next(item["message"] for item in conditions if item["type"] == "Ready")
        assert "PersistentVolumeClaim default/queue-alerts-0: only dynamically provisioned" in message
        assert "Remedy: allow expansion in the StorageClass" in message


async def test_a_stateful_set_that_somebody_changes_or_deletes_is_put_back(cluster: FakeCluster) -> None:
    furnish(cluster, acceptance={"mode": "Queued"}, queue=CLAIM)
    pods = Saying()
    async with start(cluster, pods) as running:
        await on_claims(running, pods)
        wanted = cluster.get_now("StatefulSet", "alerts")["spec"]

        def as_wanted() -> bool:
            return bool(cluster.get_now("StatefulSet", "alerts")["spec"] == wanted)

        def no_roll(document: Document) -> None:
            document["spec"] = {**document["spec"], "updateStrategy": {"type": "OnDelete"}}

        def scale(document: Document) -> None:
            document["spec"] = {**document["spec"], "replicas": 7}

        cluster.edit("StatefulSet", "alerts", no_roll)
        await running.until(as_wanted)
        # What takes mail meanwhile is emptied first; here it has no claims yet.
        cluster.edit("StatefulSet", "alerts", scale)
        await running.until(as_wanted)
        cluster.remove("StatefulSet", "alerts")
        await running.until(lambda: "StatefulSet" in workloads(cluster))
        assert as_wanted()
        assert workloads(cluster) == {"StatefulSet"}
        await running.until(lambda: sum(event["reason"] == "Repaired" for event in cluster.events) >= 2)


def put_claim(cluster: FakeCluster, number: int) -> None:
    labels = cluster.get_now("StatefulSet", "alerts")["metadata"]["labels"]
    cluster.put(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": f"queue-alerts-{number}", "labels": labels},
            "spec": {"resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": "Bound"},
        }
    )


def start_drain(cluster: FakeCluster, number: int) -> None:
    template = cluster.get_now("Deployment", f"alerts-drain-{number}")["spec"]["template"]
    owner = {"kind": "ReplicaSet", "name": "alerts-drain", "uid": "uid-r", "controller": True}
    cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"alerts-drain-{number}-x",
                "ownerReferences": [owner],
                **template["metadata"],
            },
            "spec": template["spec"],
            "status": {
                "podIP": f"10.0.2.{number}",
                "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [{"state": {"running": {}}}],
            },
        }
    )


def marked(cluster: FakeCluster, number: int) -> bool:
    claim = cluster.get_now("PersistentVolumeClaim", f"queue-alerts-{number}")
    return "tubepost.io/drained" in claim["metadata"].get("annotations", {})


async def test_a_claim_that_was_left_behind_is_emptied_by_a_pod_of_its_own_and_then_deleted(
    cluster: FakeCluster,
) -> None:
    policy = {"disk": {"claim": {"size": "1Gi", "whenScaled": "Delete"}}}
    furnish(cluster, acceptance={"mode": "Queued"}, queue=policy)
    pods = Saying()
    async with start(cluster, pods) as running:
        await on_claims(running, pods)
        put_claim(cluster, 0)
        put_claim(cluster, 1)
        await running.until(lambda: ("Deployment", "default", "alerts-drain-1") in cluster.objects)
        await running.until(lambda: cluster.condition("alerts", "QueueSettled") == ("False", "ClaimDraining"))
        assert cluster.condition("alerts") == ("True", "Ready")
        assert running.metrics.registry.get_sample_value("tubepost_operator_claims_left") == 1
        start_drain(cluster, 1)
        pods.reports["10.0.2.1"] = PodReport("x", queued=4, retiring=True)
        await looks(running, pods, 5)
        assert not marked(cluster, 1)
        pods.reports["10.0.2.1"] = PodReport("x", queued=0, retiring=True)
        await running.until(lambda: ("Deployment", "default", "alerts-drain-1") not in cluster.objects)
        assert marked(cluster, 1), "it stays until its pod has gone"
        cluster.remove("Pod", "alerts-drain-1-x")
        await running.until(
            lambda: ("PersistentVolumeClaim", "default", "queue-alerts-1") not in cluster.objects
        )
        await running.until(lambda: cluster.condition("alerts", "QueueSettled") == ("True", "Settled"))
        await running.rest()
        assert running.metrics.registry.get_sample_value("tubepost_operator_claims_left") == 0
        assert ("PersistentVolumeClaim", "default", "queue-alerts-0") in cluster.objects
        reasons = [event["reason"] for event in cluster.events]
        order = ["ClaimAdopted", "ClaimDrained", "ClaimDeleted"]
        assert [reason for reason in reasons if reason in order] == order
        assert "Repaired" not in reasons


async def test_claims_of_ordinals_that_went_empty_are_marked_and_used_again(cluster: FakeCluster) -> None:
    furnish(cluster, replicas=2, acceptance={"mode": "Queued"}, queue=CLAIM)
    pods = Saying()
    async with start(cluster, pods) as running:
        await on_claims(running, pods, replicas=2)
        for number in range(2):
            put_claim(cluster, number)
        cluster.edit("PushDomain", "alerts", lambda document: document["spec"].update(replicas=1))
        await running.until(lambda: serving(cluster, "StatefulSet"))
        pods.reports["10.0.1.1"] = PodReport("x", queued=0, retiring=True)
        await running.until(lambda: cluster.get_now("StatefulSet", "alerts")["spec"]["replicas"] == 1)
        assert marked(cluster, 1)
        cluster.remove("Pod", "alerts-1")
        await running.until(lambda: not serving(cluster, "StatefulSet"))
        await running.rest()
        assert workloads(cluster) == {"StatefulSet"}, "nothing is drained"
        cluster.edit("PushDomain", "alerts", lambda document: document["spec"].update(replicas=2))
        await running.until(lambda: cluster.get_now("StatefulSet", "alerts")["spec"]["replicas"] == 2)
        assert not marked(cluster, 1)
        mark = ("PATCH", "PersistentVolumeClaim", "queue-alerts-1")
        scale = ("APPLY", "StatefulSet", "alerts")
        last = [request for request in cluster.requests if request in {mark, scale}][-2:]
        assert last == [mark, scale], "the mark goes first"
