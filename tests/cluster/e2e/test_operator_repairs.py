"""Hands off: what is deleted or edited comes back, what belongs to others is left alone, and a stopped operator
stops nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cluster.e2e.operating import Document, Operated, certificate, secret
from tests.cluster.e2e.release import Release
from tests.cluster.handle import Cluster

pytestmark = pytest.mark.xdist_group("repairs")
"""On one worker: they share an installation."""


@pytest.fixture(scope="module")
def operated(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    with cluster.namespace("repairs") as name:
        found = Operated(Release(cluster, name, tmp_path_factory.mktemp("release")))
        found.install()
        yield found


def test_what_is_deleted_or_edited_by_hand_is_put_back(operated: Operated) -> None:
    cluster = operated.release.cluster
    config = operated.get("pushdomain", "alerts")["status"]["config"]["name"]
    for kind, name in (
        ("service", "alerts"),
        ("configmap", config),
        ("serviceaccount", "alerts"),
        ("poddisruptionbudget", "alerts"),
        ("deployment", "alerts"),
    ):
        uid = operated.get(kind, name)["metadata"]["uid"]
        cluster.kubectl("delete", kind, name, operated.place)
        cluster.until(
            f"another {kind}",
            lambda kind=kind, name=name, uid=uid: operated.get(kind, name)["metadata"]["uid"] != uid,
        )
    operated.ready(timeout=90)
    edits = {
        "service": ({"spec": {"selector": {"app": "mine"}}}, ("spec", "selector")),
        "deployment": ({"spec": {"replicas": 3}}, ("spec", "replicas")),
        "poddisruptionbudget": ({"spec": {"maxUnavailable": 0}}, ("spec", "maxUnavailable")),
        "serviceaccount": (
            {"automountServiceAccountToken": True},
            ("automountServiceAccountToken",),
        ),
    }
    for kind, (patch, path) in edits.items():
        before = _at(operated.get(kind, "alerts"), path)
        cluster.kubectl(
            "patch", kind, "alerts", operated.place, "--type=merge", f"--patch={json.dumps(patch)}"
        )
        cluster.until(
            f"the {kind} as it was",
            lambda kind=kind, path=path, before=before: _at(operated.get(kind, "alerts"), path) == before,
        )
    # What was added beside what is ours goes too, wherever it could matter.
    own = variables(operated.get("deployment", "alerts")["spec"])
    added = [{"op": "add", "path": "/spec/paused", "value": True}]
    variable = {"name": "MINE", "value": "x"}
    added.append({"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": variable})
    cluster.kubectl(
        "patch", "deployment", "alerts", operated.place, "--type=json", f"--patch={json.dumps(added)}"
    )
    port = [{"op": "add", "path": "/spec/ports/-", "value": {"name": "mine", "port": 26}}]
    cluster.kubectl(
        "patch", "service", "alerts", operated.place, "--type=json", f"--patch={json.dumps(port)}"
    )

    def clean() -> bool:
        spec = operated.get("deployment", "alerts")["spec"]
        ports = operated.get("service", "alerts")["spec"]["ports"]
        return "paused" not in spec and variables(spec) == own and len(ports) == 1

    cluster.until("no additions", clean)
    # Not so what people do on purpose with any Deployment.
    cluster.kubectl("rollout", "restart", "deployment/alerts", operated.place)
    cluster.kubectl("rollout", "status", "deployment/alerts", operated.place, "--timeout=90s")
    annotations = operated.get("deployment", "alerts")["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations
    good = operated.get("configmap", config)["data"]
    broken = json.dumps({"data": {"config.json": "{}"}})
    cluster.kubectl("patch", "configmap", config, operated.place, "--type=merge", f"--patch={broken}")
    cluster.until("the configuration as it was", lambda: operated.get("configmap", config)["data"] == good)
    operated.ready(timeout=90)
    assert "delivered: 250" in operated.send("repaired")


def variables(spec: Document) -> list[Document]:
    """Environment of a Deployment's dispatchers."""
    return list(spec["template"]["spec"]["containers"][0]["env"])


def _at(document: object, path: tuple[str, ...]) -> object:
    for step in path:
        assert isinstance(document, dict)
        document = document[step]
    return document


def test_a_foreign_service_is_left_alone(operated: Operated) -> None:
    cluster = operated.release.cluster
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "taken"},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "mine"}},
    }
    operated.apply(service)
    before = operated.get("service", "taken")
    operated.apply(operated.push_domain("taken"))
    cluster.until("the condition", lambda: operated.condition(name="taken")[1] == "NameConflict")
    assert f"Service {operated.namespace}/taken" in operated.condition(name="taken")[2]
    assert operated.get("service", "taken") == before
    cluster.kubectl("delete", "pushdomain", "taken", operated.place)
    cluster.until("the children to go", lambda: "deployment.apps/taken" not in _names(operated))
    assert operated.get("service", "taken") == before


@pytest.mark.timeout(600, func_only=True)
def test_without_the_operator_everything_goes_on(operated: Operated) -> None:
    cluster = operated.release.cluster
    operated.apply(operated.push_domain("leaving"))
    operated.ready("leaving")
    operator = f"deployment/{operated.release.name}"
    cluster.kubectl("scale", operator, "--replicas=0", operated.place)
    cluster.until("no operator", lambda: not operated.operators())
    try:
        # A PushDomain goes with its children, and nothing is stuck.
        cluster.kubectl("delete", "pushdomain", "leaving", operated.place, "--timeout=30s")
        cluster.until(
            "the children to go", lambda: not [name for name in _names(operated) if "leaving" in name]
        )
        with operated.traffic(rate=20, sessions=2) as traffic:
            # The kubelet brings a new certificate in its own time.
            operated.apply(secret("apns", certificate("com.example.alone")))
            cluster.until(
                "the new certificate",
                lambda: operated.accepted()[-1]["topic"] == "com.example.alone",
                timeout=150,
                pause=2,
            )
            traffic.more(20)
        traffic.check(reconnects=False)
        # A pod that is lost comes back by itself.
        cluster.kubectl("delete", "pod", operated.pod()["metadata"]["name"], operated.place)
        operated.serving(1)
        assert "delivered: 250" in operated.send("alone")
    finally:
        cluster.kubectl("scale", operator, "--replicas=1", operated.place)
    operated.ready(timeout=90)


def _names(operated: Operated) -> list[str]:
    kinds = "deployments,services,configmaps,serviceaccounts,poddisruptionbudgets,pods,pushdomains"
    return operated.release.cluster.kubectl("get", kinds, operated.place, "--output=name").split()
