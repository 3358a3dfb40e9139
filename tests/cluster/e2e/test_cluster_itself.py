"""The test cluster keeps its promises: runs do not collide, nothing of a killed one stays, faults do what they say."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import lifecycle
from tests.cluster.faults import Faults
from tests.cluster.fixtures import own
from tests.cluster.handle import Cluster, CommandFailed, container, pod_spec
from tests.cluster.layout import PROJECT, runs
from tests.cluster.node import first_process

_OWNER = """
import os, time
from tests.cluster import lifecycle
lifecycle.up({name!r}, owner=os.getpid())
print("up", flush=True)
time.sleep(600)
"""
_SLEEP = ["python", "-c", "import signal; signal.pause()"]


@contextlib.contextmanager
def _second_cluster(name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that brings up a cluster and owns it."""
    command = [sys.executable, "-c", _OWNER.format(name=name)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            lifecycle.down(name)


def _eventually(what: str, ready: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def _left_of(state: lifecycle.State) -> list[str]:
    """What there still is of a run."""
    links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    # Not by glob, which fails when a group of another cluster goes away while it looks.
    groups = [place for place, _, _ in os.walk("/sys/fs/cgroup") if Path(place).name == state.block.link]
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/self/mountinfo").read_text()
    found = [f"link {state.block.link}"] if f" {state.block.link}@" in links else []
    found += [f"route {state.block.pods}"] if str(state.block.pods) in routes else []
    found += [f"mount below {state.directory}"] if f" {state.directory}/" in mounts else []
    found += [f"process {first_process(state.directory)}"] if first_process(state.directory) else []
    return [*found, *groups, *([str(state.directory)] if state.directory.exists() else [])]


@pytest.mark.usefixtures("faults")
def test_two_clusters_run_side_by_side_and_the_one_whose_owner_is_killed_goes(cluster: Cluster) -> None:
    name = f"second-{os.getpid()}"
    with _second_cluster(name) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        state = lifecycle.state(name)
        assert state is not None
        other = own(state)
        servers = {cluster.server(), other.server()}
        assert len(servers) == 2
        with other.namespace() as there:
            other.job(there, "pod", other.image("dispatcher"), ["tubepost", "--version"])
            with pytest.raises(CommandFailed, match="not found"):
                cluster.get("namespace", there)
        assert len(_left_of(state)) > 4
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        lifecycle.reap()
        assert _left_of(state) == []
    assert cluster.kubectl("get", "--raw=/readyz") == "ok"


@pytest.mark.usefixtures("faults")
def test_a_run_killed_while_it_starts_is_cleared_away_by_the_next(cluster: Cluster) -> None:
    name = f"killed-{os.getpid()}"
    with _second_cluster(name) as owner:
        directory = runs() / name
        _eventually("the second cluster starts", (directory / "log" / "kube-apiserver.log").exists, 120)
        state = lifecycle.state(name)
        assert state is not None
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert _left_of(state)
        lifecycle.reap()
        assert _left_of(state) == []
    assert cluster.kubectl("get", "--raw=/readyz") == "ok"


def test_the_api_server_becomes_unreachable_for_one_pod_alone(
    cluster: Cluster, namespace: str, faults: Faults
) -> None:
    spec = pod_spec(container("main", cluster.image("dispatcher"), command=_SLEEP))
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        for name in ("cut-off", "spared")
    ]
    cluster.apply(pods, f"--namespace={namespace}")
    for pod in ("cut-off", "spared"):
        cluster.wait(namespace, f"pod/{pod}", "condition=Ready")
    address = cluster.get("pod", "cut-off", f"--namespace={namespace}")["status"]["podIP"]
    connect = [
        "python",
        "-c",
        "import socket; socket.create_connection(('kubernetes.default', 443), timeout=2); print('ok')",
    ]
    assert cluster.exec(namespace, "cut-off", *connect) == "ok\n"
    with faults.api_unreachable_for(address):
        with pytest.raises(CommandFailed, match="TimeoutError"):
            cluster.exec(namespace, "cut-off", *connect)
        assert cluster.exec(namespace, "spared", *connect) == "ok\n"
    assert cluster.exec(namespace, "cut-off", *connect) == "ok\n"


def test_a_container_is_stopped_continued_and_killed(
    cluster: Cluster, namespace: str, faults: Faults
) -> None:
    spec = pod_spec(container("main", cluster.image("dispatcher"), command=_SLEEP))
    cluster.apply(
        [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}],
        f"--namespace={namespace}",
    )
    cluster.wait(namespace, "pod/pod", "condition=Ready")

    def is_in(state: str) -> bool:
        return faults.states(namespace, "pod", "main") == [state]

    with faults.stopped(namespace, "pod", "main"):
        # A process that was running takes the signal when it has its turn.
        cluster.until("a container that stands still", lambda: is_in("T"))
    cluster.until("a container that sleeps again", lambda: is_in("S"))
    faults.signal(namespace, "pod", "main", "KILL")
    cluster.until("the restart", lambda: _restarts(cluster, namespace, "pod") == 1)


def _restarts(cluster: Cluster, namespace: str, pod: str) -> int:
    status = cluster.get("pod", pod, f"--namespace={namespace}")["status"]
    return int(status["containerStatuses"][0]["restartCount"])


def test_requests_of_a_service_account_are_counted(cluster: Cluster, namespace: str, faults: Faults) -> None:
    user = f"system:serviceaccount:{namespace}:default"
    token = cluster.kubectl("create", "token", "default", f"--namespace={namespace}").strip()
    with pytest.raises(CommandFailed, match="forbidden"):
        cluster.kubectl("get", "pods", f"--namespace={namespace}", f"--token={token}", "--kubeconfig=/dev/null",
                        f"--server={cluster.server()}", "--insecure-skip-tls-verify")  # fmt: skip
    counted = cluster.until("the line in the audit log", lambda: faults.count_requests(user, since=""))
    assert counted["list", "pods"] == 1


def test_a_part_of_the_cluster_is_missing_for_a_while(
    cluster: Cluster, namespace: str, faults: Faults
) -> None:
    spec = pod_spec(container("main", cluster.image("dispatcher"), command=_SLEEP))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
    with faults.without("kube-scheduler"):
        cluster.apply([pod], f"--namespace={namespace}")
        assert "nodeName" not in cluster.get("pod", "pod", f"--namespace={namespace}")["spec"]
    cluster.wait(namespace, "pod/pod", "condition=Ready")


@pytest.mark.usefixtures("faults")
def test_a_claim_is_bound_to_a_volume_made_by_hand(cluster: Cluster, namespace: str) -> None:
    cluster.volume(namespace)
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "spool"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": namespace,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    main = container(
        "main",
        cluster.image("dispatcher"),
        command=["python", "-c", "open('/spool/file', 'w').write('kept')"],
    )
    main["volumeMounts"] = [{"name": "spool", "mountPath": "/spool"}]
    spec = pod_spec(main, restartPolicy="Never")
    spec["volumes"] = [{"name": "spool", "persistentVolumeClaim": {"claimName": "spool"}}]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writer"}, "spec": spec}
    cluster.apply([claim, pod], f"--namespace={namespace}")
    cluster.wait(namespace, "pod/writer", "jsonpath={.status.phase}=Succeeded")
    assert cluster.get("pvc", "spool", f"--namespace={namespace}")["status"]["phase"] == "Bound"
