"""One node: namespaces for network, processes and mounts, a cgroup, and the link to this machine.

The first process in the PID namespace is ours (`go/init`). When it dies, the kernel ends every process of the node;
with the last of them the mounts and the network of the node are gone. That is why nothing of a killed run can
stay, but for the cgroup, the interface and the directory, which `remove` takes away.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.cluster.binaries import program
from tests.cluster.layout import ClusterError
from tests.cluster.network import Block

_CGROUPS = Path("/sys/fs/cgroup")
# Where programs insist on fixed paths, the node's own directories are mounted over them. The machine's /run is
# hidden whole: another container runtime's sockets are there.
_OVERLAID = {"var-lib": "/var/lib", "var-log": "/var/log"}
_PREPARE = """
set -e
mount --make-rshared /
{binds}
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock /var/lib/kubelet /var/lib/cni/net.d /var/log/pods /var/log/containers
"""


class Node:
    """The namespaces of the run in `directory`, found by their first process."""

    def __init__(self, directory: Path, block: Block) -> None:
        self.directory = directory
        self.block = block

    @property
    def pid(self) -> int:
        """The first process's number on this machine.

        Raises:
            ClusterError: it is not running.
        """
        pid = first_process(self.directory)
        if pid is None:
            raise ClusterError(f"the cluster in {self.directory} is not running")
        return pid

    def start(self) -> None:
        """Make namespaces, cgroup and link."""
        self._make_cgroup()
        self._make_namespaces()
        self._make_link()

    def command(self, command: Sequence[str]) -> list[str]:
        """`command` as one that runs on the node.

        `ip netns exec` would mount another /sys, which hides the cgroups from the kubelet.
        """
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--wd=/", "--", *command]

    def run(self, *command: str, check: bool = True, timeout: float = 60.0) -> str:
        """Run a command on the node and give its output.

        Raises:
            ClusterError: it failed.
        """
        return _run(self.command(command), check=check, timeout=timeout)

    def processes(self, executable: Path) -> list[int]:
        """Numbers (on this machine) of the node's own processes that run `executable`; not those of pods."""
        namespace = _namespace(self.pid)
        return [pid for pid in _pids() if _namespace(pid) == namespace and _executable(pid) == executable]

    def _make_cgroup(self) -> None:
        for parent in _hierarchies():
            group = parent / self.block.link
            group.mkdir(exist_ok=True)
            if parent == _CGROUPS:  # version 2: children may use what is enabled here
                controllers = (group / "cgroup.controllers").read_text().split()
                for controller in controllers:
                    with contextlib.suppress(OSError):
                        (parent / "cgroup.subtree_control").write_text(f"+{controller}")
                        (group / "cgroup.subtree_control").write_text(f"+{controller}")

    def _make_namespaces(self) -> None:
        for name in _OVERLAID:
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        unshare = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--net", "--mount-proc"]
        detach([*unshare, str(program("init")), str(self.directory)], self.directory / "init.log")
        deadline = time.monotonic() + 10
        while first_process(self.directory) is None:
            if time.monotonic() > deadline:
                text = (self.directory / "init.log").read_text()
                raise ClusterError(f"the node's namespaces could not be made: {text}")
            time.sleep(0.02)
        binds = "\n".join(
            f"mount --bind '{self.directory / name}' {path}" for name, path in _OVERLAID.items()
        )
        self.run("sh", "-c", _PREPARE.format(binds=binds))

    def _make_link(self) -> None:
        block, link, pid = self.block, self.block.link, str(self.pid)
        _run(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid])
        _run(["ip", "address", "add", f"{block.machine}/30", "dev", link])
        _run(["ip", "link", "set", link, "up"])
        for command in (
            "ip link set lo up",
            f"ip address add {block.node}/30 dev eth0",
            "ip link set eth0 up",
            # The node's own processes reach Services by this route; kube-proxy's rules change the address after it.
            f"ip route add {block.services} dev eth0",
            # Nothing else is reachable, and says so at once.
            "ip route add unreachable default metric 4096",
            "sysctl -qw net.ipv4.ip_forward=1",
        ):
            self.run(*command.split())
        for network in (block.pods, block.services):
            _run(["ip", "route", "add", str(network), "via", block.node, "dev", link])


def detach(command: Sequence[str], log: Path, *, path: str | None = None) -> None:
    """Start a process that outlives this one and is nobody's child; its output is appended to `log`.

    Raises:
        ClusterError: there is no `setsid`; whether `command` itself could be started is in the log.
    """
    environment = os.environ if path is None else {**os.environ, "PATH": path}
    with log.open("ab") as output:
        try:
            subprocess.run(
                ["setsid", "--fork", *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", env=environment, check=True,
            )  # fmt: skip
        except OSError as error:
            raise ClusterError(f"setsid (of util-linux) is not installed: {error}") from error


def first_process(directory: Path) -> int | None:
    """The node's first process, recognised by program and argument, or None.

    Looked up rather than recorded: a run may be killed between starting the process and writing its number down.
    """
    wanted = str(directory).encode()
    for pid in _pids():
        with contextlib.suppress(OSError):
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if arguments[1:2] == [wanted] and arguments[0].endswith(b"/tubepost-cluster-init"):
                return pid
    return None


def remove(directory: Path, block: Block) -> None:
    """Take away whatever there is of a node: processes, link, mounts, cgroup. Never fails on what is not there.

    Raises:
        ClusterError: something resists; the text names it.
    """
    deadline = time.monotonic() + 30
    while (pid := first_process(directory)) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise ClusterError(f"process {pid} of {directory} does not end")
        time.sleep(0.05)
    _run(["ip", "link", "delete", block.link], check=False)
    _unmount(directory)
    while (left := _remove_cgroup(block.link)) is not None:
        if time.monotonic() > deadline:
            raise ClusterError(f"cgroup {left} cannot be removed")
        time.sleep(0.05)


def _remove_cgroup(name: str) -> Path | None:
    """Remove the cgroup and those below it; the first that is still busy, or None."""
    for parent in _hierarchies():
        top = parent / name
        if not top.is_dir():
            continue
        for directory, _, _ in os.walk(top, topdown=False):
            try:
                Path(directory).rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return Path(directory)
    return None


def _unmount(directory: Path) -> None:
    """Unmount what this machine sees mounted below `directory`; normally nothing, mounts are the node's own."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].replace("\\040", " ") for line in lines]
    for point in sorted(points, reverse=True):
        if point.startswith(f"{directory}/"):
            _run(["umount", "--lazy", point], check=False)


def _hierarchies() -> list[Path]:
    """Roots of the cgroup hierarchies: one for version 2, one per controller for version 1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [path for path in sorted(_CGROUPS.iterdir()) if path.is_dir() and not path.is_symlink()]


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())  # noqa: PTH208 - thousands, often


def _namespace(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")  # noqa: PTH115 - the text of the link, not a path
    except OSError:
        return None


def _executable(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/exe").readlink()
    except OSError:
        return None


def _run(command: Sequence[str], *, check: bool = True, timeout: float = 60.0) -> str:
    if shutil.which(command[0]) is None:
        raise ClusterError(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    if check and done.returncode:
        raise ClusterError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout
