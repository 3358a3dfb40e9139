from __future__ import annotations

import errno
import json
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.kubectl.recorded import Recorded
from tests.cli.kubectl.situation import situation
from tubepost_cli.kubectl import report
from tubepost_cli.kubectl.cluster import ClusterFailed, Document
from tubepost_cli.kubectl.report import command
from tubepost_cli.kubectl.targets import PUSH_DOMAINS

SECRETS = (
    "0f" * 32,
    "hunter-two-and-more",
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJERUYxIn0.c2ln",
    "MIIEvQIBADANBgkq",
)
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----"


@pytest.fixture
def cluster() -> Recorded:
    """One with secrets in all the wrong places."""
    made = situation()
    device, password, jwt, _ = SECRETS
    for pod in made.kinds["pods"]:
        made.lines[pod["metadata"]["name"]] = [
            f"2026-11-30T12:00:01Z to {device}",
            f"2026-11-30T12:00:02Z authorization: bearer {jwt}",
        ]
        pod["spec"]["containers"][0]["env"] = [{"name": "RELAY_PASSWORD", "value": password}]
        pod["spec"]["containers"][0]["args"] = [f"--token={password}"]
    annotations = made.kinds[PUSH_DOMAINS][0]["metadata"].setdefault("annotations", {})
    annotations["kubectl.kubernetes.io/last-applied-configuration"] = json.dumps({"password": password})
    annotations["note"] = PEM
    config = {"name": "alerts", "policy": {"source": f"KEY = {password!r}"}}
    labels = {"tubepost.io/push-domain": "alerts"}
    made.kinds["configmaps"] = [
        {
            "metadata": {"name": "alerts-1", "labels": labels},
            "data": {"config.json": json.dumps(config), "else": password},
        }
    ]
    made.kinds["secrets"] = [{"metadata": {"name": "apns", "labels": labels}, "data": {"tls.key": PEM}}]
    made.kinds["events"][0]["message"] += f" {PEM}"
    return made


def files(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            opened = archive.extractfile(member)
            assert opened is not None
            found[member.name.partition("/")[2]] = opened.read().decode()
        return found


def test_a_bundle_has_everything_but_secrets(cluster: Recorded, tmp_path: Path) -> None:
    target = tmp_path / "report.tar.gz"
    done = CliRunner().invoke(command, ["-f", str(target)], obj=cluster)
    assert done.exit_code == 0, done.output
    found = files(target)
    everything = "\n".join(found.values()) + done.output
    assert [secret for secret in SECRETS if secret in everything] == []
    pod = cluster.kinds["pods"][0]["metadata"]["name"]
    assert {
        "versions.json",
        "status.txt",
        "missing.txt",
        "objects/pushdomains/alerts.yaml",
        "objects/apnroutes/apns.yaml",
        "objects/configmaps/alerts-1.yaml",
        f"objects/pods/{pod}.yaml",
        f"logs/{pod}.dispatcher.log",
        f"pods/{pod}/status.json",
        f"pods/{pod}/metrics.txt",
        f"pods/{pod}/queue-summary.json",
    } <= found.keys()
    assert not any("secrets" in path for path in found), "they are not even read"
    assert "alerts  namespace" in found["status.txt"]
    assert "gitVersion: v1.36.3" in found["versions.json"].replace('"', "")


def test_what_is_missing_is_in_it_and_in_the_exit_status(cluster: Recorded, tmp_path: Path) -> None:
    cluster.forbidden |= {"events", "pods/portforward"}
    target = tmp_path / "report.tar.gz"
    done = CliRunner().invoke(command, ["-f", str(target)], obj=cluster)
    assert done.exit_code == 3
    found = files(target)
    assert "not allowed: events" in found["missing.txt"]
    assert "portforward" in found["missing.txt"]
    assert "objects/pushdomains/alerts.yaml" in found


def test_a_file_that_is_there_is_not_overwritten(cluster: Recorded, tmp_path: Path) -> None:
    target = tmp_path / "report.tar.gz"
    target.write_text("mine")
    done = CliRunner().invoke(command, ["-f", str(target)], obj=cluster)
    assert done.exit_code == 1
    assert "name another file with -f" in done.output
    assert target.read_text() == "mine"


class Away(Recorded):
    def versions(self) -> Document:
        raise ClusterFailed("kubectl version: nobody answers")


def test_where_nobody_answers_no_file_is_left(tmp_path: Path) -> None:
    target = tmp_path / "report.tar.gz"
    done = CliRunner().invoke(command, ["-f", str(target)], obj=Away({}))
    assert (done.exit_code, "nobody answers" in done.stderr) == (69, True)
    assert not target.exists()


def test_a_full_disk_leaves_no_file(
    cluster: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(report, "_add", full)
    target = tmp_path / "report.tar.gz"
    done = CliRunner().invoke(command, ["-f", str(target)], obj=cluster)
    assert (done.exit_code, done.stderr) == (
        1,
        f"Error: {target} cannot be written: No space left on device. Remedy: name a file elsewhere with -f\n",
    )
    assert not target.exists()
