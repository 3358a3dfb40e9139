"""Installations of the chart on the test cluster, and what can be seen of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.handle import Cluster, container, pod_spec
from tests.cluster.layout import PROJECT

CHART = PROJECT / "charts" / "tubepost"
TOKEN = "ab" * 32
Document = dict[str, Any]

# Runs in a pod: hands a message to an SMTP server.
_INJECT = """
import smtplib, sys
host, port, recipient = sys.argv[1], int(sys.argv[2]), sys.argv[3]
message = sys.stdin.buffer.read()
with smtplib.SMTP(host, port, timeout=40) as smtp:
    smtp.ehlo()
    smtp.mail("sender@example.com")
    print(smtp.rcpt(recipient))
    code, text = smtp.data(message)
    print(code, text.decode())
    sys.exit(code != 250)
"""


def image_values(cluster: Cluster, target: str) -> dict[str, str]:
    """The chart's values for one image."""
    repository, _, tag = cluster.image(target).rpartition(":")
    return {"repository": repository, "tag": tag}


def merged(*values: Mapping[str, Any]) -> Document:
    """Values put together, later ones over earlier ones, maps key by key."""
    result: Document = {}
    for item in values:
        for key, value in item.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = merged(result[key], value) if both else value
    return result


def definition(kind: str, group: str) -> Document:
    """A custom resource definition that takes anything."""
    plural = f"{kind.lower()}s"
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


@dataclass(frozen=True)
class Release:
    """The chart, installed in a namespace and serving that namespace alone, so that tests run side by side."""

    cluster: Cluster
    namespace: str
    directory: Path
    name: str = "tubepost"

    def values(self, more: Mapping[str, Any] | None = None) -> Document:
        """Images of the test cluster, one namespace, the simulator."""
        images = {
            "image": image_values(self.cluster, "operator"),
            "dispatcher": {"image": image_values(self.cluster, "dispatcher")},
            "simulator": {"enabled": True, "image": image_values(self.cluster, "simulator")},
        }
        return merged(images, {"watch": {"namespaces": [self.namespace]}}, more or {})

    def file(self, values: Mapping[str, Any]) -> Path:
        """A file with values."""
        path = self.directory / f"values-{len(list(self.directory.iterdir()))}.json"
        path.write_text(json.dumps(values))
        return path

    def install(self, more: Mapping[str, Any] | None = None, *arguments: str, chart: Path = CHART) -> str:
        """`helm upgrade --install`, and wait until everything is available; what helm says.

        The definitions are everybody's: another test's release, or kubectl, may have installed them.
        """
        return self.cluster.helm(
            *("upgrade", "--install", self.name, chart, f"--namespace={self.namespace}"),
            *("--values", self.file(self.values(more)), "--take-ownership", "--force-conflicts"),
            *("--wait", "--timeout=90s", *arguments),
        )

    def apply_example(self) -> None:
        """examples, Ready."""
        self.cluster.kubectl("apply", f"--namespace={self.namespace}", "-f", PROJECT / "examples")
        self.cluster.wait(self.namespace, "pushdomain/alerts", "condition=Ready", 60)

    def received(self) -> list[Document]:
        """What the simulator got."""
        service = f"/api/v1/namespaces/{self.namespace}/services/{self.name}-simulator:2198"
        answer = json.loads(self.cluster.raw(f"{service}/proxy/api/v1/notifications"))
        return list(answer["notifications"])

    def inject(self, service: str, message: bytes, recipient: str, *, name: str = "sender") -> str:
        """Send a message from a pod of its own to a Service, by its name; the replies."""
        self.cluster.reachable(self.namespace, service, 25)
        place = f"--namespace={self.namespace}"
        config = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": {"message": message.decode()},
        }
        box = container("main", self.cluster.image("dispatcher"))
        box["command"] = [
            "sh",
            "-c",
            'exec python -c "$0" "$@" < /etc/message/message',
            _INJECT,
            f"{service}.{self.namespace}.svc.cluster.local",
            "25",
            recipient,
        ]
        box["volumeMounts"] += [{"name": "message", "mountPath": "/etc/message"}]
        spec = pod_spec(box, restartPolicy="Never")
        spec["volumes"].append({"name": "message", "configMap": {"name": name}})
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": {"spec": spec}},
        }
        self.cluster.apply([config, job], place)
        self.cluster.wait(self.namespace, f"job/{name}", "condition=Complete", 60)
        return self.cluster.logs(self.namespace, f"job/{name}")

    def send(self, pod: str, alert: str, *, container: str = "", port: int = 2525) -> str:
        """`tubepost send` inside a pod (or `deploy/NAME`)."""
        return self.cluster.exec(
            self.namespace,
            pod,
            *("tubepost", "send", f"--port={port}", "--domain=apn_example.com"),
            *(f"--token={TOKEN}", f"--alert={alert}"),
            container=container,
        )
