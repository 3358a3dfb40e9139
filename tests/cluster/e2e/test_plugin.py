"""`kubectl tubepost` on a real cluster: what it shows is what is there, and what it writes holds no secret."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.e2e.operating import DOMAIN, Operated, certificate, figure, secret
from tests.cluster.e2e.release import TOKEN, Release
from tests.cluster.handle import Cluster
from tests.e2e.app import get
from tests.support.pages import indented

pytestmark = pytest.mark.xdist_group("plugin")
PROGRAM = Path(sys.executable).with_name("kubectl-tubepost")
PASSWORD = "s3same-0pen"
TIMEOUT = 120


class Plugin:
    """The plugin, started by the cluster's own kubectl."""

    def __init__(self, operated: Operated) -> None:
        self.operated = operated
        cluster = operated.release.cluster
        folders = [str(PROGRAM.parent), str(cluster.kubectl_program.parent), os.environ["PATH"]]
        self.environment = {
            **os.environ,
            "KUBECONFIG": str(cluster.kubeconfig),
            "PATH": os.pathsep.join(folders),
        }

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """What it prints."""
        done = self._run(*arguments)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def any(self, *arguments: str) -> str:
        """What it prints, whether it succeeds or not."""
        done = self._run(*arguments)
        return done.stdout + done.stderr

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = str(self.operated.release.cluster.kubectl_program)
        return subprocess.run(
            [program, "tubepost", *arguments, "-n", self.operated.namespace],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))


@pytest.fixture(scope="module")
def plugin(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    """The chart, and a PushDomain with a queue and two pods whose listener knows a user."""
    with cluster.namespace("plugin") as name:
        operated = Operated(Release(cluster, name, tmp_path_factory.mktemp("release")))
        operated.install()
        operated.apply(secret("unused", certificate(), password=PASSWORD.encode()))
        operated.patch("pushdomain", "alerts", acceptance={"mode": "Queued"}, queue={"disk": {}}, replicas=2)
        operated.ready(timeout=180)
        operated.serving(2, timeout=180)
        yield Plugin(operated)


def sent(plugin: Plugin) -> str:
    """Send one; its message id."""
    reply = plugin("send", "alerts", "--token", TOKEN, "--alert", "by the plugin")
    found = re.search(r"\b[0-9a-f]{25}\b", reply)
    assert found, reply
    return found[0]


def events(plugin: Plugin, message_id: str) -> list[str]:
    """What happened to a message so far."""
    return [one["event"] for one in plugin.json("trace", message_id)["events"]]


def test_one_message_is_explained_from_smtp_to_its_outcome_and_status_counts_it(plugin: Plugin) -> None:
    cluster = plugin.operated.release.cluster
    message_id = sent(plugin)
    cluster.until("its end", lambda: "ended" in events(plugin, message_id))
    traced = plugin("trace", message_id)
    figure(traced)
    assert re.search(r"^apns-id [0-9a-f-]{36}, pod alerts-", traced, re.MULTILINE), traced
    assert f"received from tubepost@localhost for device@{DOMAIN} (client 127.0.0.1)" in traced
    assert "delivered, attempt 1 by apns" in traced
    assert message_id in plugin("logs", "alerts", "--since", "10m")

    screen = plugin("status", "alerts")
    figure(screen)
    assert max(map(len, screen.splitlines())) <= 100
    assert "\x1b" not in screen, "colours are for terminals"
    assert "2 of 2 pods ready" in screen
    (document,) = plugin.json("status", "alerts")["pushDomains"]
    attempts = [one for pod in document["pods"] for one in pod["live"]["attempts"]]
    assert sum(one["count"] for one in attempts if one["outcome"] == "delivered") >= 1


def test_what_is_suspended_waits_in_the_queue_and_is_delivered_when_it_is_resumed(plugin: Plugin) -> None:
    cluster = plugin.operated.release.cluster
    assert "suspended until" in plugin("suspend", "alerts", "--reason", "wrong text, see INC-7")
    cluster.until(
        "the condition", lambda: plugin.operated.condition("Delivering")[1] == "Suspended", timeout=120
    )
    plugin.operated.ready(timeout=120)
    cluster.until("all pods to have it", lambda: "in all pods" in plugin("status", "alerts"), timeout=180)
    message_id = sent(plugin)
    summary = json.loads(plugin("queue", "summary", "--json", "pushdomain/alerts"))
    assert sum(one["notifications"] for one in summary["groups"]) >= 1
    assert "wrong text, see INC-7" in plugin("status", "alerts")
    assert "its mode is Deliver" in plugin("resume", "alerts")
    cluster.until("its delivery", lambda: "ended" in events(plugin, message_id), timeout=180)


def test_the_inbox_page_is_a_port_forward_away(plugin: Plugin) -> None:
    # As docs/inbox.md says, but for the local port.
    cluster, namespace = plugin.operated.release.cluster, plugin.operated.namespace
    plugin("send", "alerts", "--token", TOKEN, "--alert", "to the inbox page")
    with cluster.port_forward(namespace, "service/tubepost-simulator", 2198) as port:
        here = f"http://127.0.0.1:{port}"
        assert b"<title>Inbox" in get(f"{here}/")

        def shown() -> list[str]:
            records = json.loads(get(f"{here}/api/v1/notifications"))["notifications"]
            return [record["payload"]["aps"]["alert"] for record in records]

        cluster.until("the notification", lambda: "to the inbox page" in shown(), timeout=120)


def test_a_suspension_ends_at_its_time_though_the_operator_was_restarted(plugin: Plugin) -> None:
    operated, cluster = plugin.operated, plugin.operated.release.cluster
    spec = operated.get("pushdomain", "alerts")["spec"]
    assert "the operator ends it then" in plugin("suspend", "alerts", "--reason", "INC-8", "--for", "1h")
    cluster.until("the condition", lambda: operated.condition("Delivering")[1] == "Suspended", timeout=120)
    assert ": INC-8." in operated.condition("Delivering")[2]
    for operator in operated.operators():
        cluster.kubectl("delete", "pod", operator, operated.place, "--wait=false")
    plugin("suspend", "alerts", "--reason", "INC-8", "--for", "5s")
    cluster.until("its end", lambda: operated.condition("Delivering")[1] != "Suspended", timeout=120)
    message_id = sent(plugin)
    cluster.until("a delivery", lambda: "ended" in events(plugin, message_id), timeout=180)
    assert operated.get("pushdomain", "alerts")["spec"] == spec


def test_a_report_holds_no_secret(plugin: Plugin, tmp_path: Path) -> None:
    sent(plugin)
    file = tmp_path / "report.tar.gz"
    figure(plugin("report", "-f", str(file)))
    with tarfile.open(file) as archive:
        files = {
            member.name.partition("/")[2]: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive.getmembers()
        }
    figure("\n".join(sorted(files)))
    for path in (
        "versions.json",
        "status.txt",
        "objects/pushdomains/alerts.yaml",
        "objects/apnroutes/apns.yaml",
    ):
        assert files[path], path
    assert any(path.startswith("logs/alerts-") for path in files)
    assert any(path.endswith("metrics.txt") for path in files)
    held = plugin.operated.release.cluster.get("secrets", plugin.operated.place)["items"]
    values = {TOKEN.encode(), PASSWORD.encode()}
    for one in held:
        for value in one.get("data", {}).values():
            values |= {value.encode(), *pieces(base64.b64decode(value))}
    assert len(values) > 10
    everything = b"\n".join(files.values())
    assert [value for value in values if value in everything] == []


def test_a_user_with_the_role_of_the_page_and_nothing_else_may_do_everything(
    plugin: Plugin, tmp_path: Path
) -> None:
    operated, cluster = plugin.operated, plugin.operated.release.cluster
    as_alice = ("--as", "alice")
    refused = plugin("status", "alerts", *as_alice, status=77)
    assert 'User "alice" cannot get resource "pushdomains" in API group "tubepost.io"' in refused
    assert f"--clusterrole=tubepost-user --user=alice -n {operated.namespace}`" in refused
    (role,) = [yaml.safe_load(block) for block in indented("kubectl.md") if "kind: Role" in block]
    operated.apply(role)
    cluster.kubectl("create", "rolebinding", "alice", "--role=tubepost-user", "--user=alice", operated.place)
    cluster.until(
        "her rights", lambda: "alerts  namespace" in plugin.any("status", "alerts", *as_alice), timeout=60
    )
    for words in (
        ("status", "alerts"),
        ("queue", "summary"),
        ("logs", "alerts", "--tail", "5"),
        ("suspend", "alerts", "--reason", "INC-9"),
        ("resume", "alerts"),
        ("send", "alerts", "--token", TOKEN, "--alert", "by alice"),
        ("report", "-f", str(tmp_path / "alice.tar.gz")),
    ):
        figure(plugin(*words, *as_alice))
    # And what she mistypes.
    assert "Did you mean alerts?" in plugin("status", "alrts", *as_alice, status=1)


def test_a_backup_undoes_an_edit_and_brings_back_what_was_deleted(plugin: Plugin, tmp_path: Path) -> None:
    operated, cluster = plugin.operated, plugin.operated.release.cluster
    config = tmp_path / "kubeconfig"
    config.write_bytes(cluster.kubeconfig.read_bytes())
    environment = {**plugin.environment, "KUBECONFIG": str(config)}

    def run(script: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=TIMEOUT * 2, check=False,
        )  # fmt: skip
        assert done.returncode == 0, script + done.stdout + done.stderr
        return done.stdout

    run(f"kubectl config set-context --current --namespace={operated.namespace}")
    back_up, restore = indented("backup.md")[:2]
    run(back_up)
    definitions, *rest = restore.splitlines()
    assert definitions == "kubectl apply --server-side -f crds/"  # the pages of the installation run it
    operated.patch("pushdomain", "alerts", replicas=1, acceptance={"mode": "Direct"})
    run("\n".join(rest))
    assert operated.get("pushdomain", "alerts")["spec"]["acceptance"]["mode"] == "Queued"
    run("kubectl delete pushdomains,apnroutes,apnloggers --all && kubectl delete secret apns unused")
    run("\n".join(rest))
    message_id = sent(plugin)
    cluster.until("a delivery", lambda: "ended" in events(plugin, message_id), timeout=180)


def pieces(value: bytes) -> set[bytes]:
    """A Secret's value, and its lines where it has several: a file may be quoted by lines."""
    lines = [line.strip() for line in value.splitlines()]
    return {value, *(line for line in lines if len(line) >= 16 and not line.startswith(b"-----"))}
