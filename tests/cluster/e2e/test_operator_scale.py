"""Many PushDomains beside live ones under traffic: requests, time, memory; and silence when nothing changes."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cluster.e2e.operating import DOMAIN, Operated, figure
from tests.cluster.e2e.release import Release
from tests.cluster.faults import Faults
from tests.cluster.handle import Cluster

MANY = 300
LIVE = 10
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.mark.timeout(1500, func_only=True)
def test_three_hundred_beside_ten_live_ones(
    cluster: Cluster, namespace: str, tmp_path: Path, faults: Faults
) -> None:
    operated = Operated(Release(cluster, namespace, tmp_path))
    operated.install()
    small = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
    live = [f"live-{number}" for number in range(LIVE - 1)]
    operated.apply(*(operated.push_domain(name, podTemplate={"resources": small}) for name in live))
    for name in live:
        operated.ready(name, timeout=180)
    user = f"system:serviceaccount:{namespace}:{operated.release.name}"
    with operated.traffic(rate=50) as traffic:
        since, began = now(), time.monotonic()
        operated.apply(
            *(
                operated.push_domain(f"idle-{number}", replicas=0, domains=[{"name": f"d{number}.{DOMAIN}"}])
                for number in range(MANY)
            )
        )

        def current() -> bool:
            items = cluster.get("pushdomains", operated.place)["items"]
            fresh = [
                item
                for item in items
                if item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"]
                and _ready(item)
            ]
            return len(fresh) == MANY + LIVE

        cluster.until("all conditions current", current, timeout=600, pause=3)
        took = time.monotonic() - began
        requests = faults.count_requests(user, since=since)
        total = sum(
            count for (verb, resource), count in requests.items() if resource != "leases" and verb != "watch"
        )
        (name,) = operated.operators()
        memory = _memory(cluster, namespace, name)
        figure(
            f"{MANY} PushDomains: {took:.0f} s, {total / MANY:.1f} requests each, {memory / 2**20:.0f} MiB"
        )
        assert total / MANY < 30
        # The cluster's own controllers still look at three hundred Deployments.
        quiet = WRITES | {"get"}
        # On a busy machine the operator's looks at its children are seconds apart.
        cluster.until("an end of it", lambda: faults.silent_for(user, verbs=quiet) > 15, timeout=240)

        # One edit: its last write is that of its status.
        since = now()
        operated.patch("pushdomain", "idle-7", delivery={"expiry": "2h"})
        operated.ready("idle-7")
        edits = Counter(
            (item.verb, item.resource)
            for item in faults.requests(user, since=since)
            if item.verb not in {"watch", "list"}
            and re.fullmatch(r"(idle-7([-.].*)?)?", item.name)
            # Discovery: another test has changed a definition.
            and not item.resource.startswith("/")
        )
        figure(f"one edit: {dict(edits)}")
        assert 2 <= sum(edits.values()) <= 6
        traffic.more()
    traffic.check(reconnects=False)
    # The rate of the traffic that has ended is told once more, and then there is nothing to say: live facts are
    # looked at every minute, so that an idle write would show within this time.
    cluster.until("silence", lambda: faults.silent_for(user, verbs=WRITES) > 80, timeout=420, pause=5)


def _ready(item: dict[str, object]) -> bool:
    status = item["status"]
    assert isinstance(status, dict)
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in status["conditions"])


def _memory(cluster: Cluster, namespace: str, pod: str) -> int:
    text = cluster.exec(namespace, pod, "cat", "/proc/1/statm")
    return int(text.split()[1]) * 4096
