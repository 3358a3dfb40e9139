"""Sidecar mode on a real cluster."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.e2e.release import TOKEN, Release, definition
from tests.cluster.faults import Faults
from tests.cluster.handle import Cluster, container, pod_spec
from tubepost_credentials.throwaway import make_ca, make_server_certificate
from tubepost_operator.webhook.inject import CONTAINER, HTTP_PORT_ANNOTATION, SMTP_PORT_ANNOTATION

_SLEEP = ["python", "-c", "import signal; signal.sigwait([signal.SIGTERM])"]
_METRIC = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:2590/metrics').read().decode())"
Document = dict[str, Any]
SHARED = pytest.mark.xdist_group("sidecar")
"""On one worker: they share an installation."""


@pytest.fixture
def release(cluster: Cluster, namespace: str, tmp_path: Path) -> Release:
    """Of the test's own, not installed yet."""
    return Release(cluster, namespace, tmp_path)


@pytest.fixture(scope="module")
def installed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """One with the example, for tests that change neither."""
    with cluster.namespace("sidecar") as name:
        release = Release(cluster, name, tmp_path_factory.mktemp("release"))
        release.install()
        release.apply_example()
        yield release


def app(release: Release, name: str, *, push_domain: str = "alerts", **fields: Any) -> Document:
    """An app that asks for a dispatcher; its own image has nothing of ours but Python."""
    box = container("app", release.cluster.image("simulator"), command=_SLEEP)
    # The app does have a token, which its dispatcher must not see.
    spec = pod_spec(box, **{"automountServiceAccountToken": True, **fields})
    template: Document = {
        "metadata": {"labels": {"app": name, "tubepost.io/inject": push_domain}},
        "spec": spec,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def start(release: Release, deployment: Mapping[str, Any], timeout: float = 60) -> Document:
    """Apply it, wait until it is available, and give its pod."""
    name = deployment["metadata"]["name"]
    release.cluster.apply([deployment], f"--namespace={release.namespace}")
    release.cluster.wait(release.namespace, f"deployment/{name}", "condition=Available", timeout)
    return pod_of(release, name)


def pod_of(release: Release, name: str) -> Document:
    """The pod of an app that is not about to go."""
    found = release.cluster.get("pods", f"--namespace={release.namespace}", "-l", f"app={name}")["items"]
    (pod,) = [item for item in found if "deletionTimestamp" not in item["metadata"]]
    return dict(pod)


@SHARED
def test_a_labelled_pod_sends_at_its_own_localhost(installed: Release) -> None:
    cluster = installed.cluster
    first = container("first", cluster.image("simulator"))
    first["command"] = ["tubepost", "send", "--domain=apn_example.com", f"--token={TOKEN}", "--alert=init"]
    pod = start(installed, app(installed, "first", initContainers=[first]))
    name = pod["metadata"]["name"]
    sidecar, own = pod["spec"]["initContainers"]
    assert (sidecar["name"], sidecar["restartPolicy"], own["name"]) == (CONTAINER, "Always", "first")
    assert "delivered: 250" in installed.send(name, "app", container="app")
    alerts = [item["payload"]["aps"]["alert"] for item in installed.received()]
    assert [alert for alert in alerts if alert in ("init", "app")] == ["init", "app"]
    # The token is there for the app, and not for its dispatcher.
    look = ["python", "-c", "import os; print(os.listdir('/var/run/secrets/kubernetes.io/serviceaccount'))"]
    assert "token" in cluster.exec(installed.namespace, name, *look, container="app")
    assert cluster.exec(installed.namespace, name, *look, container=CONTAINER).strip() == "[]"
    # No other pod reaches the listener.
    address = pod_of(installed, "first")["status"]["podIP"]
    probe = f"import socket; print(socket.socket().connect_ex(({address!r}, 2525)))"
    refused = cluster.exec(installed.namespace, "deploy/alerts", "python", "-c", probe)
    assert refused.strip() == "111"
    # The PushDomain's Service does not lead to the app.
    slices = cluster.get(
        "endpointslices", f"--namespace={installed.namespace}", "-l", "kubernetes.io/service-name=alerts"
    )
    addresses = [a for item in slices["items"] for end in item["endpoints"] for a in end["addresses"]]
    assert address not in addresses


@SHARED
def test_ports_of_the_pods_choice(installed: Release) -> None:
    deployment = app(installed, "ports")
    annotations = {SMTP_PORT_ANNOTATION: "1025", HTTP_PORT_ANNOTATION: "19090"}
    deployment["spec"]["template"]["metadata"]["annotations"] = annotations
    pod = start(installed, deployment)
    assert "delivered: 250" in installed.send(pod["metadata"]["name"], "x", container="app", port=1025)


@SHARED
def test_a_job_ends_although_its_dispatcher_runs(installed: Release) -> None:
    box = container("main", installed.cluster.image("dispatcher"))
    box["command"] = ["tubepost", "send", "--domain=apn_example.com", f"--token={TOKEN}", "--alert=job"]
    template = {
        "metadata": {"labels": {"tubepost.io/inject": "alerts"}},
        "spec": pod_spec(box, restartPolicy="Never"),
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "send"},
        "spec": {"template": template},
    }
    installed.cluster.apply([job], f"--namespace={installed.namespace}")
    installed.cluster.wait(installed.namespace, "job/send", "condition=Complete", 60)
    assert "job" in [item["payload"]["aps"]["alert"] for item in installed.received()]


# Another injector: puts an init container that sends mail before all others.
_INJECTOR = """
import base64, http.server, json, ssl, sys
class Injector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        spec = review["request"]["object"]["spec"]
        answer = {"uid": review["request"]["uid"], "allowed": True}
        present = spec.get("initContainers") or []
        if not any(item["name"] == "other-init" for item in present):
            box = json.loads(sys.argv[1])
            path = "/spec/initContainers" + ("/0" if present else "")
            patch = [{"op": "add", "path": path, "value": box if present else [box]}]
            answer["patchType"] = "JSONPatch"
            answer["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
server = http.server.ThreadingHTTPServer(("", 8443), Injector)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@contextlib.contextmanager
def another_injector(release: Release, box: Document) -> Iterator[None]:
    """A webhook that is asked after Tubepost's, about pods with the label `other`."""
    cluster, namespace = release.cluster, release.namespace
    authority = make_ca()
    pair = make_server_certificate(authority, [f"other.{namespace}.svc"])
    secret: Document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "other"},
        "stringData": {"tls.crt": pair.certificate_pem.decode(), "tls.key": pair.private_key_pem.decode()},
    }
    server = container("main", cluster.image("simulator"))
    server["command"] = ["python", "-c", _INJECTOR, json.dumps(box)]
    server["readinessProbe"] = {"tcpSocket": {"port": 8443}}
    server["volumeMounts"] += [{"name": "tls", "mountPath": "/tls"}]
    spec = pod_spec(server)
    spec["volumes"].append({"name": "tls", "secret": {"secretName": "other"}})
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "other", "labels": {"app": "other"}},
        "spec": spec,
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "other"},
        "spec": {"selector": {"app": "other"}, "ports": [{"port": 443, "targetPort": 8443}]},
    }
    webhook = {
        "name": "other.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {
            "service": {"name": "other", "namespace": namespace},
            "caBundle": base64.b64encode(authority.certificate_pem).decode(),
        },
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "objectSelector": {"matchLabels": {"other": "yes"}},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        ],
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": f"zz-{namespace}"},
        "webhooks": [webhook],
    }
    cluster.apply([secret, pod, service], f"--namespace={namespace}")
    cluster.wait(namespace, "pod/other", "condition=Ready", 60)
    cluster.apply([configuration])
    try:
        yield
    finally:
        cluster.kubectl("delete", "mutatingwebhookconfiguration", f"zz-{namespace}")


def test_init_containers_of_other_injectors_can_send(installed: Release) -> None:
    cluster = installed.cluster
    box = container("other-init", cluster.image("simulator"))
    box["command"] = ["tubepost", "send", "--domain=apn_example.com", f"--token={TOKEN}", "--alert=other"]
    deployment = app(installed, "injected-twice")
    deployment["spec"]["template"]["metadata"]["labels"]["other"] = "yes"
    box["volumeMounts"] = []  # the app's volumes are its own
    with another_injector(installed, box):
        pod = start(installed, deployment, timeout=90)
    assert [item["name"] for item in pod["spec"]["initContainers"]] == [CONTAINER, "other-init"]
    assert "other" in [item["payload"]["aps"]["alert"] for item in installed.received()]


def test_a_limit_range_that_is_too_small_for_it(release: Release) -> None:
    cluster, place = release.cluster, f"--namespace={release.namespace}"
    release.install()
    release.apply_example()
    limit_range = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "small"},
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "500m"}}]},
    }
    cluster.apply([limit_range], place)
    cluster.apply([app(release, "shop")], place)

    def told(reason: str) -> str | None:
        events = cluster.get("events", place, f"--field-selector=reason={reason}")["items"]
        return next((item["message"] for item in events if "LimitRange small" in item["message"]), None)

    for reason in ("FailedCreate", "SidecarRefused"):
        message = cluster.until(f"the event {reason}", lambda reason=reason: told(reason))
        assert "tubepost.io/sidecar-cpu-limit" in message
        assert "spec.podTemplate.resources.limits.cpu" in message
    annotation = "tubepost.io/sidecar-cpu-limit=500m"
    cluster.kubectl("annotate", "namespace", release.namespace, annotation)
    # The controller of the pods waits ever longer between two attempts: another app does not.
    pod = start(release, app(release, "news"), timeout=90)
    assert pod["spec"]["initContainers"][0]["resources"]["limits"]["cpu"] == "500m"


def test_contents_reload_in_the_running_pod(release: Release) -> None:
    cluster = release.cluster
    release.install()
    release.apply_example()
    # Nobody uses the Service: the sidecar does not need a dispatcher's own pod.
    cluster.kubectl("scale", "pushdomain", "alerts", f"--namespace={release.namespace}", "--replicas=0")
    pod = start(release, app(release, "shop"))
    name = pod["metadata"]["name"]

    def digests() -> set[str]:
        """One, or two for a moment: the supervisor says what is in force after its workers do."""
        text = cluster.exec(release.namespace, name, "python", "-c", _METRIC, container="app")
        found = {
            line
            for line in text.splitlines()
            if line.startswith("tubepost_config_info{") and line.endswith(" 1.0")
        }
        assert found, f"{len(text)} characters: {text[-1_000:]}"
        return found

    (before,) = cluster.until("a configuration", digests, timeout=20)
    patch = {"spec": {"delivery": {"mode": "Suspend"}}}
    cluster.kubectl(
        *("patch", "pushdomain", "alerts", f"--namespace={release.namespace}"),
        *("--type=merge", f"--patch={json.dumps(patch)}"),
    )

    def changed() -> bool:
        return before not in digests()

    cluster.until("the new configuration", changed, timeout=20)
    after = pod_of(release, "shop")
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    assert [item["restartCount"] for item in after["status"]["initContainerStatuses"]] == [0]


def test_pods_with_an_outdated_set_of_secrets_are_reported(release: Release) -> None:
    cluster, place = release.cluster, f"--namespace={release.namespace}"
    release.install()
    release.apply_example()
    pod = start(release, app(release, "shop"))
    secret = cluster.get("secret", "tubepost-simulator-credentials", place)
    copy = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "another"},
        "data": secret["data"],
    }
    cluster.apply([copy], place)
    patch = json.dumps({"spec": {"token": {"secretName": "another"}}})
    cluster.kubectl("patch", "apnroute", "simulator", place, "--type=merge", f"--patch={patch}")

    def message() -> str:
        conditions = cluster.get("pushdomain", "alerts", place)["status"]["conditions"]
        return next(str(item["message"]) for item in conditions if item["type"] == "Programmed")

    cluster.until("the report of a stale pod", lambda: "1 pod with a sidecar" in message(), timeout=60)
    # It serves on with what it has.
    assert "delivered: 250" in release.send(pod["metadata"]["name"], "old", container="app")
    cluster.kubectl("rollout", "restart", "deployment/shop", place)
    cluster.kubectl("rollout", "status", "deployment/shop", place, "--timeout=60s")
    fresh = cluster.until("the new pod alone", lambda: pod_of(release, "shop"))
    assert (
        fresh["metadata"]["annotations"]["tubepost.io/config"]
        != pod["metadata"]["annotations"]["tubepost.io/config"]
    )
    cluster.until("no report any more", lambda: "with a sidecar" not in message(), timeout=60)
    assert "delivered: 250" in release.send(fresh["metadata"]["name"], "new", container="app")


def test_failing_closed_says_why_and_recovers(release: Release) -> None:
    cluster, place = release.cluster, f"--namespace={release.namespace}"
    release.install()
    deployment = app(release, "shop")
    cluster.apply([deployment], place)

    def refusal() -> str | None:
        events = cluster.get("events", place, "--field-selector=reason=FailedCreate")["items"]
        return next((item["message"] for item in events if "tubepost:" in item["message"]), None)

    message = cluster.until("the refusal", refusal)
    assert f"PushDomain {release.namespace}/alerts" in message
    assert "Remedy: " in message
    release.apply_example()
    cluster.wait(release.namespace, "deployment/shop", "condition=Available", 60)
    assert "delivered: 250" in release.send(pod_of(release, "shop")["metadata"]["name"], "x", container="app")


def test_failing_open_admits_without_a_dispatcher(release: Release) -> None:
    release.install({"webhook": {"failurePolicy": "Ignore"}})
    cluster, place = release.cluster, f"--namespace={release.namespace}"
    pod = app(release, "shop")["spec"]["template"] | {"apiVersion": "v1", "kind": "Pod"}
    pod["metadata"]["name"] = "shop"

    # Right after the installation the API server may not know yet whom to trust; it ignores that, too.
    def told() -> bool:
        cluster.apply([pod], place, "--dry-run=server")
        return "admitted without a dispatcher" in cluster.logs(release.namespace, "deploy/tubepost")

    cluster.until("a refusal", told, timeout=30)
    cluster.apply([pod], place)
    cluster.wait(release.namespace, "pod/shop", "condition=Ready", 60)
    assert "initContainers" not in cluster.get("pod", "shop", place)["spec"]


def test_a_lost_certificate_comes_back(release: Release) -> None:
    cluster, place = release.cluster, f"--namespace={release.namespace}"
    release.install()
    release.apply_example()
    before = cluster.get("secret", "tubepost-webhook-tls", place)["data"]
    remove = json.dumps([{"op": "remove", "path": "/data"}])
    cluster.kubectl("patch", "secret", "tubepost-webhook-tls", place, "--type=json", f"--patch={remove}")
    after = cluster.until(
        "a new certificate",
        lambda: cluster.get("secret", "tubepost-webhook-tls", place).get("data"),
        timeout=45,
    )
    assert set(after) == set(before)
    assert after["tls.crt"] != before["tls.crt"]
    pod = start(release, app(release, "shop"), timeout=90)
    assert pod["spec"]["initContainers"][0]["name"] == CONTAINER


def test_with_the_leader_stopped_new_pods_still_get_one(release: Release, faults: Faults) -> None:
    cluster, place = release.cluster, f"--namespace={release.namespace}"
    release.install({"operator": {"replicas": 2}})
    release.apply_example()
    leader = cluster.get("lease", "tubepost-operator", place)["spec"]["holderIdentity"]
    with faults.stopped(release.namespace, leader, "operator"):
        for number in range(3):
            pod = start(release, app(release, f"shop-{number}"), timeout=90)
            assert pod["spec"]["initContainers"][0]["name"] == CONTAINER
            assert "delivered: 250" in release.send(pod["metadata"]["name"], "x", container="app")


def test_the_certificate_may_be_cert_managers(release: Release) -> None:
    """The test does what cert-manager and its injector do: fills the Secret, and writes caBundle."""
    cluster, namespace, place = release.cluster, release.namespace, f"--namespace={release.namespace}"
    cluster.apply([definition(kind, "cert-manager.io") for kind in ("Issuer", "Certificate")])
    for name in ("issuers", "certificates"):
        cluster.wait("default", f"crd/{name}.cert-manager.io", "condition=Established")
    authority = make_ca()
    pair = make_server_certificate(authority, [f"tubepost-webhook.{namespace}.svc"])
    values = {
        "tls.crt": pair.certificate_pem,
        "tls.key": pair.private_key_pem,
        "ca.crt": authority.certificate_pem,
    }
    data = {key: base64.b64encode(value).decode() for key, value in values.items()}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tubepost-webhook-tls"},
        "type": "kubernetes.io/tls",
        "data": data,
    }
    cluster.apply([secret], place)
    release.install({"webhook": {"certManager": {"enabled": True}}})
    configuration = f"tubepost-{namespace}"
    bundle = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": data["ca.crt"]}]
    cluster.kubectl(
        "patch", "mutatingwebhookconfiguration", configuration, "--type=json", f"--patch={json.dumps(bundle)}"
    )
    (requested,) = cluster.get("certificates.cert-manager.io", place)["items"]
    assert requested["spec"]["secretName"] == "tubepost-webhook-tls"
    assert f"tubepost-webhook.{namespace}.svc" in requested["spec"]["dnsNames"]
    release.apply_example()
    pod = start(release, app(release, "shop"))
    assert "delivered: 250" in release.send(pod["metadata"]["name"], "x", container="app")
    # Nobody else writes either.
    assert cluster.get("secret", "tubepost-webhook-tls", place)["data"] == data
    webhook = cluster.get("mutatingwebhookconfiguration", configuration)["webhooks"][0]
    assert webhook["clientConfig"]["caBundle"] == data["ca.crt"]
