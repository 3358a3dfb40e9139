"""An autoscaler scales a PushDomain by its sessions, by way of the API that metrics adapters serve."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.e2e.operating import Document, Operated, figure
from tests.cluster.e2e.release import Release
from tests.cluster.handle import Cluster, container, pod_spec

pytestmark = pytest.mark.xdist_group("external-metrics")
"""The API is the cluster's: one at a time."""

GROUP = "external.metrics.k8s.io"
METRIC = "tubepost_smtp_sessions"
SESSIONS = 9
EACH = 3

# Stands in for an adapter: adds up the metric of all ready pods, as a query of Prometheus would.
_ADAPTER = """
import datetime, http.server, json, re, socket, ssl, sys, tempfile, urllib.request
from tubepost_credentials.throwaway import make_ca, make_server_certificate

host, metric, group = sys.argv[1:4]

class Adapter(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if "/namespaces/" in self.path:
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            item = {"metricName": metric, "metricLabels": {}, "timestamp": now, "value": str(total())}
            body = {"kind": "ExternalMetricValueList", "apiVersion": group, "metadata": {}, "items": [item]}
        else:
            body = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": []}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

def total():
    addresses = {info[4][0] for info in socket.getaddrinfo(host, 9090, type=socket.SOCK_STREAM)}
    found = 0.0
    for address in addresses:
        text = urllib.request.urlopen(f"http://{address}:9090/metrics", timeout=3).read().decode()
        found += sum(float(value) for value in re.findall(rf"^{metric} (\\S+)$", text, re.M))
    return int(found)

pair = make_server_certificate(make_ca(), ["adapter"])
with tempfile.NamedTemporaryFile() as file:
    file.write(pair.certificate_pem + pair.private_key_pem)
    file.flush()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file.name)
server = http.server.ThreadingHTTPServer(("", 8443), Adapter)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture
def operated(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Operated]:
    """The chart, a PushDomain, and an adapter that serves its sessions."""
    found = Operated(Release(cluster, namespace, tmp_path))
    small = {"requests": {"cpu": "10m", "memory": "96Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
    found.install(podTemplate={"resources": small})
    found.apply(*adapter(found))
    cluster.wait(namespace, "pod/adapter", "condition=Ready", 60)
    service = api_service(found)
    cluster.apply([service])
    yield found
    # An API that nobody serves would keep namespaces from ending.
    cluster.kubectl("delete", "apiservice", service["metadata"]["name"], "--ignore-not-found")


def adapter(operated: Operated) -> list[Document]:
    """The adapter, and the addresses of the pods that it asks."""
    box = container("adapter", operated.release.cluster.image("dispatcher"))
    host = f"pods.{operated.namespace}.svc.cluster.local"
    box["command"] = ["python", "-c", _ADAPTER, host, METRIC, f"{GROUP}/v1beta1"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "adapter", "labels": {"app": "adapter"}},
        "spec": pod_spec(box, restartPolicy="Never"),
    }
    selectors = {"adapter": {"app": "adapter"}, "pods": {"app.kubernetes.io/instance": "alerts"}}
    ports = {"adapter": 8443, "pods": 9090}
    services = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {
                "selector": selector,
                "ports": [{"port": 443 if name == "adapter" else 9090, "targetPort": ports[name]}],
                **({"clusterIP": "None"} if name == "pods" else {}),
            },
        }
        for name, selector in selectors.items()
    ]
    return [pod, *services]


def api_service(operated: Operated) -> Document:
    """The API, as an adapter registers it."""
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1beta1.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": "v1beta1",
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"name": "adapter", "namespace": operated.namespace, "port": 443},
        },
    }


def autoscaler() -> Document:
    """As on the page about scaling, but quicker."""
    target = {"apiVersion": "tubepost.io/v1alpha1", "kind": "PushDomain", "name": "alerts"}
    metric = {"name": METRIC, "selector": {"matchLabels": {"push_domain": "alerts"}}}
    external = {"metric": metric, "target": {"type": "AverageValue", "averageValue": str(EACH)}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "alerts"},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": 1,
            "maxReplicas": 5,
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
            "metrics": [{"type": "External", "external": external}],
        },
    }


@pytest.mark.timeout(600, func_only=True)
def test_replicas_follow_the_sessions(operated: Operated) -> None:
    cluster = operated.release.cluster

    def wanted() -> int:
        path = f"/apis/tubepost.io/v1alpha1/namespaces/{operated.namespace}/pushdomains/alerts/scale"
        return int(json.loads(cluster.raw(path))["spec"]["replicas"])

    with operated.traffic(rate=20, sessions=SESSIONS) as traffic:
        operated.apply(autoscaler())
        cluster.until("more replicas", lambda: wanted() == SESSIONS // EACH, 150)
        operated.serving(SESSIONS // EACH, timeout=120)
        traffic.more()
        told = operated.get("hpa", "alerts")["status"]
        figure(f"{told['currentReplicas']} replicas by {told['currentMetrics']}")
    figure(str(traffic.check(reconnects=False)))
    cluster.kubectl("delete", "pod", traffic.pod, operated.place, "--grace-period=1")
    cluster.until("one replica, without sessions", lambda: wanted() == 1, 150)
