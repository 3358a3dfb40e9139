"""Where the programs are that tests need and pip does not bring; `scripts/setup-test-tools` gets them.

A tool is looked for on PATH, in the system's sbin directories, and in the cache that the script fills
(`$XDG_CACHE_HOME/tubepost`). Peers in Go are built here when their sources changed. The standard library
alone: the script runs this file before anything is installed.

    tests/peers/tools.py          print every tool with its path; exit 3 when some are missing
    tests/peers/tools.py --quiet  the same, printing only what is missing
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
REMEDY = "scripts/setup-test-tools"
"""The command that gets what is missing."""
PROGRAMS = (
    "chromium",
    "go",
    "node",
    "nghttpd",
    "h2load",
    "master",
    "mke2fs",
    "nginx",
    "prometheus",
    "promtool",
    "smtp-sink",
    "smtp-source",
    "strace",
    "swaks",
)
GO_PEERS = ("apnsserver", "dsnreader", "load", "rawpeer", "sink")
"""Commands in `tests/peers/go`; `require("rawpeer")` builds them."""
GO_PROGRAMS = ("nats-server",)
"""Programs of others in Go: the tools of the module in `tests/peers/NAME`; `require("nats-server")` builds them."""
MODULES = ("axe-core", "nodemailer")
"""Node packages of `tests/peers/node`; `require("nodemailer")` gives the value of NODE_PATH."""
_GO_ENVIRONMENT = {"CGO_ENABLED": "0"}
"""Programs without a C library, which run in an image that has nothing else."""
_SYSTEM = (
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/usr/local/go/bin",
    "/usr/lib/postfix/sbin",
    "/usr/libexec/postfix",
)


class MissingToolError(RuntimeError):
    """A tool is not there, or a peer cannot be built; the text says why."""


def cache_dir() -> Path:
    """The directory for what is downloaded and built, outside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "tubepost"


def find(tool: str) -> Path:
    """The path of one of PROGRAMS, GO_PEERS, GO_PROGRAMS or MODULES.

    Raises:
        MissingToolError: it is not there.
    """
    if tool in GO_PEERS:
        return _built(tool, HERE / "go", "./...")
    if tool in GO_PROGRAMS:
        return _built(tool, HERE / tool, "tool")
    if tool in MODULES:
        return _node_module(tool)
    unpacked = (str(cache_dir() / part / "bin") for part in ("tools", "chromium"))
    path = os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM, *unpacked))
    found = shutil.which(tool, path=path)
    if found is None:
        raise MissingToolError(f"{tool} is not installed")
    return Path(found)


def require(tool: str) -> Path:
    """`find` for tests: where the tool is missing the test fails in CI, and is skipped loudly elsewhere."""
    try:
        return find(tool)
    except MissingToolError as error:
        return _give_up(str(error))


def require_root() -> None:
    """For tests that need root: without it they fail in CI, and are skipped loudly elsewhere."""
    if os.geteuid() != 0:
        _give_up("this is not root")


def require_loop_devices() -> None:
    """The same for tests that mount a file system of their own."""
    require_root()
    if not Path("/dev/loop-control").exists():
        _give_up("this machine has no loop devices")


def node_directory() -> Path:
    """Where the Node packages of the present package-lock.json belong."""
    lock = (HERE / "node" / "package-lock.json").read_bytes()
    return cache_dir() / "node" / hashlib.sha256(lock).hexdigest()[:16]


def _give_up(why: str) -> Path:
    import pytest

    text = why if why.startswith("this ") else f"{why}. Remedy: {REMEDY}"
    if os.environ.get("CI"):
        pytest.fail(text, pytrace=False)
    print(f"\nSKIPPED, NOT TESTED: {text}", file=sys.stderr)  # noqa: T201 - a skip must be seen
    pytest.skip(text)


def _node_module(name: str) -> Path:
    modules = node_directory() / "node_modules"
    if not (modules / name / "package.json").is_file():
        raise MissingToolError(f"the Node package {name} is not installed")
    return modules


def _built(name: str, module: Path, packages: str) -> Path:
    sources = sorted(path for path in module.rglob("*") if path.suffix in {".go", ".mod", ".sum"})
    digest = hashlib.sha256(repr(_GO_ENVIRONMENT).encode())
    for path in sources:
        digest.update(str(path.relative_to(HERE)).encode() + b"\0" + path.read_bytes() + b"\0")
    parent = cache_dir() / "go"
    target = parent / digest.hexdigest()[:16]
    if not (target / name).is_file():
        go = find("go")
        parent.mkdir(parents=True, exist_ok=True)
        with (parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test processes build once
            if not (target / name).is_file():
                _go_build(go, module, packages, target)
    return target / name


def _go_build(go: Path, module: Path, packages: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        done = subprocess.run(
            [str(go), "build", "-trimpath", "-buildvcs=false", "-o", scratch + "/out/", packages],
            cwd=module,
            env={**os.environ, **_GO_ENVIRONMENT},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode:
            raise MissingToolError(f"{module.name} cannot be built: {done.stderr.strip()[-2000:]}")
        shutil.rmtree(target, ignore_errors=True)
        Path(scratch, "out").rename(target)


def main(arguments: list[str]) -> int:
    """Print where the tools are. Returns 3 when some are missing."""
    say: Callable[[str], None] = (lambda _: None) if "--quiet" in arguments else print
    missing = 0
    for tool in (*PROGRAMS, *GO_PEERS, *GO_PROGRAMS, *MODULES):
        try:
            say(f"{tool:12} {find(tool)}")
        except MissingToolError as error:
            missing += 1
            print(f"MISSING      {error}", file=sys.stderr)  # noqa: T201 - a command-line tool
    return 3 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
