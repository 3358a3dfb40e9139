"""What reloads: contents of mounted objects change in the running pod, under traffic."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cluster.e2e.operating import DOMAIN, Operated, certificate, figure, secret
from tests.cluster.e2e.release import Release
from tests.cluster.handle import Cluster


@pytest.fixture
def operated(cluster: Cluster, namespace: str, tmp_path: Path) -> Operated:
    found = Operated(Release(cluster, namespace, tmp_path))
    found.install()
    return found


def test_contents_reload_in_the_running_pod_and_cut_no_session(operated: Operated) -> None:
    cluster = operated.release.cluster
    pod = operated.pod()
    with operated.traffic() as traffic:
        # A certificate: in use within ten seconds, the kubelet at its default sync period.
        began = time.monotonic()
        operated.apply(secret("apns", certificate("com.example.rotated")))
        cluster.until(
            "a notification by the new certificate",
            lambda: operated.accepted()[-1]["topic"] == "com.example.rotated",
            timeout=10,
            pause=0.2,
        )
        rotated = time.monotonic() - began
        operated.ready()

        # A route.
        operated.patch("apnroute", "apns", defaults={"priority": 5})
        cluster.until("the route's default", lambda: operated.accepted()[-1]["priority"] == 5, timeout=10)
        operated.ready()

        # Delivery options, and a domain's override of them.
        operated.patch("pushdomain", "alerts", delivery={"expiry": "0s"})
        cluster.until("the option", lambda: operated.accepted()[-1]["expiration"] == 0, timeout=10)
        operated.patch("pushdomain", "alerts", domains=[{"name": DOMAIN, "delivery": {"expiry": "1h"}}])
        cluster.until("the override", lambda: operated.accepted()[-1]["expiration"] != 0, timeout=10)
        operated.ready()

        # A logger.
        operated.patch("apnlogger", "log", logDelivery=False)
        operated.ready()
        cluster.until(
            "the end of the log",
            lambda: not cluster.logs(operated.namespace, "deploy/alerts", "--since=2s").count("delivery"),
            timeout=15,
            pause=1,
        )

        # A file, which needs no volume that was not there.
        file = {"type": "File", "file": {"path": "/var/log/tubepost/apn.log"}}
        operated.patch("apnlogger", "log", logDelivery=True, sink=file)
        operated.ready()
        cluster.until(
            "lines in the file",
            lambda: cluster.exec(
                operated.namespace, "deploy/alerts", "cat", "/var/log/tubepost/apn.log"
            ).count("delivery"),
        )
        traffic.more()
    stats = traffic.check(reconnects=False)
    assert stats["sessions"] == 5, "one for each, and none of them anew"
    after = operated.pod()
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    figure(f"rotated after {rotated:.1f} s; {stats}")


def test_ten_edits_in_a_second_make_one_change(operated: Operated) -> None:
    name = operated.get("pushdomain", "alerts")["status"]["config"]["name"]
    before = int(operated.get("configmap", name)["metadata"]["resourceVersion"])
    # By one process, since ten that start side by side take more than a second on a busy machine.
    operated.apply(
        *(operated.push_domain("alerts", delivery={"expiry": f"{hours}h"}) for hours in range(1, 11))
    )
    operated.ready()
    published = [
        event
        for event in operated.release.cluster.get("events", operated.place)["items"]
        if event["reason"] == "Published"
    ]
    assert int(operated.get("configmap", name)["metadata"]["resourceVersion"]) > before
    # The first is that of the installation.
    assert 2 <= len(published) <= 4, [event["message"] for event in published]
