"""Queues on persistent claims: pods come and go and workloads change under load, and nothing is lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.e2e.operating import Operated, figure
from tests.cluster.e2e.release import Release
from tests.cluster.faults import Faults
from tests.cluster.handle import Cluster

LATENCY = 400
"""Milliseconds of the simulator: with 50 messages a second there are always some in the queue."""


@pytest.fixture
def operated(cluster: Cluster, namespace: str, tmp_path: Path, faults: Faults) -> Operated:
    """The chart, a PushDomain that is Direct, and two volumes."""
    assert faults is cluster.faults
    found = Operated(Release(cluster, namespace, tmp_path))
    for number in range(2):
        cluster.volume(f"{namespace}-{number}", storage_class=namespace)
    found.install()
    found.chaos(latencyMs=LATENCY)
    return found


def on_claims(operated: Operated, replicas: int) -> Mapping[str, Any]:
    """What a spec says for Queued on claims."""
    claim = {"size": "1Gi", "storageClassName": operated.namespace}
    return {"acceptance": {"mode": "Queued"}, "queue": {"disk": {"claim": claim}}, "replicas": replicas}


def workloads(operated: Operated) -> set[str]:
    """Kinds of the dispatchers' workloads."""
    found = operated.release.cluster.get(
        "deployments,statefulsets", operated.place, "-l", "tubepost.io/push-domain=alerts"
    )
    return {item["kind"] for item in found["items"]}


def moved(operated: Operated, kind: str, timeout: float = 180) -> None:
    """Wait until there is this workload alone, and all is well."""
    operated.release.cluster.until(
        f"a {kind} and nothing else", lambda: workloads(operated) == {kind}, timeout
    )
    operated.ready(timeout=60)


def owners(operated: Operated) -> set[str]:
    """Kinds of what the pods belong to, of those about to go too."""
    pods = operated.pods(leaving=True)
    return {owner["kind"] for pod in pods for owner in pod["metadata"]["ownerReferences"]}


@pytest.mark.timeout(900, func_only=True)
def test_direct_becomes_queued_on_claims_and_direct_again_and_nothing_is_lost_or_refused(
    operated: Operated,
) -> None:
    cluster = operated.release.cluster
    with operated.traffic() as traffic:
        operated.patch("pushdomain", "alerts", **on_claims(operated, 1))
        moved(operated, "StatefulSet")
        assert operated.condition("QueueDurable")[:2] == ("True", "Persistent")
        traffic.more(200)

        operated.patch("pushdomain", "alerts", acceptance={"mode": "Direct"}, queue=None)
        cluster.until(
            "a pod that is waited for", lambda: operated.condition("QueueSettled")[1] == "QueueDraining"
        )
        figure(operated.condition("QueueSettled")[2])
        moved(operated, "Deployment")
        cluster.until("the end of the old pods", lambda: owners(operated) == {"ReplicaSet"}, 90)
        traffic.more(200)
    figure(str(traffic.check(reconnects=True)))
    claim = operated.get("pvc", "queue-alerts-0")
    assert claim["status"]["phase"] == "Bound", "it is kept"


@pytest.mark.timeout(900, func_only=True)
def test_pods_on_claims_are_deleted_evicted_and_scaled_away_and_nothing_is_lost_or_refused(
    operated: Operated,
) -> None:
    cluster = operated.release.cluster
    operated.patch("pushdomain", "alerts", **on_claims(operated, 2))
    moved(operated, "StatefulSet")
    operated.serving(2)
    with operated.traffic() as traffic:
        for name, end in (("alerts-0", "delete"), ("alerts-1", "evict")):
            uid = operated.get("pod", name)["metadata"]["uid"]
            if end == "evict":
                operated.evict(name)
            else:
                cluster.kubectl("delete", "pod", name, operated.place, "--wait=false")
            cluster.until(
                f"another {name}",
                lambda name=name, uid=uid: operated.get("pod", name)["metadata"]["uid"] != uid,
                90,
            )
            operated.serving(2)
            traffic.more()
        before = {pod["metadata"]["uid"] for pod in operated.pods()}
        operated.patch("pushdomain", "alerts", podTemplate={"labels": {"roll": "once"}})
        cluster.until(
            "other pods, one by one",
            lambda: not before & {pod["metadata"]["uid"] for pod in operated.pods(leaving=True)},
            180,
        )
        operated.serving(2)
        traffic.more()

        cluster.kubectl("scale", "pushdomain/alerts", "--replicas=1", operated.place)
        cluster.until(
            "a pod that is waited for", lambda: operated.condition("QueueSettled")[1] == "QueueDraining"
        )
        figure(operated.condition("QueueSettled")[2])
        cluster.until("one pod", lambda: len(operated.pods(leaving=True)) == 1, 180)
        assert operated.pod()["metadata"]["name"] == "alerts-0"
        operated.ready()
        traffic.more()
    figure(str(traffic.check(reconnects=True)))


@pytest.mark.timeout(900, func_only=True)
def test_queues_on_empty_dirs_come_move_to_claims_and_back_and_go_and_nothing_is_lost_or_refused(
    operated: Operated,
) -> None:
    cluster = operated.release.cluster
    empty_dir = {"queue": {"disk": {"claim": None, "maxSize": "100Mi"}}}

    def volumes() -> set[str]:
        return {volume["name"] for pod in operated.pods(leaving=True) for volume in pod["spec"]["volumes"]}

    with operated.traffic() as traffic:
        operated.patch("pushdomain", "alerts", acceptance={"mode": "Queued"}, **empty_dir)
        cluster.until("the condition", lambda: operated.condition("QueueDurable")[1] == "Ephemeral")
        cluster.until("a pod with a queue", lambda: "queue" in volumes(), 90)
        operated.ready(timeout=120)
        traffic.more(100)

        operated.patch("pushdomain", "alerts", **on_claims(operated, 1))
        moved(operated, "StatefulSet")
        traffic.more(100)

        operated.patch("pushdomain", "alerts", **empty_dir)
        moved(operated, "Deployment")
        cluster.until("the end of the old pods", lambda: owners(operated) == {"ReplicaSet"}, 90)
        traffic.more(100)

        pod = operated.pod()["metadata"]["uid"]
        operated.patch("pushdomain", "alerts", acceptance={"mode": "Direct"}, queue=None)
        cluster.until("pods without a queue", lambda: "queue" not in volumes(), 180)
        assert operated.pod()["metadata"]["uid"] != pod
        operated.ready()
        traffic.more(100)
    figure(str(traffic.check(reconnects=True)))


@pytest.mark.timeout(600, func_only=True)
def test_what_a_killed_process_has_acknowledged_is_delivered_by_the_next(
    operated: Operated, faults: Faults
) -> None:
    cluster = operated.release.cluster
    operated.patch("pushdomain", "alerts", **on_claims(operated, 1))
    moved(operated, "StatefulSet")
    with operated.traffic() as traffic:
        faults.signal(operated.namespace, "alerts-0", "dispatcher", "KILL")
        cluster.until(
            "the restart",
            lambda: operated.pod()["status"]["containerStatuses"][0]["restartCount"] == 1,
        )
        operated.serving(1)
        traffic.more()
    figure(str(traffic.delivered(timeout=60)))


@pytest.mark.timeout(600, func_only=True)
def test_a_claim_without_a_volume_is_told_with_the_reason_while_the_old_workload_serves(
    operated: Operated,
) -> None:
    cluster = operated.release.cluster
    spec = dict(on_claims(operated, 1))
    # The class of the volumes that there are, but larger than each of them.
    spec["queue"] = {"disk": {"claim": {"size": "2Gi", "storageClassName": operated.namespace}}}
    with operated.traffic(rate=20, sessions=2) as traffic:
        operated.patch("pushdomain", "alerts", **spec)
        cluster.until("the reason", lambda: operated.condition()[1] == "ClaimPending", 90)
        message = cluster.until(
            "what the cluster says of the claim",
            lambda: next((text for text in [operated.condition()[2]] if "Pending (" in text), None),
            90,
        )
        figure(message)
        assert f"PersistentVolumeClaim {operated.namespace}/queue-alerts-0 (2Gi" in message
        assert workloads(operated) == {"Deployment", "StatefulSet"}
        traffic.more(40)
        cluster.volume(f"{operated.namespace}-large", "2Gi", storage_class=operated.namespace)
        moved(operated, "StatefulSet")
        traffic.more(40)
    figure(str(traffic.check(reconnects=True)))
