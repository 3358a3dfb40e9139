"""What rolls: pods are replaced under traffic, and nothing is refused or lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.e2e.operating import Operated, certificate, figure, secret
from tests.cluster.e2e.release import Release
from tests.cluster.faults import Faults
from tests.cluster.handle import Cluster


@pytest.fixture
def operated(cluster: Cluster, namespace: str, tmp_path: Path) -> Operated:
    return Operated(Release(cluster, namespace, tmp_path))


def rolled(operated: Operated, before: str) -> None:
    """Wait until the pod is another one and all is well."""
    operated.release.cluster.until(
        "another pod",
        lambda: [pod["metadata"]["uid"] for pod in operated.pods()] != [before] and len(operated.pods()) == 1,
        timeout=120,
    )
    operated.ready(timeout=60)
    gone(operated, before)


def gone(operated: Operated, uid: str) -> None:
    """Wait until a pod has drained and is no more: its sessions are told 421 before it ends."""
    operated.release.cluster.until(
        "the end of the old pod",
        lambda: uid not in [pod["metadata"]["uid"] for pod in operated.pods(leaving=True)],
        timeout=90,
    )


@pytest.mark.timeout(600, func_only=True)
def test_a_new_secret_a_port_and_an_image_roll_without_loss(operated: Operated) -> None:
    operated.install()
    cluster = operated.release.cluster
    old = operated.get("pushdomain", "alerts")["status"]["config"]["name"]
    with operated.traffic() as traffic:
        pod = operated.pod()["metadata"]["uid"]
        operated.apply(secret("second", certificate("com.example.second")))
        operated.patch("apnroute", "apns", certificate={"secretName": "second"})
        rolled(operated, pod)
        assert operated.get("pushdomain", "alerts")["status"]["config"]["name"] != old
        cluster.until(
            "a notification sent with the new certificate",
            lambda: operated.accepted()[-1]["topic"] == "com.example.second",
        )
        cluster.until(
            "the old configuration to go",
            lambda: old not in cluster.kubectl("get", "configmaps", operated.place, "--output=name"),
            timeout=60,
        )

        pod = operated.pod()["metadata"]["uid"]
        operated.patch("pushdomain", "alerts", listener={"port": 2626})
        rolled(operated, pod)

        pod = operated.pod()["metadata"]["uid"]
        image = cluster.image("simulator")  # another image that can run a dispatcher
        operated.patch("pushdomain", "alerts", podTemplate={"image": image})
        rolled(operated, pod)
        assert operated.pod()["spec"]["containers"][0]["image"] == image
        traffic.more()
    figure(str(traffic.check(reconnects=True)))


def test_of_two_replicas_one_is_deleted_and_one_evicted_without_loss(operated: Operated) -> None:
    operated.install()
    cluster = operated.release.cluster
    operated.patch("pushdomain", "alerts", replicas=2)
    operated.serving(2)
    operated.ready()
    old = [pod["metadata"]["uid"] for pod in operated.pods()]
    with operated.traffic() as traffic:
        cluster.kubectl(
            "delete", "pod", operated.pods()[0]["metadata"]["name"], operated.place, "--wait=false"
        )
        operated.serving(2)
        operated.evict(operated.pods()[0]["metadata"]["name"])
        operated.serving(2)
        for uid in old:
            gone(operated, uid)
        traffic.more()
    stats = traffic.check(reconnects=True)
    figure(str(stats))
    assert stats["closed"] >= 5, "both pods that had sessions are gone"


def test_a_pod_serves_while_a_node_that_is_late_still_leads_traffic_to_it(
    operated: Operated, faults: Faults
) -> None:
    operated.install()
    cluster = operated.release.cluster
    old = operated.pod()
    name, uid, address = old["metadata"]["name"], old["metadata"]["uid"], old["status"]["podIP"]
    service = operated.get("service", "alerts")["spec"]["clusterIP"]
    with operated.traffic() as traffic:
        with faults.led_to((service, 25), (address, 2525)):
            cluster.kubectl("delete", "pod", name, operated.place, "--wait=false")
            cluster.until(
                "the signal to end",
                # The whole log: the traffic's own lines push the last few out within half a second.
                lambda: "draining: " in cluster.kubectl("logs", name, operated.place, "--tail=-1"),
            )
            # Each session is told to go, and comes back, more than once; not for longer than the pod stays, on a
            # machine that is busy.
            traffic.more(40)
        gone(operated, uid)
        traffic.more()
    figure(str(traffic.check(reconnects=True)))


def test_the_scale_subresource_and_a_drain_of_the_only_replica(operated: Operated) -> None:
    operated.install()
    cluster = operated.release.cluster
    cluster.kubectl("scale", "pushdomain/alerts", "--replicas=2", operated.place)
    operated.serving(2)
    assert operated.get("pushdomain", "alerts")["spec"]["replicas"] == 2
    selector = operated.get("pushdomain", "alerts")["status"]["selector"]
    assert len(cluster.get("pods", operated.place, f"--selector={selector}")["items"]) == 2
    cluster.kubectl("scale", "pushdomain/alerts", "--replicas=1", operated.place)
    operated.serving(1)
    budget = operated.get("poddisruptionbudget", "alerts")
    cluster.until(
        "a budget that lets the only one go",
        lambda: operated.get("poddisruptionbudget", "alerts")["status"]["disruptionsAllowed"] == 1,
    )
    assert budget["spec"]["maxUnavailable"] == 1


@pytest.mark.timeout(600, func_only=True)
def test_an_upgrade_of_the_operator_rolls_dispatchers_a_few_at_a_time(operated: Operated) -> None:
    operated.install()
    names = [f"domain-{number}" for number in range(3)]
    operated.apply(*(operated.push_domain(name) for name in names))
    for name in names:
        operated.ready(name)
    names.append("alerts")
    operated.release.install(
        {
            "simulator": {"clientCa": ""},
            "operator": {"upgradesAtATime": 1},
            "dispatcher": {"image": {"repository": "localhost/tubepost-nowhere", "tag": "none"}},
        }
    )
    cluster = operated.release.cluster

    def images() -> list[str]:
        found = [operated.get("deployment", name) for name in names]
        return [item["spec"]["template"]["spec"]["containers"][0]["image"] for item in found]

    cluster.until("the first roll", lambda: sum("nowhere" in image for image in images()) == 1)
    # An image that nobody can pull: it stops there, and all go on serving.
    cluster.until(
        "the report",
        lambda: any("ErrImage" in text or "ImagePull" in text for text in _messages(operated, names)),
    )
    assert sum("nowhere" in image for image in images()) == 1
    assert all(operated.get("deployment", name)["status"]["availableReplicas"] == 1 for name in names)
    operated.release.install({"operator": {"upgradesAtATime": 1}})
    for name in names:
        operated.ready(name, timeout=120)
    assert sum("nowhere" in image for image in images()) == 0


def _messages(operated: Operated, names: list[str]) -> list[str]:
    return [operated.condition("Programmed", name)[2] for name in names]
