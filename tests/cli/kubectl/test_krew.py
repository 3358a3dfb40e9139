"""The manifest for krew, and the launcher that it installs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

KREW = Path(__file__).resolve().parents[3] / "deploy" / "krew"
LAUNCHER = KREW / "kubectl-tubepost"


def manifest(tag: str) -> dict[str, Any]:
    """As krew's release bot fills it in."""
    text = (KREW / "tubepost.yaml").read_text()

    def archive(found: re.Match[str]) -> str:
        return f"uri: {found[2]}\n{found[1]}sha256: {'ab' * 32}"

    text = re.sub(r'( *)\{\{addURIAndSha "(.+?)" \.TagName \}\}', lambda m: m[1] + archive(m), text)
    return dict(yaml.safe_load(text.replace("{{ .TagName }}", tag)))


def test_the_manifest_installs_the_launcher() -> None:
    document = manifest("v1.2.3")
    assert document["spec"]["version"] == "v1.2.3"
    assert document["metadata"]["name"] == "tubepost"
    assert len(document["spec"]["shortDescription"]) <= 50
    (platform,) = document["spec"]["platforms"]
    assert platform["uri"].endswith("/v1.2.3.tar.gz")
    assert platform["bin"] == LAUNCHER.name
    named = {entry["from"].partition("/")[2] for entry in platform["files"]}
    assert all((KREW.parents[1] / path).is_file() for path in named)


def test_krew_finds_in_the_archive_what_the_manifest_names() -> None:
    # What krew's own validate-krew-manifest asks for, and its search for `from` in the unpacked archive.
    document = manifest("v1.2.3")
    assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
    assert re.fullmatch(r"v\d+\.\d+\.\d+", document["spec"]["version"])
    assert set(document["spec"]) <= {
        *("version", "homepage", "shortDescription", "description", "caveats", "platforms")
    }
    (platform,) = document["spec"]["platforms"]
    assert re.fullmatch("[0-9a-f]{64}", platform["sha256"])
    listed = subprocess.run(
        ["git", "ls-files"], cwd=KREW.parents[1], capture_output=True, text=True, check=True
    ).stdout.split()
    archive = [f"tubepost-1.2.3/{name}" for name in listed]
    installed = []
    for entry in platform["files"]:
        pattern = re.escape(entry["from"]).replace(re.escape("*"), "[^/]*")
        (found,) = (name for name in archive if re.fullmatch(pattern, name))
        assert entry["to"] == "."
        installed.append(Path(found).name)
    assert platform["bin"] in installed
    assert os.access(LAUNCHER, os.X_OK)


def test_the_launcher_runs_the_package() -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [LAUNCHER, "--version"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("kubectl-tubepost, version ")


def test_without_the_package_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", LAUNCHER], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 69
    assert "pip install tubepost" in done.stderr
