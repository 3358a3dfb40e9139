"""Runs helm on the chart."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import binaries

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "tubepost"
REMEDY = "install helm, or run: python -m tests.cluster build"
Document = dict[str, Any]
Values = Mapping[str, Any]


def installed() -> Path | None:
    """Helm: the one on PATH, else the one that the test cluster has built."""
    found = os.environ.get("HELM") or shutil.which("helm")
    if found:
        return Path(found)
    built = binaries.program("helm")
    return built if built.exists() else None


def find() -> Path:
    """Helm; where there is none the test fails in CI, and is skipped loudly elsewhere."""
    if found := installed():
        return found
    text = f"helm is not here. Remedy: {REMEDY}"
    if os.environ.get("CI"):
        pytest.fail(text, pytrace=False)
    print(f"\nSKIPPED, NOT TESTED: {text}", file=sys.stderr)  # noqa: T201 - a skip must be seen
    pytest.skip(text)


@dataclass(frozen=True)
class Result:
    """What helm said."""

    code: int
    output: str
    errors: str


def helm(*arguments: str, values: Values | None = None) -> Result:
    """Run helm, with a values file where values are given."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "values.json"
        path.write_text(json.dumps(values or {}))
        chosen = ["--values", str(path)] if values else []
        done = subprocess.run(
            [str(find()), *arguments, *chosen],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
            # Its own directories: what the user has configured must not matter.
            env={
                **os.environ,
                "HELM_CACHE_HOME": directory,
                "HELM_CONFIG_HOME": directory,
                "HELM_DATA_HOME": directory,
            },
        )
    return Result(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Objects:
    """What the chart makes of some values."""

    all: list[Document] = field(default_factory=list)

    def __iter__(self) -> Iterator[Document]:
        return iter(self.all)

    def of(self, *kinds: str) -> list[Document]:
        return [document for document in self.all if document["kind"] in kinds]

    def one(self, kind: str, name: str | None = None) -> Document:
        """The only object of this kind (and name)."""
        found = [item for item in self.of(kind) if name in (None, item["metadata"]["name"])]
        assert len(found) == 1, f"{len(found)} of {kind} {name}"
        return found[0]

    @property
    def kinds(self) -> set[str]:
        return {document["kind"] for document in self.all}

    @property
    def operator(self) -> Document:
        """The operator's Deployment."""
        (found,) = [
            item
            for item in self.of("Deployment")
            if item["metadata"]["labels"]["app.kubernetes.io/name"].endswith("-operator")
        ]
        return found

    @property
    def arguments(self) -> list[str]:
        """The operator's command line."""
        (container,) = self.operator["spec"]["template"]["spec"]["containers"]
        return list(container["args"])

    def pod_specs(self) -> Iterable[tuple[str, Document]]:
        """Every pod, by itself or in a template."""
        for document in self.all:
            if document["kind"] == "Pod":
                yield document["metadata"]["name"], document["spec"]
            elif document["kind"] in {"Deployment", "Job"}:
                yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def render(
    values: Values | None = None,
    *,
    release: str = "tubepost",
    namespace: str = "push",
    chart: Path = CHART,
) -> Objects:
    """Render the chart."""
    result = helm("template", release, str(chart), "--namespace", namespace, values=values)
    assert result.code == 0, result.errors
    # The loader in C: the definitions alone are 60 kB.
    return Objects([document for document in yaml.load_all(result.output, yaml.CSafeLoader) if document])


def sub_chart(directory: Path) -> Path:
    """A parent chart with ours in it, in `directory`."""
    parent = directory / "parent"
    (parent / "charts").mkdir(parents=True)
    (parent / "charts" / "tubepost").symlink_to(CHART)
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    dependency = {"name": "tubepost", "version": version, "condition": "tubepost.enabled"}
    chart = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(chart))
    return parent


def refused(values: Values) -> str:
    """What helm says when the values are wrong."""
    result = helm("template", "tubepost", str(CHART), values=values)
    assert result.code != 0, "these values are taken"
    return result.errors
