"""What tests break on our own node: connections to the API server, processes in containers, parts of the cluster."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.cluster.layout import ClusterError
from tests.cluster.lifecycle import CTR, State, resolves, start_part
from tests.cluster.parts import Part

_API_PORT = "6443"


@dataclass(frozen=True)
class Request:
    """One request to the API server, from its audit log. Only requests of service accounts are kept there."""

    time: str
    """When it arrived, RFC 3339 with microseconds, UTC; compares as text."""
    user: str
    """`system:serviceaccount:NAMESPACE:NAME`."""
    verb: str
    """get, list, watch, create, update, patch, delete, deletecollection."""
    resource: str
    """Plural name, with the subresource: `pushdomains/status`."""
    namespace: str
    name: str
    status: int
    agent: str
    pod: str
    """Name of the pod whose token it came with."""


class Faults:
    """Ways to hurt the node of a run. Every one that has a duration is a context manager, and undoes itself."""

    def __init__(self, state: State) -> None:
        self._state = state

    @contextlib.contextmanager
    def api_unreachable_for(self, pod_ip: str) -> Iterator[None]:
        """Drop silently whatever goes between a pod and the API server; open connections freeze, new ones hang."""
        rules = (
            ["INPUT", "--source", pod_ip, "--protocol", "tcp", "--dport", _API_PORT, "--jump", "DROP"],
            ["OUTPUT", "--destination", pod_ip, "--protocol", "tcp", "--sport", _API_PORT, "--jump", "DROP"],
        )
        done = []
        try:
            for rule in rules:
                self._state.node.run("iptables", "--wait", "--insert", *rule)
                done.append(rule)
            yield
        finally:
            for rule in done:
                self._state.node.run("iptables", "--wait", "--delete", *rule)

    @contextlib.contextmanager
    def unreachable(self, pod_ip: str, port: int) -> Iterator[None]:
        """Drop silently whatever goes to `port` of a pod, from wherever."""
        rule = ["--destination", pod_ip, "--protocol", "tcp", "--dport", str(port), "--jump", "DROP"]
        chains = ("OUTPUT", "FORWARD")
        try:
            for chain in chains:
                self._state.node.run("iptables", "--wait", "--insert", chain, *rule)
            yield
        finally:
            for chain in chains:
                self._state.node.run("iptables", "--wait", "--delete", chain, *rule, check=False)

    @contextlib.contextmanager
    def led_to(self, service: tuple[str, int], pod: tuple[str, int]) -> Iterator[None]:
        """Lead all new connections of pods from a Service's address to one pod, whatever the node's rules say."""
        rule = [
            *("PREROUTING", "--destination", service[0], "--protocol", "tcp", "--dport", str(service[1])),
            *("--jump", "DNAT", "--to-destination", f"{pod[0]}:{pod[1]}"),
        ]
        try:
            self._state.node.run("iptables", "--wait", "--table", "nat", "--insert", *rule)
            yield
        finally:
            self._state.node.run("iptables", "--wait", "--table", "nat", "--delete", *rule, check=False)

    def processes(self, namespace: str, pod: str, container: str) -> list[int]:
        """Numbers, as the node counts, of a running container's processes, its first one first.

        Raises:
            ClusterError: there is no such container.
        """
        wanted = {
            "io.kubernetes.pod.namespace": namespace,
            "io.kubernetes.pod.name": pod,
            "io.kubernetes.container.name": container,
        }
        node = self._state.node
        for identity in node.run(*CTR, "tasks", "list", "--quiet").split():
            with contextlib.suppress(ClusterError):  # it may end meanwhile
                labels = json.loads(node.run(*CTR, "containers", "info", identity)).get("Labels") or {}
                if wanted.items() <= labels.items():
                    lines = node.run(*CTR, "tasks", "ps", identity).splitlines()
                    return sorted(int(line.split()[0]) for line in lines[1:])
        raise ClusterError(f"no running container {container} in the pod {namespace}/{pod}")

    def states(self, namespace: str, pod: str, container: str) -> list[str]:
        """States of a container's processes, as /proc has them: S sleeping, R running, T stopped."""
        pids = self.processes(namespace, pod, container)
        return self._state.node.run("ps", "-o", "s=", "-p", ",".join(map(str, pids))).split()

    def signal(self, namespace: str, pod: str, container: str, name: str) -> None:
        """Send a signal (`KILL`, `STOP`, ...) to all processes of a container.

        From outside the container's PID namespace: the first process of one is deaf to signals from inside.
        """
        self._signal(name, self.processes(namespace, pod, container))

    @contextlib.contextmanager
    def stopped(self, namespace: str, pod: str, container: str) -> Iterator[None]:
        """Hold a container's processes still (SIGSTOP), and let them go on afterwards (SIGCONT).

        A liveness probe makes the kubelet restart the container in time; then there is nothing to go on.
        """
        pids = self.processes(namespace, pod, container)
        try:
            self._signal("STOP", pids)
            yield
        finally:
            self._signal("CONT", pids)

    def stop_part(self, name: str) -> None:
        """End a part of the cluster by SIGTERM (`kube-controller-manager`, `kubelet`, `kube-apiserver`, ...)."""
        part = self._part(name)
        for pid in self._state.node.processes(part.executable):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while left := self._state.node.processes(part.executable):
            if time.monotonic() > deadline:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)

    def start_part(self, name: str) -> None:
        """Start a stopped part again."""
        start_part(self._state, self._part(name))

    @contextlib.contextmanager
    def without(self, name: str) -> Iterator[None]:
        """A part of the cluster is stopped for the duration."""
        self.stop_part(name)
        try:
            yield
        finally:
            self.start_part(name)

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """A part of the cluster is held still (SIGSTOP) for the duration: its connections stay open and are silent."""
        pids = self._state.node.processes(self._part(name).executable)
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def requests(self, user: str = "", *, since: str = "") -> list[Request]:
        """Requests of service accounts to the API server, from its audit log; watches are listed when they end.

        Args:
            user: only of this user (`system:serviceaccount:NAMESPACE:NAME`).
            since: only those that arrived at or after this time (RFC 3339, UTC, microseconds).
        """
        found = []
        with (self._state.directory / "log" / "audit.log").open() as log:
            for line in log:
                if line.endswith("}\n"):
                    event = json.loads(line)
                    request = _request(event)
                    if user in ("", request.user) and request.time >= since:
                        found.append(request)
        return found

    def count_requests(self, user: str, *, since: str) -> Counter[tuple[str, str]]:
        """How many requests of each (verb, resource) a user has made since a time."""
        return Counter((request.verb, request.resource) for request in self.requests(user, since=since))

    def silent_for(self, user: str, *, verbs: Container[str], without: str = "leases") -> float:
        """Seconds since a user's last request of these verbs, `without` one resource (and its subresources)."""
        last = max(
            (
                request.time
                for request in self.requests(user)
                if request.verb in verbs and request.resource.partition("/")[0] != without
            ),
            default="1970-01-01T00:00:00.000000Z",
        )
        return time.time() - datetime.fromisoformat(last).timestamp()

    def serves(self, name: str, address: str, port: int) -> bool:
        """Whether the node leads connections to a Service: its name resolves, its address accepts.

        Asked from this machine, whose packets meet the same rules on the node as those of pods.

        Args:
            name: full name of the Service.
            address: its cluster address.
            port: its own, not a pod's.

        Raises:
            OSError: no, and why.
        """
        with socket.create_connection((address, port), timeout=2):
            return resolves(self._state, name, address)

    def directory_for_volume(self, name: str, *, memory: bool = False) -> str:
        """A directory on the node's disk that every user may write to, or in its `memory`, where a sync costs nothing."""
        if memory:
            place = f"/run/volumes/{name}"
            self._state.node.run("mkdir", "--parents", place)
            self._state.node.run("chmod", "777", place)
            return place
        path = self._state.directory / "volumes" / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)
        return str(path)

    def _signal(self, name: str, pids: Sequence[int]) -> None:
        self._state.node.run("kill", "-s", name, *(str(pid) for pid in pids), check=False)

    def _part(self, name: str) -> Part:
        return next(part for part in self._state.parts if part.name == name)


def _request(event: dict[str, Any]) -> Request:
    target = event.get("objectRef") or {}
    resource = target.get("resource", event["requestURI"])
    if target.get("subresource"):
        resource = f"{resource}/{target['subresource']}"
    return Request(
        event["requestReceivedTimestamp"],
        event["user"]["username"],
        event["verb"],
        resource,
        target.get("namespace", ""),
        target.get("name", ""),
        (event.get("responseStatus") or {}).get("code", 0),
        event.get("userAgent", ""),
        ((event["user"].get("extra") or {}).get("authentication.kubernetes.io/pod-name") or [""])[0],
    )
