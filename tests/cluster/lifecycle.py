"""Bring a cluster up, take it down, and clear away what killed runs left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.cluster import binaries, images, means, pki
from tests.cluster.layout import MACHINE, ClusterError, lock, process_start, runs, say, write_atomically
from tests.cluster.network import Block, free_block
from tests.cluster.node import Node, detach, first_process, remove
from tests.cluster.parts import DOMAIN, NODE, SOCKET, Part, cni_plugins, parts

CTR = ("ctr", "--address", SOCKET, "--namespace", "k8s.io")
"""The node's containerd, from the node."""


@dataclass(frozen=True)
class State:
    """What is known of a run, written before the first thing of it is made."""

    name: str
    index: int
    """Of its block of addresses."""
    owner: tuple[int, int] | None
    """Process whose end ends the run (number, start), or None: it stays until `down`."""
    ready: bool = False

    @property
    def directory(self) -> Path:
        """The run's directory."""
        return runs() / self.name

    @property
    def block(self) -> Block:
        """The run's addresses."""
        return Block(self.index)

    @property
    def node(self) -> Node:
        """The run's node."""
        return Node(self.directory, self.block)

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of an administrator."""
        return self.directory / "kubeconfig"

    def save(self) -> None:
        """Write it down."""
        write_atomically(self.directory / "state.json", json.dumps(asdict(self)))

    @property
    def parts(self) -> list[Part]:
        """The node's parts, in the order of their start."""
        containerd, plugins = shutil.which("containerd", path=means.PATH), cni_plugins()
        if containerd is None or plugins is None:
            raise ClusterError(f"{means.explain(means.lacking())}")
        return parts(self.directory, self.block, Path(containerd).resolve(), plugins)


def state(name: str) -> State | None:
    """The state of the run called `name`, or None."""
    return _read(runs() / name)


def build(targets: Sequence[str] = images.TARGETS, also: str = "") -> list[images.Image]:
    """Make everything that a cluster is started from: packages, programs, images.

    Raises:
        ClusterError: this machine lacks something, or a step failed.
    """
    means.install()
    if lacking := means.lacking():
        raise ClusterError(means.explain(lacking))
    binaries.build()
    return images.build(targets, also)


def up(name: str = "default", *, owner: int | None = None) -> State:
    """Start the cluster `name` with the project's images; a running one gets the present images.

    Args:
        name: at most 40 characters of a-z, 0-9 and -.
        owner: process whose end ends the cluster; None: it stays until `down`.

    Raises:
        ClusterError: it did not start; it has been taken down again, its logs are in `log/` until the next `up`.
    """
    built = build()
    reap()
    with lock(f"run-{name}"):
        known = state(name)
        if known is not None and known.ready and first_process(known.directory) is not None:
            load(known, built)
            return known
        if known is not None:
            _remove(known)
        return _start(name, built, owner)


def _start(name: str, built: Sequence[images.Image], owner: int | None) -> State:
    begun = time.monotonic()
    starter = _identity(os.getpid())
    with lock("tubepost-cluster", directory=MACHINE):
        # Until the link is there, others could take the same addresses.
        current = State(name, _free_index(), starter)
        current.save()
        try:
            current.node.start()
        except BaseException:
            _remove(current)
            raise
    try:
        _prepare(current)
        everything = {part.name: part for part in current.parts}
        for first in ("etcd", "kube-apiserver", "containerd"):
            start_part(current, everything.pop(first))
        _wait("containerd", 30, lambda: bool(current.node.run(*CTR, "version", check=False)))
        with ThreadPoolExecutor(1) as thread:
            loading = thread.submit(load, current, built)
            _wait("the API server", 90, lambda: _kubectl(current, "get", "--raw=/readyz") == "ok")
            for part in everything.values():
                start_part(current, part)
            loading.result()
        _wait("the node", 90, lambda: _node_ready(current))
        _wait(
            "the default service account", 60, lambda: "default" in _kubectl(current, "get", "sa", "-o=name")
        )
        _wait("kube-proxy", 60, lambda: _answers(current.block.kubernetes, 443))
        _wait(
            "CoreDNS",
            60,
            lambda: resolves(current, f"kubernetes.default.svc.{DOMAIN}", current.block.kubernetes),
        )
    except BaseException as error:
        logs = _salvage(current)
        _remove(current)
        if isinstance(error, (ClusterError, subprocess.TimeoutExpired)):
            raise ClusterError(f"the cluster did not come up: {error}\nLogs: {logs}") from error
        raise
    final = State(name, current.index, None if owner is None else _identity(owner), ready=True)
    final.save()
    say(f"{name} is up after {time.monotonic() - begun:.1f} s: KUBECONFIG={final.kubeconfig}")
    return final


def _prepare(current: State) -> None:
    directory, block = current.directory, current.block
    (directory / "log").mkdir(exist_ok=True)
    server = f"https://{block.node}:6443"
    pki.write(directory / "pki", server, [block.node, block.kubernetes])
    shutil.copy(directory / "pki" / "admin.kubeconfig", current.kubeconfig)
    for part in current.parts:
        for name, text in part.files.items():
            path = directory / "etc" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def start_part(current: State, part: Part) -> None:
    """Start one part; its output is appended to `log/NAME.log`."""
    command = current.node.command([str(part.executable), *part.arguments])
    detach(command, current.directory / "log" / f"{part.name}.log", path=means.PATH)


def load(current: State, built: Sequence[images.Image]) -> None:
    """Import images into the run's containerd, leaving out what it has; pods started later use them."""
    present = current.node.run(*CTR, "content", "list", "--quiet").split()
    known = frozenset(digest.removeprefix("sha256:") for digest in present)
    named = current.directory / "images.json"
    wanted = {name: image.tag for image in built for name in (image.name, *image.also)}
    have = json.loads(named.read_text()) if named.exists() and known else {}
    if wanted.items() <= have.items():
        return
    command = current.node.command([*CTR, "images", "import", "-"])
    with (current.directory / "log" / "import.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        assert process.stdin is not None
        try:
            with process.stdin as stream:
                images.export(built, stream, present=known)
        except BrokenPipeError:
            say("containerd ended the import")  # its log says why
        if process.wait(timeout=300):
            text = (current.directory / "log" / "import.log").read_text()
            raise ClusterError(f"containerd does not take the images: {text[-2000:]}")
    write_atomically(named, json.dumps(have | wanted))


def down(name: str = "default") -> bool:
    """Take the cluster `name` away, in whatever state it is, and what killed runs left; False: it was not there.

    Raises:
        ClusterError: something resists.
    """
    reap()
    with lock(f"run-{name}"):
        known = state(name)
        if known is None:
            return False
        _remove(known)
        return True


def reap() -> None:
    """Take away runs whose owner has ended, and runs whose node has died."""
    for known in list(clusters()):
        if _abandoned(known):
            with lock(f"run-{known.name}"):
                again = state(known.name)
                if again is not None and _abandoned(again):
                    say(f"clearing away the killed run {known.name}")
                    _remove(again)


def _abandoned(known: State) -> bool:
    if known.owner is not None and process_start(known.owner[0]) != known.owner[1]:
        return True
    return known.ready and first_process(known.directory) is None


def _remove(known: State) -> None:
    remove(known.directory, known.block)
    for attempt in range(20):
        # The last processes may still be writing while they die.
        shutil.rmtree(known.directory, ignore_errors=attempt < 19)
        if not known.directory.exists():
            return
        time.sleep(0.1)


def _salvage(current: State) -> Path:
    """Keep the logs of a run that failed to start."""
    target = runs().parent / "failed" / current.name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(current.directory / "log", target, dirs_exist_ok=True)
    return target


def clusters() -> Iterator[State]:
    if runs().is_dir():
        for directory in sorted(runs().iterdir()):
            found = _read(directory)
            if found is not None:
                yield found


def _read(directory: Path) -> State | None:
    try:
        document = json.loads((directory / "state.json").read_text())
    except FileNotFoundError:
        return None
    owner = document["owner"]
    return State(document["name"], document["index"], owner and (owner[0], owner[1]), ready=document["ready"])


def _free_index() -> int:
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout.splitlines()
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    block = free_block(
        {known.index for known in clusters()}, [line.split()[0] for line in routes if line], links
    )
    if block is None:
        raise ClusterError("no free addresses in 198.18.0.0/15: too many clusters on this machine")
    return block.index


def _identity(pid: int) -> tuple[int, int]:
    start = process_start(pid)
    if start is None:
        raise ClusterError(f"process {pid}, the owner, has ended")
    return pid, start


def _wait(what: str, seconds: float, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while True:
        # Failures while something starts are no news.
        with contextlib.suppress(ClusterError, OSError, subprocess.SubprocessError):
            if ready():
                return
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} was not ready within {seconds:.0f} s")
        time.sleep(0.2)


def _kubectl(current: State, *arguments: str) -> str:
    command = [
        str(binaries.program("kubectl")),
        f"--kubeconfig={current.kubeconfig}",
        "--request-timeout=5s",
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout


def _node_ready(current: State) -> bool:
    path = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    return _kubectl(current, "get", "node", NODE, path) == "True"


def _answers(host: str, port: int) -> bool:
    with socket.create_connection((host, port), timeout=2) as connection:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(connection):
            return True


def resolves(current: State, name: str, address: str) -> bool:
    """Whether the DNS server of the cluster answers with `address` for `name`, a full one.

    Raises:
        OSError: it does not answer.
    """
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = labels + b"\0\0\x01\0\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.sendto(b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0" + question, (current.block.node, 53))
        answer = client.recv(512)
    return answer.endswith(socket.inet_aton(address))
