"""Operator and dispatcher of different releases: the operator is upgraded first, dispatchers follow one by one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cluster.e2e.operating import Operated, figure
from tests.cluster.e2e.release import Release
from tests.cluster.handle import Cluster

FIELD = '    log_level: Literal["Debug", "Info", "Warning", "Error"] = "Info"\n'
"""A line of the compiled document's model, after which a newer release has one more."""


@pytest.fixture
def operated(cluster: Cluster, namespace: str, tmp_path: Path) -> Operated:
    found = Operated(Release(cluster, namespace, tmp_path))
    found.install()
    return found


def upgrade(operated: Operated, field: str) -> None:
    """Have the operator be of a newer release: its compiled document has a field more."""
    cluster = operated.release.cluster
    deployment = f"deployment/{operated.release.name}"
    ask = "import tubepost_api.config as it; print(it.__file__)"
    path = cluster.exec(operated.namespace, deployment, "python", "-c", ask).strip()
    text = cluster.exec(operated.namespace, deployment, "cat", path)
    assert FIELD in text
    known = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("    dry_run:"))
    newer = known.replace(FIELD, f"{FIELD}    {field}\n")
    name = f"newer-{len(newer)}"
    # The image's compiled modules are trusted without a look at the source.
    look = "import _imp; _imp.check_hash_based_pycs = 'always'"
    data = {"config.py": newer, "sitecustomize.py": look}
    operated.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
    changed = {
        "name": "operator",
        "env": [{"name": "PYTHONPATH", "value": "/newer"}],
        "volumeMounts": [
            {"name": "newer", "mountPath": "/newer"},
            {"name": "newer", "mountPath": path, "subPath": "config.py"},
        ],
    }
    spec = {"volumes": [{"name": "newer", "configMap": {"name": name}}], "containers": [changed]}
    patch = json.dumps({"spec": {"template": {"spec": spec}}})
    cluster.kubectl("patch", deployment, operated.place, "--type=strategic", f"--patch={patch}")
    cluster.kubectl("rollout", "status", deployment, operated.place, "--timeout=120s", timeout=150)
    ask = "from tubepost_api.config import DispatcherConfig as it; print('dry_run' in it.model_fields)"
    assert cluster.exec(operated.namespace, deployment, "python", "-c", ask).strip() == "True"


def test_a_newer_operator_serves_with_older_dispatchers(operated: Operated) -> None:
    cluster = operated.release.cluster
    pod = operated.pod()["metadata"]["uid"]
    with operated.traffic(rate=20, sessions=2) as traffic:
        upgrade(operated, "dry_run: bool = later(False)")
        # Its changes reach the older dispatcher, which confirms them.
        operated.patch("pushdomain", "alerts", delivery={"expiry": "0s"})
        operated.ready(timeout=90)
        cluster.until("the option", lambda: operated.accepted()[-1]["expiration"] == 0, timeout=15)
        assert operated.pod()["metadata"]["uid"] == pod

        # A field that is used and that the dispatcher does not know is named, and the last good one serves on.
        upgrade(operated, 'dry_run: str = "always written"')
        cluster.until(
            "the refusal", lambda: operated.condition("Programmed")[1] == "ConfigRefused", timeout=90
        )
        assert operated.pod()["metadata"]["name"] in operated.condition("Programmed")[2]
        assert "dryRun" in cluster.logs(operated.namespace, f"pod/{operated.pod()['metadata']['name']}")
        traffic.more(20)
    figure(str(traffic.check(reconnects=False)))
    assert operated.pod()["metadata"]["uid"] == pod
