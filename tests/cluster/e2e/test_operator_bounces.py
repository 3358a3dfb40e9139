"""Reports to senders on the cluster: a relay that is set, missing, named wrongly, away, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.e2e.operating import DOMAIN, Document, Operated, figure
from tests.cluster.e2e.release import Release
from tests.cluster.handle import Cluster, container, pod_spec

DEAD = "dead4101" * 8
"""The simulator answers 410 Unregistered."""
RELAY = "relay"

# Takes every mail, and prints it.
_SINK = "from aiosmtpd.main import main; main(['-n', '-l', '0.0.0.0:2526'])"


@pytest.fixture
def operated(cluster: Cluster, namespace: str, tmp_path: Path) -> Operated:
    """The chart, and a PushDomain that is Queued, without a relay."""
    found = Operated(Release(cluster, namespace, tmp_path))
    found.install()
    found.patch("pushdomain", "alerts", acceptance={"mode": "Queued"}, queue={"disk": {}})
    return found


def relay(operated: Operated) -> list[Document]:
    """A mail server, and its Service."""
    box = container(RELAY, operated.release.cluster.image("dispatcher"))
    box["command"] = ["python", "-u", "-c", _SINK]
    labels = {"app": RELAY}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": RELAY, "labels": labels},
        "spec": pod_spec(box),
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": RELAY},
        "spec": {"selector": labels, "ports": [{"port": 25, "targetPort": 2526}]},
    }
    return [pod, service]


def fail(operated: Operated, sender: str) -> None:
    """A notification of this sender that APNs refuses for good."""
    reply = operated.release.cluster.exec(
        operated.namespace,
        f"pod/{operated.pods()[-1]['metadata']['name']}",
        *("tubepost", "send", f"--domain={DOMAIN}", f"--token={DEAD}", "--alert=x", f"--from={sender}"),
    )
    assert "queued" in reply.lower()


def told(operated: Operated, sender: str, timeout: float = 60) -> None:
    """Wait until the relay has its report."""
    cluster = operated.release.cluster

    def printed() -> bool:
        mails = cluster.logs(operated.namespace, f"pod/{RELAY}")
        return f"To: <{sender}>" in mails and "Diagnostic-Code: X-APNs; 410 Unregistered" in mails

    cluster.until(f"the report to {sender}", printed, timeout)


def deliverable(operated: Operated, status: str, reason: str) -> str:
    """Wait for the condition; its message."""

    def said() -> str:
        found, why, message = operated.condition("BouncesDeliverable")
        return message if (found, why) == (status, reason) else ""

    return str(operated.release.cluster.until(f"BouncesDeliverable {reason}", said, 60))


@pytest.mark.timeout(900, func_only=True)
def test_bounces_come_and_go_with_their_relay(operated: Operated) -> None:
    cluster = operated.release.cluster
    message = deliverable(operated, "False", "NoRelay")
    assert "Remedy: set spec.bounces.relay" in message
    operated.ready(timeout=180)
    fail(operated, "nobody@sender.example")

    # A relay: applied, and in use in the running pod.
    pod = operated.pod()["metadata"]["uid"]
    operated.apply(*relay(operated))
    cluster.wait(operated.namespace, f"pod/{RELAY}", "condition=Ready", 60)
    cluster.reachable(operated.namespace, RELAY, 25)
    host = f"{RELAY}.{operated.namespace}.svc.cluster.local"
    with operated.traffic(rate=20, sessions=2) as traffic:
        operated.patch("pushdomain", "alerts", bounces={"relay": {"host": host, "timeout": "3s"}})
        deliverable(operated, "True", "Relayed")
        operated.ready()
        traffic.more(40)
        fail(operated, "first@sender.example")
        told(operated, "first@sender.example")

        # An account that does not exist: said, and the relay from before goes on.
        operated.patch("pushdomain", "alerts", bounces={"relay": {"authSecretName": "missing"}})

        def missing() -> str:
            status, _, text = operated.condition()
            return text if status == "False" and "'missing'" in text else ""

        assert "Remedy: " in cluster.until("the Secret that is missing", missing, 60)
        fail(operated, "second@sender.example")
        told(operated, "second@sender.example")
        operated.patch("pushdomain", "alerts", bounces={"relay": {"authSecretName": None}})
        operated.ready()

        # The relay is away: what is due waits, and comes when it is back.
        cluster.kubectl("delete", "pod", RELAY, operated.place, "--timeout=60s", timeout=90)
        fail(operated, "third@sender.example")
        where = f"pod/{operated.pod()['metadata']['name']}"
        cluster.until(
            "the report in the queue",
            lambda: "bounce" in cluster.exec(operated.namespace, where, "tubepost", "queue", "list"),
        )
        operated.apply(*relay(operated))
        cluster.wait(operated.namespace, f"pod/{RELAY}", "condition=Ready", 60)
        told(operated, "third@sender.example", timeout=180)
    stats = traffic.check(reconnects=False)
    assert operated.pod()["metadata"]["uid"] == pod
    assert "nobody@sender.example" not in cluster.logs(operated.namespace, f"pod/{RELAY}")
    figure(f"bounces edited under load: {stats['acknowledged']} acknowledged, none refused, none lost")

    # Without it again.
    operated.patch("pushdomain", "alerts", bounces=None)
    deliverable(operated, "False", "NoRelay")
