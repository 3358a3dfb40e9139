"""Releases: one version everywhere, a workflow that publishes what the chart asks for, bills of materials, audits."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


supply_chain = script("supply_chain")
release_check = script("release_check")
image_wheels = script("image_wheels")


def test_every_place_names_the_same_version() -> None:
    assert set(release_check.named().values()) == {version("tubepost")}


@pytest.mark.parametrize(
    ("file", "old", "place"),
    [
        ("charts/tubepost/Chart.yaml", f"appVersion: {version('tubepost')}", "Chart.yaml, appVersion"),
        (
            "charts/tubepost/Chart.yaml",
            f"operator:{version('tubepost')}",
            "Chart.yaml, artifacthub.io/images",
        ),
        ("CHANGELOG.md", f"## [{version('tubepost')}] - ", "CHANGELOG.md, newest release"),
        (
            "deploy/tubepost.yaml",
            f"tubepost/dispatcher:{version('tubepost')}",
            "deploy/tubepost.yaml, images",
        ),
    ],
)
def test_a_place_that_was_forgotten_is_found(tmp_path: Path, file: str, old: str, place: str) -> None:
    for name in ("pyproject.toml", "CHANGELOG.md", "charts/tubepost/Chart.yaml", "deploy/tubepost.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, old.replace(version("tubepost"), "9.9.9")))
    assert release_check.named(tmp_path)[place] != version("tubepost")


def test_the_workflow_publishes_what_the_chart_asks_for() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    values = yaml.safe_load((ROOT / "charts" / "tubepost" / "values.yaml").read_text())
    images = workflow["jobs"]["images"]["strategy"]["matrix"]["image"]
    for image in (values["image"], values["dispatcher"]["image"], values["simulator"]["image"]):
        assert image["registry"] == ""
        prefix, _, name = f"docker.io/{image['repository']}".rpartition("/")
        assert prefix == workflow["env"]["PREFIX"]
        assert name in images
    dockerfile = (ROOT / "images" / "Dockerfile").read_text()
    assert all(f" AS {name}\n" in dockerfile for name in images)
    # Nothing is published untested, and only a published thing is signed.
    assert workflow["jobs"]["images"]["needs"] == "test"
    assert workflow["jobs"]["chart"]["needs"] == "images"
    commands = json.dumps(workflow["jobs"])
    targets = (ROOT / "Makefile").read_text()
    assert "dist/tubepost-*.whl" in commands
    for target in ("release-check", "audit", "sbom", "dist"):
        assert f"make {target}" in commands
        assert f"\n{target}:" in targets
    # A right to write is a job's that needs it.
    assert workflow["permissions"] == {"contents": "read"}


LOCK = """a==1.0 \\
    --hash=sha256:{one} \\
    --hash=sha256:{two}
b-c==2.0 ; sys_platform != 'win32' \\
    --hash=sha256:{one}
""".format(one="1" * 64, two="2" * 64)


def component(name: str, number: str, *hashes: str) -> dict[str, Any]:
    reference = {"hashes": [{"alg": "SHA-256", "content": item} for item in hashes]}
    return {"name": name, "version": number, "externalReferences": [reference]}


def test_a_bill_of_materials_has_all_that_is_locked() -> None:
    whole = [component("a", "1.0", "1" * 64, "2" * 64), component("b-c", "2.0", "1" * 64)]
    assert supply_chain.missing(LOCK, {"components": whole}) == []
    assert supply_chain.missing(LOCK, {"components": whole[:1]}) == ["b-c 2.0"]
    assert supply_chain.missing(LOCK, {"components": [component("a", "1.0", "1" * 64), whole[1]]}) == [
        "a 1.0"
    ]


@pytest.mark.parametrize("name", supply_chain.ALL_LOCKS)
def test_every_lock_file_is_understood(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    found = supply_chain.locked(text)
    assert len(found) == text.count("==") - text.count("== '")
    assert all(found.values())


def test_every_lock_file_is_asked_about() -> None:
    assert {path.stem for path in (ROOT / "requirements").glob("*.lock")} == set(supply_chain.ALL_LOCKS)


def test_findings_and_silence_are_told_apart() -> None:
    report = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2", "3"]}]},
            {"name": "b", "version": "1", "vulns": [{"id": "PYSEC-2", "fix_versions": []}]},
            {"name": "c", "skip_reason": "not found"},
            {"name": "d", "version": "1", "vulns": []},
        ]
    }
    known, silent = supply_chain.findings(report)
    assert known == ["a 1: PYSEC-1. Remedy: upgrade to 2 or 3", "b 1: PYSEC-2. Remedy: none yet"]
    assert silent == ["c"]


@pytest.mark.parametrize(
    ("output", "strict", "status"),
    [
        ('{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}', True, 0),
        (
            '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X", "fix_versions": []}]}]}',
            False,
            1,
        ),
        ('{"dependencies": [{"name": "a", "skip_reason": "not found"}]}', False, 0),
        ('{"dependencies": [{"name": "a", "skip_reason": "not found"}]}', True, 1),
        ("", False, 0),
        ("", True, 1),
    ],
)
def test_an_index_that_says_nothing_fails_where_it_must(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str, *, strict: bool, status: int
) -> None:
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\necho 'no route to the index' >&2\n")
    program.chmod(0o755)
    assert supply_chain.audit(tmp_path, strict=strict) == status
    said = capsys.readouterr().err
    assert ("NOT AUDITED" in said) == ("skip_reason" in output or not output)


def test_wheels_are_looked_for_on_the_platforms_and_in_the_locks_of_the_images() -> None:
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert f"platforms: {','.join(image_wheels.PLATFORMS)}\n" in workflow
    dockerfile = (ROOT / "images" / "Dockerfile").read_text()
    installed = set(re.findall(r"requirements/([a-z]+)\.lock", dockerfile))
    assert installed == set(image_wheels.LOCKS)
    assert f"python:{image_wheels.VERSION}-" in dockerfile


def test_what_is_in_the_images_does_not_depend_on_the_processor() -> None:
    for lock in image_wheels.LOCKS:
        assert "platform_machine" not in (ROOT / "requirements" / f"{lock}.lock").read_text(), lock
    for path in (ROOT / "images").iterdir():
        assert not re.search(r"x86_64|aarch64", path.read_text()), path


def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str) -> Path:
    """Stands for Python with pip: writes down what it was asked, and says what it is told to."""
    program, asked = tmp_path / "python", tmp_path / "asked"
    program.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n{lines}\n')
    program.chmod(0o755)
    monkeypatch.setattr(image_wheels.sys, "executable", str(program))
    return asked


def test_a_requirement_without_a_wheel_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = pip(
        tmp_path,
        monkeypatch,
        'case "$*" in *aarch64*operator.lock) echo "ERROR: No matching distribution: uvloop" >&2; exit 1;; esac',
    )
    assert image_wheels.main([]) == 1
    said = capsys.readouterr().err.strip()
    assert (
        said
        == "requirements/operator.lock has no wheels for linux/arm64: ERROR: No matching distribution: uvloop"
    )
    assert len(asked.read_text().splitlines()) == len(image_wheels.PLATFORMS) * len(image_wheels.LOCKS)
    assert all("--require-hashes" in line and "--dry-run" in line for line in asked.read_text().splitlines())


def test_wheels_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = pip(tmp_path, monkeypatch, "exit 0")
    assert image_wheels.main(["linux/arm64"]) == 0
    assert "x86_64" not in asked.read_text()
    assert image_wheels.main(["linux/vax"]) == 2
