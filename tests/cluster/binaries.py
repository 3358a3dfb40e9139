"""The programs of the control plane, built from their Go modules with no other tool than Go.

Built once per version, under a lock, into the shared cache; ten to twenty minutes on two cores.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.cluster.layout import ClusterError, lock, root, say

KUBERNETES = "1.36.3"
_HERE = Path(__file__).resolve().parent
_GO_PATHS = ("/usr/local/go/bin", "/usr/lib/go/bin")


@dataclass(frozen=True)
class Tool:
    """One Go module graph and the programs that come out of it."""

    name: str
    version: str
    module: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    ldflags: str = ""
    main: str = ""
    """Source of a main program of our own, instead of `packages`."""


_COMMANDS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
_VERSION = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = KUBERNETES.split(".")

# CoreDNS with the plugins that the Corefile names: all of them would add the clients of three clouds.
_COREDNS_MAIN = """package main

import (
	_ "github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() { coremain.Run() }
"""

_UNITTEST = "github.com/helm-unittest/helm-unittest"

TOOLS = (
    Tool(
        "kubernetes",
        KUBERNETES,
        "k8s.io/kubernetes",
        tuple(f"k8s.io/kubernetes/cmd/{command}" for command in _COMMANDS),
        _COMMANDS,
        f"-X {_VERSION}.gitVersion=v{KUBERNETES} -X {_VERSION}.gitMajor={_MAJOR} -X {_VERSION}.gitMinor={_MINOR}",
    ),
    Tool("etcd", "3.6.7", "go.etcd.io/etcd/server/v3", ("go.etcd.io/etcd/server/v3",), ("etcd",)),
    Tool("coredns", "1.13.1", "github.com/coredns/coredns", (), ("coredns",), main=_COREDNS_MAIN),
    Tool("helm", "4.3.1", "helm.sh/helm/v4", ("helm.sh/helm/v4/cmd/helm",), ("helm",)),
    Tool("helm-unittest", "1.1.2", _UNITTEST, (f"{_UNITTEST}/cmd/helm-unittest",), ("helm-unittest",)),
)
_INIT = "init"


def directory(tool: Tool) -> Path:
    """Where the programs of `tool` are kept."""
    recipe = sha256(repr(tool).encode()).hexdigest()[:8]
    return root() / "tools" / f"{tool.name}-{tool.version}-{recipe}"


def program(name: str) -> Path:
    """The path of a built program (`kubectl`, `helm`, `etcd`, ...; `init` is the node's first process)."""
    if name == _INIT:
        source = (_HERE / "go" / "init" / "main.go").read_bytes()
        return root() / "tools" / f"init-{sha256(source).hexdigest()[:8]}" / "tubepost-cluster-init"
    tool = next(tool for tool in TOOLS if name in tool.programs)
    return directory(tool) / name


def missing() -> list[str]:
    """The programs that are not built yet."""
    names = [name for tool in TOOLS for name in tool.programs]
    return [name for name in (*names, _INIT) if not program(name).exists()]


def go() -> str | None:
    """The Go command, or None."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *_GO_PATHS))
    return shutil.which("go", path=path)


def build() -> None:
    """Build what is missing.

    Raises:
        ClusterError: there is no Go, or a build fails.
    """
    if not missing():
        return
    with lock("tools"):
        for name in missing():
            if name == _INIT:
                _build_init()
            elif not program(name).exists():
                _build(next(tool for tool in TOOLS if name in tool.programs))


def _build_init() -> None:
    target = program(_INIT)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_suffix(".new")
    _go(_HERE / "go" / "init", "build", "-trimpath", "-ldflags=-s -w", "-o", str(scratch), ".")
    scratch.replace(target)


def _build(tool: Tool) -> None:
    say(f"building {tool.name} {tool.version} from its Go modules; this happens once")
    target = directory(tool)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{tool.name}-", dir=target.parent))
    try:
        source, programs = scratch / "source", scratch / "programs"
        source.mkdir()
        programs.mkdir()
        (source / "go.mod").write_text(_go_mod(tool))
        if tool.main:
            (source / "main.go").write_text(tool.main)
            _go(source, "get", f"{tool.module}@v{tool.version}")
            _go(source, "mod", "tidy")
        else:
            _go(source, "get", "-tool", *(f"{package}@v{tool.version}" for package in tool.packages))
        flags = ("-trimpath", f"-ldflags=-s -w {tool.ldflags}".rstrip())
        for name, package in zip(tool.programs, tool.packages or (".",), strict=True):
            _go(source, "build", *flags, "-o", str(programs / name), package)
        shutil.rmtree(target, ignore_errors=True)
        programs.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _go_mod(tool: Tool) -> str:
    """The go.mod to build from: the program's Go version and replaced modules, for Kubernetes its staging modules.

    k8s.io/kubernetes requires its staging modules at v0.0.0, which only its own repository resolves; they are
    published as v0.MINOR.PATCH.
    """
    answer = _go(root(), "mod", "download", "-json", f"{tool.module}@v{tool.version}", output=True)
    lines = Path(json.loads(answer)["GoMod"]).read_text().splitlines()
    version = next(line for line in lines if line.startswith("go "))
    staging = sorted({words[0] for words in map(str.split, lines) if words[1:2] == ["v0.0.0"]})
    published = f"v0.{tool.version.partition('.')[2]}"
    replaced = [f"replace {module} => {module} {published}" for module in staging]
    # Modules of other names in place of some; those in directories beside the program are not published.
    replaced += [line for line in lines if line.startswith("replace ") and "=> ." not in line]
    return "\n".join([f"module cluster/{tool.name}", version, *replaced, ""])


def _go(directory: Path, *arguments: str, output: bool = False) -> str:
    found = go()
    if found is None:
        raise ClusterError(
            "Go is not installed: the control plane is built from its modules (https://go.dev/dl)"
        )
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "auto",
        "GOWORK": "off",
    }
    command: Sequence[str] = (found, *arguments)
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ClusterError(f"go {' '.join(arguments[:3])} failed:\n{done.stderr[-4000:]}")
    return done.stdout if output else ""
