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
