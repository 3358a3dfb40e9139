"""`python -m tests.cluster`: the test cluster from the command line."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys

from tests.cluster import binaries, lifecycle
from tests.cluster.layout import ClusterError, say

_COMMANDS = {
    "up": "start it with the project's images, or load changed images into the running one",
    "down": "take it away, and what killed runs left",
    "build": "only build what it is made of: programs, base image, images",
    "images": "build changed images, and load them where it is up (--as NAME: by another name too)",
    "kubectl": "kubectl on it",
    "helm": "helm on it",
    "run": "run a command with KUBECONFIG set",
    "env": 'print what a shell needs for kubectl and helm: eval "$(python -m tests.cluster env)"',
    "node": "run a command inside the node's namespaces",
    "status": "list the clusters of this machine",
}


def main() -> int:
    """Parse the command line and do it; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument(
        "--name", default=os.environ.get("TUBEPOST_TEST_CLUSTER", "default"), help="which cluster"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text, add_help=name in ("up", "down"))
        command.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    try:
        return _do(options.command, options.name, options.arguments)
    except ClusterError as error:
        say(str(error))
        return 1


def _do(command: str, name: str, arguments: list[str]) -> int:
    if command == "up":
        print(lifecycle.up(name).kubeconfig)  # noqa: T201 - the command's output
    elif command == "down":
        say(f"{name} is down" if lifecycle.down(name) else f"{name} was not up")
    elif command == "build":
        lifecycle.build()
    elif command == "images":
        built = lifecycle.build(also=_also(arguments))
        known = lifecycle.state(name)
        if known is not None and known.ready:
            lifecycle.load(known, built)
        for image in built:
            print(image.tag, image.name, *image.also)  # noqa: T201 - the command's output
    elif command == "env":
        print(f"export KUBECONFIG={shlex.quote(str(_running(name).kubeconfig))}")  # noqa: T201 - the same
        print(f"export PATH={shlex.quote(_programs())}:$PATH")  # noqa: T201 - the same
    elif command == "status":
        for known in lifecycle.clusters():
            print(known.name, "up" if known.ready else "starting", known.kubeconfig)  # noqa: T201 - the same
    else:
        return _run(command, _running(name), arguments)
    return 0


def _programs() -> str:
    return f"{binaries.program('kubectl').parent}:{binaries.program('helm').parent}"


def _also(arguments: list[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster images")
    parser.add_argument("--as", default="", dest="also", help="a further name, with {} for the target")
    also: str = parser.parse_args(arguments).also
    return also


def _running(name: str) -> lifecycle.State:
    known = lifecycle.state(name)
    if known is None:
        raise ClusterError(f"the cluster {name} is not up: python -m tests.cluster up")
    return known


def _run(command: str, known: lifecycle.State, arguments: list[str]) -> int:
    path = f"{_programs()}:{os.environ.get('PATH', '')}"
    environment = {**os.environ, "KUBECONFIG": str(known.kubeconfig), "PATH": path}
    if command == "node":
        arguments = known.node.command(arguments)
    elif command in ("kubectl", "helm"):
        arguments = [str(binaries.program(command)), *arguments]
    return subprocess.run(arguments, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
