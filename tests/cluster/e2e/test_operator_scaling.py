"""Replicas on claims come and go under load, by an autoscaler and by hand, and claims that are left are emptied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.e2e.operating import Operated, figure
from tests.cluster.e2e.release import Release
from tests.cluster.faults import Faults
from tests.cluster.handle import Cluster

MOST = 300
"""Seconds within which all that was acknowledged is delivered."""


@pytest.fixture
def operated(cluster: Cluster, namespace: str, tmp_path: Path, faults: Faults) -> Operated:
    """Three volumes; the chart is to be installed."""
    assert faults is cluster.faults
    found = Operated(Release(cluster, namespace, tmp_path))
    for number in range(3):
        cluster.volume(f"{namespace}-{number}", storage_class=namespace)
    return found


def on_claims(operated: Operated, replicas: int, **claim: str) -> Mapping[str, Any]:
    """What a spec says for Queued on claims."""
    template = {"size": "1Gi", "storageClassName": operated.namespace, **claim}
    resources = {"requests": {"cpu": "10m", "memory": "96Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
    return {
        "acceptance": {"mode": "Queued"},
        "queue": {"disk": {"claim": template}},
        "replicas": replicas,
        "podTemplate": {"resources": resources},
    }


def drained(operated: Operated) -> dict[str, bool]:
    """The claims that there are, and whether they are known to be empty."""
    found = operated.release.cluster.get("pvc", operated.place, "-l", "tubepost.io/push-domain=alerts")
    return {
        item["metadata"]["name"]: "tubepost.io/drained" in item["metadata"].get("annotations", {})
        for item in found["items"]
    }


def autoscale(operated: Operated, replicas: int) -> None:
    """An autoscaler that has no metrics: what it does is to keep within its bounds."""
    operated.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "alerts"},
            "spec": {
                "scaleTargetRef": {
                    "apiVersion": "tubepost.io/v1alpha1",
                    "kind": "PushDomain",
                    "name": "alerts",
                },
                "minReplicas": replicas,
                "maxReplicas": replicas,
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "averageUtilization": 70},
                        },
                    }
                ],
            },
        }
    )


def scaled(operated: Operated) -> tuple[int, int]:
    """Replicas that are wanted and those that there are, as an autoscaler is told."""
    scale = operated.release.cluster.raw(
        f"/apis/tubepost.io/v1alpha1/namespaces/{operated.namespace}/pushdomains/alerts/scale"
    )
    document = json.loads(scale)
    return document["spec"]["replicas"], document["status"]["replicas"]


@pytest.mark.timeout(900, func_only=True)
def test_three_replicas_become_one_and_three_again_under_load_and_nothing_is_lost_or_refused(
    operated: Operated,
) -> None:
    cluster = operated.release.cluster
    operated.install(**on_claims(operated, 3))
    operated.chaos(latencyMs=400)
    operated.serving(3, timeout=180)
    with operated.traffic() as traffic:
        autoscale(operated, 1)
        cluster.until("the word of the autoscaler", lambda: scaled(operated)[0] == 1, 90)
        cluster.until("an autoscaler that is told of one", lambda: scaled(operated)[1] == 1, 90)
        cluster.until("one pod", lambda: len(operated.pods()) == 1, 180)
        assert operated.pod()["metadata"]["name"] == "alerts-0"
        assert drained(operated) == {
            "queue-alerts-0": False,
            "queue-alerts-1": True,
            "queue-alerts-2": True,
        }
        cluster.until("the end of the move", lambda: operated.condition("QueueSettled")[0] == "True", 60)
        traffic.more()
        autoscale(operated, 3)
        operated.serving(3, timeout=180)
        assert set(drained(operated).values()) == {False}
        assert scaled(operated) == (3, 3)
        traffic.more()
    stats = traffic.delivered(timeout=MOST)
    figure(str(stats))
    assert (stats["refused"], stats["cut"]) == ([], [])


@pytest.mark.timeout(900, func_only=True)
def test_a_claim_with_a_queue_is_told_outlives_its_push_domain_and_is_emptied_by_a_drain_pod(
    operated: Operated,
) -> None:
    cluster = operated.release.cluster
    spec = on_claims(operated, 2, whenScaled="Delete")
    operated.install(**spec, delivery={"mode": "Suspend"})
    operated.serving(2, timeout=180)
    with operated.traffic(sessions=8) as traffic:
        traffic.more(100)
    operated.patch("pushdomain", "alerts", replicas=1)
    cluster.until(
        "a pod that is waited for", lambda: operated.condition("QueueSettled")[1] == "QueueDraining"
    )
    generation = operated.get("pushdomain", "alerts")["metadata"]["generation"]
    word = f"tubepost.io/abandon-queue={generation}"
    cluster.kubectl("annotate", "pushdomain", "alerts", word, operated.place)
    cluster.until("the end of the pod", lambda: len(operated.pods(leaving=True)) == 1, 120)
    cluster.until(
        "the word that it is left",
        lambda: "queue-alerts-1 is left alone" in operated.condition("QueueSettled")[2],
    )
    assert drained(operated) == {"queue-alerts-0": False, "queue-alerts-1": False}

    # Another PushDomain of its name finds both claims: one has a pod again, the other a drain pod.
    cluster.kubectl("delete", "pushdomain", "alerts", operated.place)
    operated.apply(operated.push_domain(**on_claims(operated, 1, whenScaled="Delete")))
    cluster.until("the end of the claim", lambda: set(drained(operated)) == {"queue-alerts-0"}, 240)
    stats = traffic.delivered(timeout=MOST)
    figure(str(stats))
    assert (stats["refused"], stats["cut"]) == ([], [])
    reasons = {event["reason"] for event in cluster.get("events", operated.place)["items"]}
    assert {"QueueAbandoned", "ClaimAdopted", "ClaimDrained", "ClaimDeleted"} <= reasons
    deployments = cluster.get("deployments", operated.place)["items"]
    assert "alerts-drain-1" not in {item["metadata"]["name"] for item in deployments}
    operated.ready()
