"""A cluster as tests see it: kubectl, helm, namespaces, waiting, and the files behind them.

`Cluster` knows nothing of how the cluster came to be; what only our own node can do is in `faults.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster.faults import Faults
from tests.cluster.layout import PROJECT, ClusterError
from tests.cluster.reader import Reader, Refused

Document = dict[str, Any]
Result = TypeVar("Result")

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""Labels of a namespace that enforces Pod Security `restricted`."""


# Runs in a pod: connects to a name and port until that works, for so many seconds.
_REACH = """
import socket, sys, time
end = time.monotonic() + float(sys.argv[3])
while True:
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()
        break
    except OSError:
        if time.monotonic() > end:
            raise
        time.sleep(0.3)
"""


class CommandFailed(AssertionError):
    """A command on the cluster failed; the text has its output."""


class TooSlow(AssertionError):
    """Something did not come about within its time."""


@dataclass(frozen=True)
class Cluster:
    """A running Kubernetes cluster."""

    kubeconfig: Path
    kubectl_program: Path
    helm_program: Path
    images: str = "localhost/tubepost-{}:test"
    """Name of an image, {} being the target."""
    faults: Faults | None = None
    """What can be broken on our own node; None on somebody else's cluster."""
    environment: Mapping[str, str] = field(default_factory=dict)
    reader: Reader | None = None
    """Looks at objects in kubectl's stead, where that is possible."""

    def image(self, target: str) -> str:
        """Name of the image of `operator`, `dispatcher`, `simulator` or `nats-server`."""
        return self.images.format(target)

    def run(self, *command: str | Path, stdin: str | None = None, timeout: float = 120.0) -> str:
        """Run a command with KUBECONFIG set and give its output.

        Raises:
            CommandFailed: exit status other than 0, or no end within `timeout` seconds.
        """
        words = [str(word) for word in command]
        environment = {**os.environ, **self.environment, "KUBECONFIG": str(self.kubeconfig)}
        try:
            done = subprocess.run(
                words,
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
                env=environment,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(f"{' '.join(words)}: no end within {timeout:.0f} s") from error
        if done.returncode:
            raise CommandFailed(
                f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, timeout: float = 120.0) -> str:
        """Run kubectl and give its output.

        Raises:
            CommandFailed: it failed.
        """
        return self.run(self.kubectl_program, *arguments, stdin=stdin, timeout=timeout)

    def helm(self, *arguments: str | Path, stdin: str | None = None, timeout: float = 300.0) -> str:
        """Run helm and give its output.

        Raises:
            CommandFailed: it failed.
        """
        return self.run(self.helm_program, *arguments, stdin=stdin, timeout=timeout)

    def server(self) -> str:
        """URL of the API server."""
        return self.kubectl("config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")

    def get(self, *arguments: str) -> Document:
        """`kubectl get ... -o json`, parsed; a list is a document with `items`.

        Raises:
            CommandFailed: it failed.
        """
        if self.reader is not None:
            try:
                found = self.reader.get(arguments)
            except Refused as error:
                raise CommandFailed(str(error)) from error
            if found is not None:
                return found
        document: Document = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return document

    def raw(self, path: str) -> str:
        """`kubectl get --raw`: what is at a path of the API server, or of what it leads to.

        Raises:
            CommandFailed: it failed.
        """
        if self.reader is None:
            return self.kubectl("get", "--raw", path)
        try:
            return self.reader.raw(path)
        except Refused as error:
            raise CommandFailed(str(error)) from error

    def apply(self, documents: Iterable[Mapping[str, Any]] | str, *arguments: str) -> str:
        """`kubectl apply` of documents or of YAML text, field validation strict."""
        if not isinstance(documents, str):
            documents = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        return self.kubectl("apply", "--validate=strict", *arguments, "--filename=-", stdin=documents)

    def exec(
        self, namespace: str, pod: str, *command: str, container: str = "", stdin: str | None = None
    ) -> str:
        """Run a command in a container of a pod (or `deploy/NAME`) and give its output."""
        chosen = [f"--container={container}"] if container else []
        piped = ["--stdin"] if stdin is not None else []
        return self.kubectl(
            "exec", f"--namespace={namespace}", *piped, *chosen, pod, "--", *command, stdin=stdin
        )

    def logs(self, namespace: str, pod: str, *arguments: str) -> str:
        """What a pod wrote."""
        return self.kubectl("logs", f"--namespace={namespace}", pod, *arguments)

    def wait(self, namespace: str, resource: str, condition: str, timeout: float = 60.0) -> None:
        """`kubectl wait --for=CONDITION` (`condition=Ready`, `delete`, `jsonpath=...`); on failure, what was seen.

        Raises:
            TooSlow: it did not come about within `timeout` seconds; the text has the object, its events and its logs.
        """
        place = f"--namespace={namespace}"
        try:
            self.kubectl(
                "wait",
                place,
                f"--for={condition}",
                f"--timeout={timeout:.0f}s",
                resource,
                timeout=timeout + 30,
            )
        except CommandFailed as error:
            raise TooSlow(f"{error}\n{self.describe(namespace)}") from error

    def until(
        self, what: str, ready: Callable[[], Result | None], timeout: float = 60.0, pause: float = 0.3
    ) -> Result:
        """Call `ready` until it gives something true, and give that; failing commands count as not yet.

        Raises:
            TooSlow: not within `timeout` seconds; the text has the last failure.
        """
        deadline = time.monotonic() + timeout
        last = ""
        while True:
            try:
                if result := ready():
                    return result
            except (AssertionError, OSError, LookupError, ValueError) as error:
                last = f": {error!r}"
            if time.monotonic() > deadline:
                raise TooSlow(f"{what}: not within {timeout:.0f} s{last}")
            time.sleep(pause)

    @contextlib.contextmanager
    def namespace(self, purpose: str = "test", *, labels: Mapping[str, str] = RESTRICTED) -> Iterator[str]:
        """A namespace of its own for the duration, Pod Security `restricted` enforced unless `labels` says else.

        It is deleted afterwards without waiting, since two tests never share a name. After a failure the text of
        the failing exception gets the objects, events and logs of the namespace as a note.
        """
        words = re.sub("[^a-z0-9]+", "-", purpose.lower())[:40].strip("-")
        name = f"{words}-{secrets.token_hex(3)}"
        document = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": dict(labels)},
        }
        self.apply([document])
        try:
            # Pods are refused until the controller has made it.
            self.until(
                "the service account",
                lambda: self.get("serviceaccount", "default", f"--namespace={name}"),
            )
            yield name
        except BaseException as error:
            error.add_note(self.describe(name))
            raise
        finally:
            with contextlib.suppress(CommandFailed):
                self.kubectl("delete", "namespace", name, "--wait=false")

    def describe(self, namespace: str) -> str:
        """Objects, events and the ends of all logs of a namespace, for a person."""
        texts = []
        place = f"--namespace={namespace}"
        for arguments in (
            ("get", "all,configmaps,secrets", "--output=wide"),
            ("get", "tubepost", "--output=yaml"),
            ("get", "events", "--sort-by=.lastTimestamp"),
        ):
            with contextlib.suppress(CommandFailed):
                texts.append(self.kubectl(*arguments, place))
        with contextlib.suppress(CommandFailed):
            for pod in self.kubectl("get", "pods", "--output=name", place).split():
                texts.append(f"--- logs of {pod}")
                with contextlib.suppress(CommandFailed):
                    texts.append(self.logs(namespace, pod, "--all-containers", "--tail=40", "--prefix"))
        return "\n".join(texts)

    @contextlib.contextmanager
    def port_forward(self, namespace: str, target: str, port: int) -> Iterator[int]:
        """A local port that leads to `port` of `target` (`pod/NAME`, `svc/NAME`, `deploy/NAME`)."""
        command = [str(self.kubectl_program), "port-forward", f"--namespace={namespace}", target, f":{port}"]
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+)", line)
                if found is None:
                    raise CommandFailed(f"{' '.join(command)}: {line}")
                yield int(found[1])
            finally:
                process.terminate()

    def job(
        self, namespace: str, name: str, image: str, command: Sequence[str], timeout: float = 60.0
    ) -> str:
        """Run `command` as a Job to its end, within `restricted`, and give its output.

        Raises:
            TooSlow: it failed, or took longer than `timeout` seconds.
        """
        self.apply([job(name, image, command)], f"--namespace={namespace}")

        def ended() -> str | None:
            status = self.get("job", name, f"--namespace={namespace}")["status"]
            kinds = [entry["type"] for entry in status.get("conditions", []) if entry["status"] == "True"]
            return next((kind for kind in kinds if kind in ("Complete", "Failed")), None)

        ending = self.until(f"the end of the job {name}", ended, timeout)
        output = self.logs(namespace, f"job/{name}")
        if ending == "Failed":
            raise CommandFailed(f"the job {name} failed:\n{output}")
        return output

    def reachable(self, namespace: str, service: str, port: int, timeout: float = 60.0) -> None:
        """Wait until a Service's name and address lead to a pod.

        A pod that is ready says nothing of that: kube-proxy writes its rules, and the DNS server learns the name, a
        moment later, and until then connections are refused. Clients that would count this wait for it first.

        On our own node the node itself is asked. Elsewhere a pod asks, which tells of the node that it runs on.

        Args:
            service: its name in the namespace; it has a cluster address.
            port: its own, not a pod's.

        Raises:
            TooSlow: not within `timeout` seconds.
        """
        name = f"{service}.{namespace}.svc.cluster.local"
        if (node := self.faults) is not None:
            spec = self.get("service", service, f"--namespace={namespace}")["spec"]
            address = spec["clusterIP"]
            self.until(f"{name} at {address}:{port}", lambda: node.serves(name, address, port), timeout)
            return
        command = ["python", "-c", _REACH, name, str(port), str(timeout)]
        client = f"reach-{service}-{secrets.token_hex(3)}"
        self.job(namespace, client, self.image("dispatcher"), command, timeout + 60)

    def volume(self, name: str, size: str = "1Gi", *, storage_class: str = "", memory: bool = False) -> None:
        """Make a PersistentVolume on the node's disk, bound by claims of a class, by default called like it.

        With `memory` it is in the node's memory: for what syncs at each write while other tests use the disk.

        The cluster has no provisioner; a claim takes it, and what it held is kept until the cluster goes.

        Raises:
            ClusterError: this is not our own node.
        """
        if self.faults is None:
            raise ClusterError("volumes by hand need the test cluster's own node")
        path = self.faults.directory_for_volume(name, memory=memory)
        spec = {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": storage_class or name,
            "hostPath": {"path": path, "type": "Directory"},
        }
        self.apply(
            [{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}]
        )


def container(name: str, image: str, **fields: Any) -> Document:
    """A container within Pod Security `restricted`: read-only root, no privileges; `/tmp` is writable."""
    return {
        "name": name,
        "image": image,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        **fields,
    }


def pod_spec(*containers: Document, **fields: Any) -> Document:
    """A pod's spec within Pod Security `restricted`, without a service account token."""
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": list(containers),
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        **fields,
    }


def job(name: str, image: str, command: Sequence[str]) -> Document:
    """A Job that runs `command` once."""
    spec = pod_spec(container("main", image, command=list(command)), restartPolicy="Never")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": spec}},
    }


def project_file(*parts: str) -> Path:
    """A file of the checkout."""
    return PROJECT.joinpath(*parts)


def free_port() -> int:
    """A TCP port of this machine that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
