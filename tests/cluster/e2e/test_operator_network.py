"""Where dispatchers run and whom they see: any user id, Services as asked for, clients behind a load balancer."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.e2e.operating import Operated
from tests.cluster.e2e.release import Release
from tests.cluster.handle import Cluster

pytestmark = pytest.mark.xdist_group("network")
"""On one worker: they share an installation."""

# Connects from a pod as a load balancer does; prints the first reply.
_BALANCER = """
import socket, sys
with socket.create_connection((sys.argv[1], 2525), 10) as connection:
    connection.sendall(sys.argv[2].encode() + bytes([13, 10]))
    print(connection.makefile().readline())
"""


@pytest.fixture(scope="module")
def operated(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    with cluster.namespace("network") as name:
        found = Operated(Release(cluster, name, tmp_path_factory.mktemp("release")))
        found.install()
        yield found


def service_of(operated: Operated) -> dict[str, Any]:
    spec: dict[str, Any] = operated.get("service", "alerts")["spec"]
    return spec


def test_a_service_is_as_asked_for_and_back_again(operated: Operated) -> None:
    until = operated.release.cluster.until
    operated.patch(
        "pushdomain",
        "alerts",
        service={
            "type": "LoadBalancer",
            "externalTrafficPolicy": "Local",
            "loadBalancerClass": "example.com/none",
            "loadBalancerSourceRanges": ["192.0.2.0/24"],
            "sessionAffinity": "ClientIP",
            "sessionAffinityTimeoutSeconds": 600,
            "ipFamilyPolicy": "PreferDualStack",
        },
    )
    until("a load balancer's Service", lambda: service_of(operated)["type"] == "LoadBalancer")
    spec = service_of(operated)
    assert spec["externalTrafficPolicy"] == "Local"
    assert spec["loadBalancerClass"] == "example.com/none"
    assert spec["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 600}}
    assert spec["ipFamilyPolicy"] == "PreferDualStack"
    operated.patch("pushdomain", "alerts", service=None)
    until("an inner Service", lambda: service_of(operated)["type"] == "ClusterIP")
    spec = service_of(operated)
    assert spec["sessionAffinity"] == "None"
    assert not {"externalTrafficPolicy", "loadBalancerClass", "loadBalancerSourceRanges"} & spec.keys()
    operated.ready(timeout=60)


def test_a_client_behind_a_load_balancer_is_known(operated: Operated) -> None:
    pod = operated.pod()
    own = pod["status"]["podIP"]

    def greeting(header: str) -> str:
        return operated.release.cluster.exec(
            operated.namespace, f"pod/{pod['metadata']['name']}", "python", "-c", _BALANCER, own, header
        )

    assert greeting("EHLO x").startswith("220 ")
    operated.patch(
        "pushdomain",
        "alerts",
        listener={
            "proxyProtocol": {"trustedNetworks": [f"{own}/32"]},
            "allowedNetworks": ["203.0.113.0/24"],
        },
    )
    operated.release.cluster.until(
        "the configuration to be in force",
        lambda: greeting("EHLO x").startswith("421 4.3.2 PROXY protocol header expected"),
        timeout=60,
    )
    assert greeting("PROXY TCP4 203.0.113.9 198.51.100.1 4711 25").startswith("220 ")
    assert greeting("PROXY TCP4 192.0.2.9 198.51.100.1 4711 25").startswith("554 5.7.1")
    # It was a reload.
    assert operated.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
    operated.patch("pushdomain", "alerts", listener=None)
    operated.ready()


def test_any_user_id_will_do_and_limits_may_be_absent(operated: Operated) -> None:
    cluster, before = operated.release.cluster, operated.pod()["metadata"]["uid"]
    authorities = base64.b64decode(
        operated.get("secret", "tubepost-simulator-credentials")["data"]["ca.crt"]
    ).decode()
    bundle = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "authorities"},
        "data": {"bundle.pem": authorities},
    }
    operated.apply(bundle)
    operated.patch("apnroute", "apns", tls=None)
    operated.patch(
        "pushdomain",
        "alerts",
        podTemplate={
            "security": {"runAsUser": 1_000_650_000, "runAsGroup": 1_000_650_000},
            "resources": {"limits": {"cpu": "none", "ephemeral-storage": "1Gi"}},
            "caBundle": {"configMapName": "authorities", "key": "bundle.pem"},
        },
    )
    cluster.until(
        "another pod",
        lambda: (
            [pod["metadata"]["uid"] for pod in operated.pods()] not in ([], [before])
            and len(operated.pods()) == 1
        ),
        timeout=120,
    )
    operated.ready(timeout=60)
    (box,) = operated.pod()["spec"]["containers"]
    assert box["resources"]["limits"] == {"memory": "512Mi", "ephemeral-storage": "1Gi"}
    look = "import os; print(os.getuid(), os.getgid())"
    assert cluster.exec(operated.namespace, "deploy/alerts", "python", "-c", look).split() == [
        "1000650000",
        "1000650000",
    ]
    # The simulator's certificate is one of these authorities', and the route names none.
    assert "delivered: 250" in operated.release.send("deploy/alerts", "any user")
