"""The images do their job within Pod Security `restricted`, and pods find each other by name."""

from __future__ import annotations

import json

from tests.cluster.handle import Cluster, container, pod_spec

_SIMULATOR_URL = "http://simulator.{}.svc.cluster.local:2198/api/v1/notifications"


def test_the_demo_delivers_within_a_restricted_pod(cluster: Cluster, namespace: str) -> None:
    output = cluster.job(namespace, "demo", cluster.image("dispatcher"), ["tubepost", "demo"])
    assert "Delivered" in output


def test_a_simulator_in_a_pod_answers_at_its_service(cluster: Cluster, namespace: str) -> None:
    labels = {"app": "simulator"}
    args = ["simulator", "--host", "::"]
    probe = {"httpGet": {"path": "/api/v1/notifications", "port": "api"}, "periodSeconds": 1}
    ports = [{"name": "apns", "containerPort": 2197}, {"name": "api", "containerPort": 2198}]
    simulator = container(
        "simulator", cluster.image("simulator"), args=args, ports=ports, readinessProbe=probe
    )
    template = {"metadata": {"labels": labels}, "spec": pod_spec(simulator)}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "simulator"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "simulator"},
        "spec": {"selector": labels, "ports": [{"name": "api", "port": 2198}]},
    }
    cluster.apply([deployment, service], f"--namespace={namespace}")
    cluster.wait(namespace, "deployment/simulator", "condition=Available")
    cluster.reachable(namespace, "simulator", 2198)
    read = f"import urllib.request as u; print(u.urlopen({_SIMULATOR_URL.format(namespace)!r}, timeout=10).read().decode())"
    answer = json.loads(cluster.job(namespace, "client", cluster.image("dispatcher"), ["python", "-c", read]))
    assert answer["notifications"] == []
