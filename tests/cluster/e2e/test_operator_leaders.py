"""Two replicas of the operator, and what happens to the one that leads."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cluster.e2e.operating import Operated, figure
from tests.cluster.e2e.release import Release
from tests.cluster.faults import Faults, Request
from tests.cluster.handle import Cluster

WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@pytest.fixture
def operated(cluster: Cluster, namespace: str, tmp_path: Path) -> Operated:
    return Operated(Release(cluster, namespace, tmp_path))


def expiry(operated: Operated, hours: int) -> None:
    """Change something that has to reach the ConfigMap."""
    operated.patch("pushdomain", "alerts", delivery={"expiry": f"{hours}h"})


def published(operated: Operated, hours: int, timeout: float = 60) -> float:
    """Wait until it has; seconds that it took."""
    began = time.monotonic()
    name = operated.get("pushdomain", "alerts")["status"]["config"]["name"]
    text = f'"expiry":{hours * 3600.0}'
    operated.release.cluster.until(
        "the change", lambda: text in operated.get("configmap", name)["data"]["config.json"], timeout
    )
    return time.monotonic() - began


def test_a_killed_leader_is_replaced_within_twenty_seconds(operated: Operated, faults: Faults) -> None:
    operated.install({"operator": {"replicas": 2}})
    cluster = operated.release.cluster
    cluster.until("two operators", lambda: len(operated.operators()) == 2)
    leader = operated.leader()
    began = time.monotonic()
    # Its pod goes too: the kubelet would start it anew, and it would find its own Lease.
    faults.signal(operated.namespace, leader, "operator", "KILL")
    cluster.kubectl("delete", "pod", leader, operated.place, "--grace-period=0", "--force")
    cluster.until("another leader", lambda: operated.leader() not in ("", leader), timeout=30, pause=0.2)
    took = time.monotonic() - began
    expiry(operated, 2)
    published(operated, 2)
    figure(f"taken over after {took:.1f} s")
    assert took < 20


def test_a_leader_that_stood_still_writes_nothing_stale(operated: Operated, faults: Faults) -> None:
    operated.install({"operator": {"replicas": 2}})
    cluster = operated.release.cluster
    cluster.until("two operators", lambda: len(operated.operators()) == 2)
    leader = operated.leader()
    user = f"system:serviceaccount:{operated.namespace}:{operated.release.name}"
    with faults.stopped(operated.namespace, leader, "operator"):
        expiry(operated, 3)
        cluster.until("another leader", lambda: operated.leader() not in ("", leader), timeout=30)
        published(operated, 3)
        expiry(operated, 4)
        published(operated, 4)
        since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def of_the_old_one() -> list[Request]:
        return [item for item in faults.requests(user, since=since) if item.pod == leader]

    # It has come to itself, or was started anew, and has seen several times that the Lease is another's.
    cluster.until(
        "the old leader to look at the Lease",
        lambda: len([item for item in of_the_old_one() if item.resource == "leases"]) >= 4,
        timeout=90,
    )
    assert [item for item in of_the_old_one() if item.verb in WRITES] == []
    name = operated.get("pushdomain", "alerts")["status"]["config"]["name"]
    assert '"expiry":14400.0' in operated.get("configmap", name)["data"]["config.json"]
    assert operated.leader() != leader


@pytest.mark.timeout(900, func_only=True)
def test_an_api_server_that_was_away_for_three_minutes(operated: Operated, faults: Faults) -> None:
    operated.install()
    cluster = operated.release.cluster
    (name,) = operated.operators()
    address = cluster.get("pod", name, operated.place)["status"]["podIP"]
    with faults.api_unreachable_for(address):
        time.sleep(90)  # the fault's own length
        expiry(operated, 5)
        time.sleep(90)
    took = published(operated, 5, timeout=90)
    operated.ready(timeout=30)
    figure(f"reconciling again {took:.1f} s after its return")
    assert took < 90


def test_the_metrics_and_probes_of_the_operator(operated: Operated) -> None:
    operated.install()
    cluster = operated.release.cluster
    (name,) = operated.operators()
    base = f"/api/v1/namespaces/{operated.namespace}/pods/{name}:8080/proxy"
    assert cluster.kubectl("get", f"--raw={base}/livez").strip() == "ok"
    assert cluster.kubectl("get", f"--raw={base}/readyz").strip() == "leading"
    text = cluster.kubectl("get", f"--raw={base}/metrics")
    assert "tubepost_operator_leader 1.0" in text
    assert 'tubepost_operator_objects{condition="Ready",kind="PushDomain",status="True"} 1.0' in text
    assert "tubepost_operator_credential_expiry_timestamp_seconds{" in text
    lines = [json.loads(line) for line in cluster.logs(operated.namespace, f"pod/{name}").splitlines()]
    assert any(line.get("name") == "alerts" and line.get("kind") == "PushDomain" for line in lines)
