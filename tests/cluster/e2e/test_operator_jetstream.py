"""A queue on JetStream, which all pods share: they come and go, NATS does, and queues move there and away."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.e2e.messaging import Nats, login
from tests.cluster.e2e.operating import Operated, figure
from tests.cluster.e2e.release import Release
from tests.cluster.handle import Cluster, CommandFailed

LATENCY = 400
"""Milliseconds of the simulator: with 50 messages a second there are always some in the queue."""
RATE = 30.0
"""Messages a second."""
MOST = 300
"""Seconds within which all that was acknowledged is delivered."""
SMALL = {"requests": {"cpu": "10m", "memory": "96Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}


# Runs beside the simulator: text and apns-id of all that it took.
_IDENTITIES = """
import json, urllib.request
url = "http://127.0.0.1:2198/api/v1/notifications?limit=100000&status=200"
records = json.load(urllib.request.urlopen(url))["notifications"]
print(json.dumps([[record["payload"]["aps"]["alert"], record["apnsId"]] for record in records]))
"""


@pytest.fixture
def operated(cluster: Cluster, namespace: str, tmp_path: Path) -> Operated:
    """The chart is to be installed."""
    return Operated(Release(cluster, namespace, tmp_path))


@pytest.fixture
def nats(cluster: Cluster, namespace: str) -> Nats:
    """Three servers that know two users."""
    found = Nats(cluster, namespace, {name: secrets.token_hex(16) for name in ("first", "second")})
    found.start()
    return found


def on_stream(nats: Nats, servers: int = 3) -> dict[str, Any]:
    """What a spec says for Queued on a stream."""
    stream = {"servers": nats.servers, "replicas": servers, "authSecretName": "nats-user"}
    return {"acceptance": {"mode": "Queued"}, "queue": {"jetStream": stream, "disk": None}}


def on_claims(operated: Operated) -> dict[str, Any]:
    """What a spec says for Queued on claims."""
    claim = {"size": "1Gi", "storageClassName": operated.namespace}
    return {"acceptance": {"mode": "Queued"}, "queue": {"disk": {"claim": claim}, "jetStream": None}}


def durable(operated: Operated) -> tuple[str, str]:
    """Status and reason of QueueDurable."""
    return operated.condition("QueueDurable")[:2]


def identities(operated: Operated) -> dict[str, set[str]]:
    """The apns-ids with which the simulator took each text."""
    text = operated.release.cluster.exec(
        operated.namespace, f"deploy/{operated.release.name}-simulator", "python", "-c", _IDENTITIES
    )
    found: dict[str, set[str]] = {}
    for alert, identity in json.loads(text):
        found.setdefault(alert, set()).add(identity)
    return found


def undisturbed(stats: Mapping[str, Any]) -> None:
    """Nothing was refused, and no session cut in a transaction."""
    assert (stats["refused"], stats["cut"]) == ([], [])


def hold(operated: Operated) -> None:
    """Have messages wait."""
    operated.patch("pushdomain", "alerts", delivery={"mode": "Suspend"})
    operated.ready(timeout=120)


def moved(operated: Operated, kind: str, timeout: float = 180) -> None:
    """Wait until there is this workload alone, and all is well."""

    def kinds() -> set[str]:
        found = operated.release.cluster.get(
            "deployments,statefulsets", operated.place, "-l", "tubepost.io/push-domain=alerts"
        )
        return {item["kind"] for item in found["items"]}

    operated.release.cluster.until(f"a {kind} and nothing else", lambda: kinds() == {kind}, timeout)
    operated.ready(timeout=120)


@pytest.mark.timeout(900, func_only=True)
def test_replicas_come_and_go_pods_and_servers_are_killed_and_what_was_acknowledged_is_delivered(
    operated: Operated, nats: Nats
) -> None:
    cluster = operated.release.cluster
    operated.apply(login("nats-user", "first", nats.users["first"]))
    spec = on_stream(nats, 1)
    operated.install(**spec, replicas=3, podTemplate={"resources": SMALL})
    operated.chaos(latencyMs=LATENCY)
    cluster.until("a warning of one replica", lambda: durable(operated) == ("False", "OneReplica"))
    operated.patch("pushdomain", "alerts", **on_stream(nats, 3))
    cluster.until("a stream on three servers", lambda: durable(operated) == ("True", "Persistent"))
    operated.serving(3, timeout=120)
    assert set(nats.connected()) == {"first"}

    with operated.traffic(RATE) as traffic:
        # Replicas, and a drain.
        cluster.kubectl("scale", "pushdomain/alerts", "--replicas=1", operated.place)
        cluster.until("one pod", lambda: len(operated.pods(leaving=True)) == 1, 120)
        traffic.more()
        cluster.kubectl("scale", "pushdomain/alerts", "--replicas=3", operated.place)
        operated.serving(3, timeout=120)
        first, second, _ = (pod["metadata"]["name"] for pod in operated.pods())
        operated.evict(first)
        with pytest.raises(CommandFailed, match="disruption budget"):
            operated.evict_once(second)
        operated.serving(3, timeout=120)
        traffic.more()
        undisturbed(traffic.stats())

        # A pod and a server die.
        name = operated.pods()[0]["metadata"]["name"]
        cluster.kubectl("delete", "pod", name, "--force", "--grace-period=0", operated.place)
        nats.kill(nats.leader())
        traffic.more(timeout=120)
        nats.ready()
        operated.serving(3, timeout=120)

        # Another user.
        before = traffic.stats()
        operated.apply(login("nats-user", "second", nats.users["second"]))
        cluster.until("connections of the new user alone", lambda: set(nats.connected()) == {"second"}, 180)
        traffic.more()
        after = traffic.stats()
        assert (after["refused"], after["cut"]) == (before["refused"], before["cut"])

        # All servers are gone, and come again with what they had.
        nats.scale(0)
        cluster.until("the word of it", lambda: durable(operated) == ("False", "StreamUnusable"), 120)
        cluster.until("no pod that is ready", lambda: operated.condition()[0] == "False", 120)
        figure(": ".join(operated.condition("QueueDurable")[1:]))
        nats.scale(3)
        nats.ready()
        operated.serving(3, timeout=180)
        operated.ready(timeout=120)
        traffic.more(timeout=120)
    stats = traffic.delivered(timeout=MOST)
    replies = Counter(text.split()[1].partition("(")[0] for text in stats.pop("refused"))
    figure(f"{stats}, refused while pods and servers were dead: {dict(replies)}")
    codes = {word for word in replies if word.isdigit()}
    assert codes <= {"451"}
    twice = [alert for alert, ids in identities(operated).items() if len(ids) > 1]
    assert len(twice) <= len(stats["cut"]), "but for what the sender repeated, a double has the same apns-id"
    cluster.until("a queue that is well again", lambda: durable(operated) == ("True", "Persistent"), 120)


@pytest.mark.timeout(900, func_only=True)
def test_queues_with_messages_move_from_claims_to_a_stream_and_away_and_nothing_is_lost_or_refused(
    operated: Operated, nats: Nats
) -> None:
    cluster = operated.release.cluster
    cluster.volume(f"{operated.namespace}-0", storage_class=operated.namespace)
    operated.apply(login("nats-user", "first", nats.users["first"]))
    operated.install(**on_claims(operated), podTemplate={"resources": SMALL})
    with operated.traffic(RATE) as traffic:
        hold(operated)
        traffic.more(100)
        operated.patch("pushdomain", "alerts", **on_stream(nats), delivery={"mode": "Deliver"})
        moved(operated, "Deployment")
        assert durable(operated) == ("True", "Persistent")
        traffic.more(100)

        hold(operated)
        traffic.more(100)
        with pytest.raises(CommandFailed, match=r"status\.live\.queued is absent"):
            operated.patch("pushdomain", "alerts", acceptance={"mode": "Direct"}, queue=None)
        operated.patch("pushdomain", "alerts", acceptance={"mode": "Direct"}, delivery={"mode": "Deliver"})
        operated.ready(timeout=120)
        cluster.until(
            "an empty stream",
            lambda: "queued" not in operated.get("pushdomain", "alerts")["status"].get("live", {}),
            180,
        )
        operated.patch("pushdomain", "alerts", queue=None)
        operated.ready(timeout=120)
        cluster.until("pods without a stream", lambda: not nats.connected(), 120)
        traffic.more(100)

        operated.patch("pushdomain", "alerts", **on_stream(nats))
        cluster.until("pods with a stream", nats.connected, 120)
        operated.ready(timeout=120)
        traffic.more(100)

        hold(operated)
        traffic.more(100)
        operated.patch("pushdomain", "alerts", **on_claims(operated), delivery={"mode": "Deliver"})
        moved(operated, "StatefulSet")
        traffic.more(100)
    stats = traffic.delivered(timeout=MOST)
    figure(str(stats))
    undisturbed(stats)
