"""NATS in a test's namespace: the manifests of docs/queue-jetstream.md, with users that the test names."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.cluster.handle import Cluster, project_file

Document = dict[str, Any]
_PAGE = "queue-jetstream.md"
_CONFIGURATION = "nats.conf"
_PROGRAM = "nats:2.12-alpine"


@dataclass
class Nats:
    """Three servers that are one JetStream, as the page has them, on volumes of the test's own."""

    cluster: Cluster
    namespace: str
    users: Mapping[str, str] = field(default_factory=dict)
    """Name -> password; empty: nobody has to log in."""

    @property
    def servers(self) -> list[str]:
        """What `queue.jetStream.servers` says."""
        return [f"nats://{name}.nats.{self.namespace}.svc:4222" for name in self.names]

    @property
    def names(self) -> list[str]:
        """The pods."""
        return [f"nats-{number}" for number in range(3)]

    def start(self) -> None:
        """Apply the manifests, and wait until JetStream is ready on all three."""
        storage = f"{self.namespace}-nats"
        for name in self.names:
            # Two syncs on each of three servers for each message are more than a busy machine's disk bears.
            self.cluster.volume(f"{self.namespace}-{name}", "20Gi", storage_class=storage, memory=True)
        documents = page()
        for document in documents:
            document["metadata"]["namespace"] = self.namespace
        config, _, servers = documents
        config["data"][_CONFIGURATION] += self._authorization()
        (claim,) = servers["spec"]["volumeClaimTemplates"]
        claim["spec"]["storageClassName"] = storage
        box = servers["spec"]["template"]["spec"]["containers"][0]
        assert box["image"] == _PROGRAM
        # A node of two cores has no place for more.
        box["resources"]["requests"]["cpu"] = "100m"
        if self.cluster.faults is None:
            box["image"] = self.cluster.image("nats-server")
        self.cluster.apply(documents)
        self.ready()

    def ready(self, timeout: float = 120) -> None:
        """Wait until all three servers are ready; the pods are asked themselves, since counts are of a moment ago."""

        def ready(pod: Document) -> bool:
            conditions = pod["status"].get("conditions", [])
            told = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
            return told and "deletionTimestamp" not in pod["metadata"]

        def all_ready() -> bool:
            pods = self.cluster.get("pods", f"--namespace={self.namespace}", "-l", "app=nats")["items"]
            return len(pods) == len(self.names) and all(map(ready, pods))

        self.cluster.until("three NATS servers", all_ready, timeout)

    def scale(self, replicas: int) -> None:
        """Have so many servers; 0: an outage of all, whose volumes stay."""
        self.cluster.kubectl(
            "scale", "statefulset/nats", f"--replicas={replicas}", f"--namespace={self.namespace}"
        )

    def kill(self, name: str) -> None:
        """End a server's pod without a word to it; another one is there, on its volume, but not ready yet."""
        place = f"--namespace={self.namespace}"
        uid = self.cluster.get("pod", name, place)["metadata"]["uid"]
        self.cluster.kubectl("delete", "pod", name, "--force", "--grace-period=0", place)
        self.cluster.until(
            f"another {name}", lambda: self.cluster.get("pod", name, place)["metadata"]["uid"] != uid
        )

    def monitor(self, name: str, path: str) -> Document:
        """What a server's monitoring answers."""
        proxied = f"/api/v1/namespaces/{self.namespace}/pods/{name}:8222/proxy/{path}"
        return dict(json.loads(self.cluster.raw(proxied)))

    def leader(self) -> str:
        """The server that leads the stream of the PushDomain."""

        def named() -> str | None:
            for name in self.names:
                with contextlib.suppress(AssertionError):
                    for account in self.monitor(name, "jsz?streams=1").get("account_details", ()):
                        for stream in account.get("stream_detail", ()):
                            if leader := stream.get("cluster", {}).get("leader"):
                                return str(leader)
            return None

        return self.cluster.until("a leader of the stream", named)

    def connected(self) -> dict[str, set[str]]:
        """Addresses of the clients that there are, by the user that they logged in as."""
        found: dict[str, set[str]] = {}
        for name in self.names:
            for connection in self.monitor(name, "connz?auth=true")["connections"]:
                found.setdefault(connection.get("authorized_user", ""), set()).add(connection["ip"])
        return found

    def _authorization(self) -> str:
        if not self.users:
            return ""
        # Quoted: a password of digits and letters may read like a number with a unit.
        users = ", ".join(f'{{user: "{name}", password: "{word}"}}' for name, word in self.users.items())
        return f"authorization {{ users: [{users}] }}\n"


def page() -> list[Document]:
    """The manifests of the page: ConfigMap, Service and StatefulSet."""
    text = project_file("docs", _PAGE).read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^ {4}.*\n|^\n)+", text, re.MULTILINE)
    (block,) = [block for block in blocks if "kind: StatefulSet" in block]
    return list(yaml.safe_load_all(re.sub("^ {4}", "", block, flags=re.MULTILINE)))


def login(name: str, user: str, password: str) -> Document:
    """A Secret with a user and its password."""
    data = {"username": user, "password": password}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/basic-auth",
        "metadata": {"name": name},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
