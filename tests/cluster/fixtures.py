"""Pytest fixtures: one cluster for the whole test run, shared by all xdist workers.

Which cluster:
  TUBEPOST_TEST_KUBECONFIG  somebody else's (kind, a cloud); TUBEPOST_TEST_IMAGES says where its images are:
                            `registry.example/tubepost/{}:0.1.0`, {} being operator, dispatcher or simulator;
                            a mere prefix gets the target and `:test` appended
  TUBEPOST_TEST_CLUSTER     one of this machine that `python -m tests.cluster up` started: quick while developing
  otherwise                 a new one, taken down at the end of the test run, however that ends

Where a new one is not possible, tests are skipped loudly; in CI (the variable CI is set) they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import binaries, lifecycle, means
from tests.cluster.faults import Faults
from tests.cluster.handle import Cluster
from tests.cluster.layout import ClusterError
from tests.cluster.reader import Reader

KUBECONFIG = "TUBEPOST_TEST_KUBECONFIG"
IMAGES = "TUBEPOST_TEST_IMAGES"
NAMED = "TUBEPOST_TEST_CLUSTER"
_OWNER = "TUBEPOST_TEST_OWNER"
"""Number of the process that the new cluster belongs to; xdist's workers inherit it."""


def claim() -> None:
    """To be called early in the main process of pytest: a new cluster will belong to it, not to a worker."""
    os.environ.setdefault(_OWNER, str(os.getpid()))


def release() -> None:
    """To be called at the end of each pytest process: the owner takes its cluster down."""
    owner = os.environ.get(_OWNER)
    if owner == str(os.getpid()):
        lifecycle.down(_name(owner))


def _name(owner: str) -> str:
    return f"e2e-{owner}"


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """A running cluster with the project's images."""
    if path := os.environ.get(KUBECONFIG):
        return _foreign(Path(path))
    claim()
    name = os.environ.get(NAMED)
    if not os.environ.get("CI") and (missing := lacking()):
        pytest.skip(f"\n{'*' * 100}\nSKIPPED: {means.explain(missing)}\n{'*' * 100}")
    owner = os.environ[_OWNER]
    try:
        return own(lifecycle.up(name) if name else lifecycle.up(_name(owner), owner=int(owner)))
    except ClusterError as error:
        problem = str(error)
    pytest.fail(problem, pytrace=False)


def own(state: lifecycle.State) -> Cluster:
    """The handle of one of our own clusters."""
    kubectl, helm = binaries.program("kubectl"), binaries.program("helm")
    return Cluster(state.kubeconfig, kubectl, helm, faults=Faults(state), reader=Reader.of(state.kubeconfig))


@pytest.fixture
def faults(cluster: Cluster) -> Faults:
    """What can be broken on our own node; the test is skipped on somebody else's cluster."""
    if cluster.faults is None:
        pytest.skip(f"needs the test cluster's own node: unset {KUBECONFIG}")
    return cluster.faults


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of its own that enforces Pod Security `restricted`."""
    with cluster.namespace(request.node.name.removeprefix("test_")) as name:
        yield name


def _foreign(kubeconfig: Path) -> Cluster:
    images = os.environ.get(IMAGES, "docker.io/tubepost/{}:0.1.0")
    pattern = images if "{}" in images else images + "{}:test"
    found = {name: shutil.which(name) for name in ("kubectl", "helm")}
    if missing := [name for name, path in found.items() if path is None]:
        pytest.fail(f"{' and '.join(missing)}: not installed, but {KUBECONFIG} is set", pytrace=False)
    return Cluster(kubeconfig, Path(str(found["kubectl"])), Path(str(found["helm"])), images=pattern)


def lacking() -> list[str]:
    """What this machine lacks that `up` will not get by itself."""
    try:
        means.install()
    except ClusterError as error:
        return [str(error)]
    return means.lacking()
