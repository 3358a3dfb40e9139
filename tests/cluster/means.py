"""What a machine needs for a cluster of its own, and getting the part that apt has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.layout import ClusterError, lock, say
from tests.cluster.parts import cni_plugins

PATH = os.pathsep.join(
    (os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")
)
"""Where programs are looked for: a user's PATH may lack the system's directories."""
_PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "iptables": "iptables",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
_CNI = "containernetworking-plugins"


def _packages() -> list[str]:
    """Debian packages that are not here."""
    wanted = [package for name, package in _PACKAGES.items() if shutil.which(name, path=PATH) is None]
    return wanted if cni_plugins() else [*wanted, _CNI]


def install() -> None:
    """Install what apt has, when this is root; otherwise `lacking` names it.

    Raises:
        ClusterError: apt fails.
    """
    if sys.platform != "linux" or os.geteuid() or shutil.which("apt-get") is None or not _packages():
        return
    with lock("apt"):
        missing = _packages()
        say(f"installing {' '.join(missing)}")
        # No maintainer script may start a daemon: the cluster starts its own.
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        command = ["apt-get", "-qq", "-y", "--no-install-recommends", "install", *missing]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            subprocess.run(["apt-get", "-qq", "update"], capture_output=True, check=False)
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"apt-get install {' '.join(missing)} failed:\n{done.stderr[-2000:]}")


def lacking() -> list[str]:
    """What keeps this machine from running a cluster, one sentence each; empty: nothing."""
    if sys.platform != "linux":
        return ["this is not Linux"]
    found = []
    if os.geteuid():
        found.append("this is not root")
    if binaries.missing() and binaries.go() is None:
        found.append("Go is not installed (https://go.dev/dl)")
    if missing := _packages():
        found.append(f"not installed: {' '.join(missing)} (apt-get install)")
    if not Path("/sys/fs/cgroup").is_dir():
        found.append("there are no cgroups")
    return found


def explain(reasons: Sequence[str]) -> str:
    """One text for a person, with the remedy."""
    return (
        f"no Kubernetes for tests here: {'; '.join(reasons)}. Remedy: run on Linux as root with Go, or set "
        "TUBEPOST_TEST_KUBECONFIG to the kubeconfig of another cluster (kind, a cloud)"
    )
