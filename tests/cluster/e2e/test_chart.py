"""The chart on a real cluster: from installation to a delivered notification, upgrade, removal, rights."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.value_sets import SETS
from tests.cluster.e2e.release import CHART, Release
from tests.cluster.handle import Cluster
from tests.cluster.layout import PROJECT
from tubepost_operator import rbac
from tubepost_operator.settings import Settings
from tubepost_operator.webhook import permissions

DEFINITIONS = ("pushdomains.tubepost.io", "apnroutes.tubepost.io", "apnloggers.tubepost.io")


@pytest.fixture
def release(cluster: Cluster, namespace: str, tmp_path: Path) -> Release:
    """Not installed yet."""
    return Release(cluster, namespace, tmp_path)


def test_from_helm_install_to_the_seeds_message_at_apns(release: Release) -> None:
    began = time.monotonic()
    notes = release.install()
    release.apply_example()
    message = (PROJECT / "examples" / "seed-message.eml").read_bytes()
    replies = release.inject("alerts", message, "subscriber@apn_example.com")
    took = time.monotonic() - began
    assert "250" in replies
    (notification,) = release.received()
    assert notification["topic"] == "com.example.app"
    assert notification["payload"]["aps"]
    assert took < 90, f"{took:.0f} s"
    assert "simulated APNs runs at" in notes
    # And what the chart brings to try it all at once.
    output = release.cluster.helm("test", release.name, f"--namespace={release.namespace}", "--logs")
    assert "delivered: 250" in output
    assert len(release.received()) == 2


LISTENING = {"tubepost": (8080, 9443), "tubepost-simulator": (2197, 2198), "alerts": (2525, 9090, 9091)}
"""Deployment -> ports of its pods."""
# Connects at the loopback address of each family that the pod has.
_CONNECT = """
import os, socket, sys
def there(address):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
        try:
            sock.bind((address, 0))
        except OSError:
            return False
        return True
found = [address for address in ("127.0.0.1", "::1") if there(address)]
for address in found:
    for port in sys.argv[1:]:
        socket.create_connection((address, int(port)), 3).close()
print(os.getuid(), *found)
"""


def test_everything_runs_as_whom_the_namespace_fills_in_on_both_ip_families(release: Release) -> None:
    """As OpenShift does: an id that no image knows, and the group root."""
    uid = 1_000_650_000
    context = {"podSecurityContext": {"runAsUser": uid, "runAsGroup": 0, "fsGroup": uid}}
    # A PushDomain may not name the group root: here the id alone is filled in.
    dispatcher = {"podTemplate": {"security": {"runAsUser": uid, "fsGroup": uid}}}
    release.install({"operator": context, "simulator": context, "tests": context, "dispatcher": dispatcher})
    release.apply_example()
    for name, ports in LISTENING.items():
        command = ("python", "-c", _CONNECT, *map(str, ports))
        who, *addresses = release.cluster.exec(release.namespace, f"deploy/{name}", *command).split()
        assert int(who) == uid, name
        assert addresses, name
    assert "delivered: 250" in release.send("deploy/alerts", "x")
    place = f"--namespace={release.namespace}"
    assert "delivered: 250" in release.cluster.helm("test", release.name, place, "--logs")


def test_the_server_accepts_what_the_chart_makes(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    release = Release(cluster, namespace, tmp_path)
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", PROJECT / "crds")
    for name, values in sorted(SETS.items()):
        text = json.dumps(values)
        for other in ("shop", "news", "push"):
            text = text.replace(f'"{other}"', f'"{namespace}"')
        own = json.loads(text)
        if "watch" in own:
            own["watch"]["namespaces"] = [namespace]
        # The Prometheus operator's kinds are not known here.
        own = {key: value for key, value in own.items() if key != "monitoring"}
        own["monitoring"] = {"dashboards": {"enabled": "monitoring" in values}}
        text = cluster.helm(
            "template", "tubepost", CHART, f"--namespace={namespace}", "--values", release.file(own)
        )
        # Nor are cert-manager's.
        parts = [part for part in text.split("\n---\n") if "apiVersion: cert-manager.io/" not in part]
        text = "\n---\n".join(parts)
        for mode in ((), ("--server-side", "--force-conflicts")):
            output = cluster.kubectl(
                *("apply", "--dry-run=server", "--validate=strict", *mode),
                *(f"--namespace={namespace}", "--filename=-"),
                stdin=text,
            )
            assert "deployment.apps/" in output, name


def test_plain_manifests(cluster: Cluster, namespace: str) -> None:
    text = (PROJECT / "deploy" / "tubepost.yaml").read_text()
    documents = [
        document for document in yaml.load_all(text, yaml.CSafeLoader) if document["kind"] != "Namespace"
    ]
    for document in documents:
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = namespace
    output = cluster.apply(documents, "--server-side", "--force-conflicts", "--dry-run=server")
    assert output.count("serverside-applied") == len(documents)


def test_upgrade_from_another_version_of_the_chart_with_live_objects(
    release: Release, tmp_path: Path
) -> None:
    cluster, place = release.cluster, f"--namespace={release.namespace}"
    older = tmp_path / "older"
    shutil.copytree(CHART, older)
    chart = yaml.safe_load((older / "Chart.yaml").read_text())
    (older / "Chart.yaml").write_text(yaml.safe_dump(chart | {"version": "0.0.9"}))
    path = older / "files" / "crds" / "pushdomains.tubepost.io.yaml"
    definition = yaml.safe_load(path.read_text())
    columns = definition["spec"]["versions"][0]["additionalPrinterColumns"]
    definition["spec"]["versions"][0]["additionalPrinterColumns"] = [
        c for c in columns if c["name"] != "Mode"
    ]
    path.write_text(yaml.safe_dump(definition))

    def snapshot() -> dict[str, Any]:
        secret = cluster.get("secret", "tubepost-webhook-tls", place)["data"]
        credentials = cluster.get("secret", "tubepost-simulator-credentials", place)["data"]
        webhook = cluster.get("mutatingwebhookconfiguration", f"tubepost-{release.namespace}")
        (pod,) = cluster.get("pods", place, "-l", "tubepost.io/push-domain=alerts")["items"]
        return {
            "secret": secret,
            "credentials": credentials,
            "bundle": webhook["webhooks"][0]["clientConfig"]["caBundle"],
            "generation": cluster.get("pushdomain", "alerts", place)["metadata"]["generation"],
            "dispatcher": pod["metadata"]["uid"],
        }

    release.install(chart=older)
    release.apply_example()
    before = snapshot()
    assert "Mode" not in cluster.kubectl("get", "pushdomains", place, "--output=wide").upper().split()
    release.install({"operator": {"podAnnotations": {"a": "b"}}})
    assert "MODE" in cluster.kubectl("get", "pushdomains", place, "--output=wide").split()
    assert snapshot() == before
    assert "delivered: 250" in release.send("deploy/alerts", "after the upgrade")
    history = json.loads(cluster.helm("history", release.name, place, "--output=json"))
    assert [entry["chart"] for entry in history] == ["tubepost-0.0.9", "tubepost-0.1.0"]


def test_uninstalling_keeps_definitions_objects_and_dispatchers(release: Release) -> None:
    cluster, place = release.cluster, f"--namespace={release.namespace}"
    release.install()
    release.apply_example()
    cluster.helm("uninstall", release.name, place, "--wait")
    for name in DEFINITIONS:
        assert cluster.get("crd", name)
    assert cluster.get("pushdomain", "alerts", place)
    left = cluster.kubectl("get", "all,roles,rolebindings,secrets,leases", place, "--output=name").split()
    assert "deployment.apps/alerts" in left
    ours = [name for name in left if "tubepost" in name and "dispatcher" not in name]
    # The Lease was made by the operator, not by the chart; pods may be on their way out.
    assert [name for name in ours if not name.startswith(("lease.", "pod/"))] == []
    gone = cluster.kubectl("get", "clusterroles,mutatingwebhookconfigurations", "--output=name")
    assert release.namespace not in gone
    # The dispatcher goes on: the simulator went with the chart, so the answer is a transient one.
    assert cluster.get("deployment", "alerts", place)["status"]["readyReplicas"] == 1
    release.install()
    assert "delivered: 250" in release.send("deploy/alerts", "installed again")


def test_as_a_sub_chart(release: Release, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    shutil.copytree(CHART, parent / "charts" / "tubepost")
    dependency = {"name": "tubepost", "version": "0.1.0", "condition": "tubepost.enabled"}
    chart = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(chart))
    values = {"global": {"anything": True}, "tubepost": {"enabled": True, **release.values()}}
    release.cluster.helm(
        *("install", "shop", parent, f"--namespace={release.namespace}"),
        *("--values", release.file(values), "--take-ownership", "--force-conflicts"),
        *("--wait", "--timeout=90s"),
    )
    release.cluster.wait(release.namespace, "deployment/shop-tubepost", "condition=Available", 30)


def rights(cluster: Cluster, account: str, namespace: str) -> set[tuple[str, str, str, str]]:
    """What `kubectl auth can-i --list` shows, but for what everybody may: group, resource, name, verb."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    answer = cluster.kubectl(
        *("create", "--raw=/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"),
        *(f"--as=system:serviceaccount:{account}", "--filename=-"),
        stdin=json.dumps(review),
    )
    return {
        (group, resource, name, verb)
        for rule in json.loads(answer)["status"]["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or [""]
        for verb in rule["verbs"]
        if group not in {"authorization.k8s.io", "authentication.k8s.io"}
    }


def test_rights_are_what_the_documentation_says(release: Release) -> None:
    cluster, namespace = release.cluster, release.namespace
    release.install()
    release.apply_example()
    settings = Settings(
        webhook_secret="tubepost-webhook-tls",
        webhook_configuration=f"tubepost-{namespace}",
    )
    here = {
        (item.group, resource, "", verb)
        for item in rbac.PERMISSIONS
        for resource in item.resources
        for verb in item.verbs
    } | {
        (item.group, item.resource, item.object_name(settings), verb)
        for item in permissions.PERMISSIONS
        for verb in item.verbs
    }
    assert rights(cluster, f"{namespace}:tubepost", namespace) == here
    elsewhere = {right for right in here if right[2] == settings.webhook_configuration}
    assert rights(cluster, f"{namespace}:tubepost", "default") == elsewhere
    # They suffice: from its start to a delivered message nothing was refused to the operator.
    assert "delivered: 250" in release.send("deploy/alerts", "x")
    if cluster.faults is not None:
        requests = cluster.faults.requests(f"system:serviceaccount:{namespace}:tubepost")
        assert requests
        assert [request for request in requests if request.status == 403] == []
    # A dispatcher may do what any account may, which is nothing; and it has no token to do it with.
    assert rights(cluster, f"{namespace}:alerts", namespace) == set()
    look = "import pathlib; print(pathlib.Path('/var/run/secrets/kubernetes.io').exists())"
    assert cluster.exec(namespace, "deploy/alerts", "python", "-c", look).strip() == "False"


def test_rights_in_the_cluster_wide_mode(release: Release) -> None:
    cluster, namespace = release.cluster, release.namespace
    # Without a pod: two operators for one namespace would be one too many.
    values = {
        "watch": {"namespaces": []},
        "operator": {"replicas": 0},
        "simulator": {"enabled": False},
        "webhook": {"enabled": False},
        "fullnameOverride": namespace,
    }
    release.install(values)
    watched = {
        (item.group, resource, "", verb)
        for item in rbac.PERMISSIONS
        if item.scope == "watched" and item.feature != "webhook"
        for resource in item.resources
        for verb in item.verbs
    }
    assert rights(cluster, f"{namespace}:{namespace}", "default") == watched


def test_an_administrator_of_a_namespace_installs_for_it_alone(
    cluster: Cluster, namespace: str, release: Release, tmp_path: Path
) -> None:
    # A cluster administrator has brought the definitions, with their roles.
    nobody = {"operator": {"replicas": 0}, "simulator": {"enabled": False}, "webhook": {"enabled": False}}
    release.install(nobody)
    with cluster.namespace("own") as own:
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "ada-is-admin"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ada"}],
        }
        cluster.apply([binding], f"--namespace={own}")
        cluster.until(
            "the roles to be added up",
            lambda: cluster.kubectl(
                "auth", "can-i", "patch", "pushdomains/status", "--as=ada", f"--namespace={own}"
            ),
        )
        mine = Release(cluster, own, tmp_path)
        values = {"webhook": {"enabled": False}, "crds": {"enabled": False}, "simulator": {"enabled": True}}
        cluster.helm(
            *("install", "tubepost", CHART, f"--namespace={own}", "--kube-as-user=ada"),
            *("--values", mine.file(mine.values(values)), "--wait", "--timeout=90s"),
        )
        mine.apply_example()
        assert "delivered: 250" in mine.send("deploy/alerts", "x")
