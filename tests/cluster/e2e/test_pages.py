"""The commands of README.md and of pages in docs/, word for word, in their order, from a copy of the sources.

On a cluster of its own: the pages install for the whole cluster, and bring the cluster up themselves.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.cluster import fixtures, lifecycle, means
from tests.cluster.e2e.release import definition
from tests.cluster.layout import PROJECT

pytestmark = [pytest.mark.xdist_group("pages"), pytest.mark.timeout(600)]


def snippets(page: str, section: str = "") -> list[str]:
    """The indented blocks of a page (or one of its sections): what a reader pastes into a shell."""
    text = page.partition(f"## {section}\n")[2].partition("\n## ")[0] if section else page
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", text, re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE).strip("\n") for block in blocks if block.strip()]


@dataclass
class Shell:
    """A shell in which one snippet is run after the other; what one exports, the next one has."""

    directory: Path
    exported: Path
    cluster: str

    def run(self, snippet: str) -> str:
        """What it prints.

        Raises:
            AssertionError: a command of it failed.
        """
        script = f"set -eu\nsource {self.exported}\n{snippet}\nexport -p > {self.exported}\n"
        began = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.directory,
            env={**os.environ, "TUBEPOST_TEST_CLUSTER": self.cluster},
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        print(f"{time.monotonic() - began:5.1f} s  {snippet.splitlines()[0]}")  # noqa: T201 - how long a reader waits
        assert done.returncode == 0, f"{snippet}\n\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """In a copy of the sources as they are, with this environment's packages."""
    if not os.environ.get("CI") and (missing := fixtures.lacking()):
        pytest.skip(f"the pages bring up a cluster of this machine: {means.explain(missing)}")
    copy = tmp_path / "tubepost"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    for name in listed:
        if (PROJECT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, copy / name)
    (copy / ".venv").symlink_to(PROJECT / ".venv")
    # Or make would find the environment older than these, and install this copy into it.
    for made_of in (copy / "pyproject.toml", *(copy / "requirements").glob("*.lock")):
        os.utime(made_of, (0, 0))
    exported = tmp_path / "exported"
    exported.touch()
    name = f"pages-{os.getpid()}"
    try:
        yield Shell(copy, exported, name)
    finally:
        lifecycle.down(name)


def test_snippets_are_what_is_indented() -> None:
    page = "# A\n\nx:\n\n    one\n      two\n\n    three\n\ny\n\n```yaml\n    no\n```\n\n## B\n\n    four\n"
    assert snippets(page) == ["one\n  two\n\nthree", "four"]
    assert snippets(page, "B") == ["four"]


def test_the_readmes_installation_and_the_pages_after_it(shell: Shell) -> None:
    page = (shell.directory / "README.md").read_text()
    cluster_up, *install = snippets(page, "Install in a cluster")
    shell.run(cluster_up)  # with images that are compiled, unless an earlier build has left them
    began = time.monotonic()
    answers = [shell.run(snippet) for snippet in install]
    assert len(answers) == 2
    assert "delivered: 250" in answers[-1]
    took = time.monotonic() - began
    assert took < 120, f"{took:.0f} s"
    # The pages after it are for the PushDomain that it has made.
    shell.run("kubectl config set-context --current --namespace=tubepost")
    (logs,) = [
        snippet
        for snippet in snippets((shell.directory / "docs" / "operator.md").read_text())
        if " logs " in snippet
    ]
    assert '"message":' in shell.run(logs)
    for page in ("operator.md", "sidecar.md"):
        answers = [shell.run(snippet) for snippet in snippets((shell.directory / "docs" / page).read_text())]
        assert answers, page
    assert "delivered: 250" in answers[0]
    # As much of the Prometheus operator as Helm has to know.
    definitions = [
        definition(kind, "monitoring.coreos.com")
        for kind in ("ServiceMonitor", "PodMonitor", "PrometheusRule")
    ]
    (shell.directory / "monitoring.yaml").write_text(yaml.safe_dump_all(definitions))
    shell.run(
        "kubectl apply -f monitoring.yaml && kubectl wait --for=condition=Established -f monitoring.yaml"
    )
    (snippet,) = snippets((shell.directory / "docs" / "grafana.md").read_text())
    shell.run(snippet)
    objects = shell.run("kubectl get servicemonitors,podmonitors,prometheusrules,configmaps -o name")
    for name in ("tubepost-operator", "tubepost-dispatchers", "tubepost-sidecars", "tubepost-dashboards"):
        assert f"/{name}\n" in objects
    # Without undoing what was set before.
    assert "tubepost-simulator" in shell.run("kubectl get deployments -o name")


def test_the_page_of_the_installation(shell: Shell) -> None:
    page = (shell.directory / "docs" / "install.md").read_text()
    for name, source in (("apn.crt", "client.crt"), ("apn.key", "client.key")):
        # What the page says that the reader has from Apple.
        shell.run(
            f"test -f apple/{source} || .venv/bin/tubepost credentials make -o apple; cp apple/{source} {name}"
        )
    began = time.monotonic()
    answers = {snippet: shell.run(snippet) for snippet in snippets(page)}

    def answer(part: str) -> str:
        (found,) = (text for snippet, text in answers.items() if part in snippet)
        return found

    assert "Succeeded" in answer("helm test ")
    assert "delivered: 250" in answer("tubepost send")
    assert "Hello" in answer("proxy/api/v1/notifications")
    assert "pushdomain.tubepost.io/alerts condition met" in answer("environment: Production")
    for command in ("--set-file simulator.clientCa", "helm uninstall ", "deploy/tubepost.yaml\nkubectl"):
        answer(command)
    took = time.monotonic() - began
    assert took < 500, f"{took:.0f} s"
