"""Each alert of the operator fires in a real Prometheus when its cause is made in a real cluster, and clears when it
is mended; then every panel about the operator shows data.

The operator is a process of this machine with the chart's rights: it can be killed, and Prometheus reaches it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from scripts.draw_dashboard import draw, expression, panels
from tests.cluster.e2e.operating import Operated, certificate, secret
from tests.cluster.e2e.release import Release
from tests.cluster.handle import Cluster
from tests.peers.process import Process
from tests.peers.prometheus import Prometheus
from tubepost_operator.names import Names

FAILING = 8
"""PushDomains whose status cannot be written: the alert asks for more than a few failures."""


class Operator(Process):
    """The operator with a service account's token."""

    def __init__(self, operated: Operated, directory: Path) -> None:
        cluster = operated.release.cluster
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        token = cluster.kubectl("create", "token", operated.release.name, operated.place).strip()
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        kubeconfig = directory / "operator.kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(yaml.safe_dump(config))
        super().__init__(
            [
                *(sys.executable, "-m", "tubepost_operator", f"--kubeconfig={kubeconfig}"),
                *(operated.place, f"--lease-namespace={operated.namespace}"),
                *("--health-host=127.0.0.1", "--health-port=0", "--dispatcher-pull-policy=IfNotPresent"),
                f"--dispatcher-image={cluster.image('dispatcher')}",
            ]
        )

    def ready(self) -> None:
        """Wait until it serves its metrics."""
        self.port = self.listening()

    def kill(self) -> None:
        """End it as the kernel would."""
        os.kill(self.pid, signal.SIGKILL)


@contextlib.contextmanager
def lacking(operated: Operated, resource: str) -> Iterator[None]:
    """The operator's Role does not name a resource, for the duration."""
    cluster = operated.release.cluster
    (role,) = (
        role
        for role in cluster.get("roles", operated.place)["items"]
        if any(resource in rule["resources"] for rule in role["rules"])
    )
    name = role["metadata"]["name"]
    rules = [
        {**rule, "resources": kept}
        for rule in role["rules"]
        if (kept := [one for one in rule["resources"] if one != resource])
    ]

    def put(rules: object) -> None:
        patch = yaml.safe_dump({"rules": rules})
        cluster.kubectl("patch", "role", name, operated.place, "--type=merge", f"--patch={patch}")

    put(rules)
    try:
        yield
    finally:
        put(role["rules"])


def lost_claim(operated: Operated, number: int) -> None:
    """A claim of the PushDomain for a pod that there is not, and its volume is gone."""
    cluster, name = operated.release.cluster, f"{operated.namespace}-lost"
    cluster.volume(name)
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"queue-alerts-{number}", "labels": Names.labels("alerts")},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": name,
        },
    }
    operated.apply(claim)

    def phase() -> str:
        return str(operated.get("pvc", f"queue-alerts-{number}")["status"]["phase"])

    cluster.until("its volume", lambda: phase() == "Bound")
    cluster.kubectl("delete", "pv", name, "--wait=false")
    cluster.kubectl("patch", "pv", name, "--type=merge", '--patch={"metadata":{"finalizers":null}}')
    cluster.until("the loss", lambda: phase() == "Lost")


@pytest.mark.timeout(900, func_only=True)
def test_each_alert_of_the_operator_fires_by_its_cause_and_every_panel_has_data(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    operated = Operated(Release(cluster, namespace, tmp_path))
    operated.release.install({"operator": {"replicas": 0}, "webhook": {"enabled": False}})
    start = time.time()
    with Prometheus() as prometheus:
        prometheus.fires({"TubepostNoLeader"})
        with Operator(operated, tmp_path) as operator:
            prometheus.scrape(operator.port, namespace=namespace, pod="operator-1")
            prometheus.clears({"TubepostNoLeader"})

            operated.apply(operated.push_domain())
            prometheus.fires({"TubepostPushDomainsNotReady"})
            operated.apply(secret("apns", certificate()), operated.route(), operated.logger())
            operated.ready(timeout=120)
            prometheus.clears({"TubepostPushDomainsNotReady"})

            lost_claim(operated, 1)
            prometheus.fires({"TubepostClaimsLeft"})
            assert operated.condition("QueueSettled")[0] == "False"
            cluster.kubectl("delete", "pvc", "queue-alerts-1", operated.place)
            prometheus.clears({"TubepostClaimsLeft"})

            names = [f"more-{number}" for number in range(FAILING)]
            with lacking(operated, "pushdomains/status"):
                operated.apply(*(operated.push_domain(name, routes=["nowhere"]) for name in names))
                prometheus.fires({"TubepostOperatorErrors"})
                (labels,) = prometheus.firing()["TubepostOperatorErrors"]
                assert (labels["kind"], labels["class"]) == ("PushDomain", "forbidden")
            cluster.kubectl("delete", "pushdomains", *names, operated.place)
            prometheus.clears({"TubepostOperatorErrors"})

            operator.kill()
            prometheus.fires({"TubepostNoLeader"})
        with contextlib.ExitStack() as stack:
            with lacking(operated, "apnroutes"):
                successor = stack.enter_context(Operator(operated, tmp_path))
                prometheus.scrape(successor.port, namespace=namespace, pod="operator-2")
                prometheus.clears({"TubepostNoLeader"})
                prometheus.fires({"TubepostOperatorRefused"})
                (labels,) = prometheus.firing()["TubepostOperatorRefused"]
                assert "apnroutes" in labels["watch"].lower()
            prometheus.clears({"TubepostOperatorRefused"})

        def about_the_operator(panel: dict[str, object]) -> bool:
            return "tubepost_operator_" in str(panel.get("targets"))

        shown = [panel for panel in panels() if about_the_operator(panel)]
        asked = {
            (panel["title"], expression(target, "10m")) for panel in shown for target in panel["targets"]
        }
        assert {one for one in asked if not prometheus.query(f"last_over_time(({one[1]})[10m:1s])")} == set()
        drawn = draw(f"http://127.0.0.1:{prometheus.port}", start, time.time(), "20s", about_the_operator)
    pictures = os.environ.get("TUBEPOST_PICTURES")
    picture = Path(pictures or tmp_path) / "dashboard-operator.svg"
    picture.write_text(drawn)
    texts = [element.text for element in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert {panel["title"] for panel in shown} <= set(texts)
    assert "no data" not in texts
