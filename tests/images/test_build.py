"""`images/build` with engines that only write down what they are asked for."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
VERSION = version("tubepost")
TARGETS = ("operator", "dispatcher", "simulator")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A directory for PATH with all programs; what they are called with is in `log` beside them."""
    directory = tmp_path / "tools"
    directory.mkdir()
    for name in ("docker", "podman", "buildah", "kind", "k3d", "minikube"):
        program = directory / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> "$LOG"\n')
        program.chmod(0o755)
    return directory


def build(tools: Path, *arguments: str) -> tuple[int, str, list[str]]:
    """Exit status, output, and what was called."""
    log = tools / "log"
    path = f"{tools}:{Path(os.environ['PATH'].split(':')[0])}:/usr/bin:/bin"
    done = subprocess.run(
        [ROOT / "images" / "build", *arguments],
        env={"PATH": path, "LOG": str(log)},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    calls = log.read_text().splitlines() if log.exists() else []
    return done.returncode, done.stdout + done.stderr, [call for call in calls if call != "docker version"]


@pytest.mark.parametrize("engine", ["docker", "podman", "buildah"])
def test_the_names_are_those_that_the_chart_asks_for(tools: Path, engine: str) -> None:
    code, output, calls = build(tools, "--engine", engine)
    assert code == 0, output
    values = yaml.safe_load((ROOT / "charts" / "tubepost" / "values.yaml").read_text())
    wanted = [values["image"], values["dispatcher"]["image"], values["simulator"]["image"]]
    for call, target, image in zip(calls, TARGETS, wanted, strict=True):
        assert call.startswith(f"{engine} build --file images/Dockerfile --target {target} ")
        # With its registry: podman and buildah would make it localhost/..., which no node resolves.
        assert call.endswith(f" --tag docker.io/{image['repository']}:{VERSION} .")
        assert ("--ignorefile images/Dockerfile.dockerignore" in call) == (engine != "docker")
    assert "nothing; the chart asks for them by default" in output


@pytest.mark.parametrize(
    ("engine", "place", "commands"),
    [
        ("docker", "kind", ["kind load docker-image {name} --name kind"]),
        ("docker", "k3d", ["k3d image import {name} --cluster k3s-default"]),
        ("docker", "minikube", ["minikube image load {name} --profile minikube"]),
        (
            "podman",
            "kind",
            [
                "podman save --format docker-archive --output {file} {name}",
                "kind load image-archive {file} --name kind",
            ],
        ),
        (
            "podman",
            "k3d",
            [
                "podman save --format docker-archive --output {file} {name}",
                "k3d image import {file} --cluster k3s-default",
            ],
        ),
        (
            "buildah",
            "minikube",
            [
                "buildah push {name} docker-archive:{file}:{name}",
                "minikube image load {file} --profile minikube",
            ],
        ),
    ],
)
def test_they_are_loaded_into_a_cluster(tools: Path, engine: str, place: str, commands: list[str]) -> None:
    code, output, calls = build(tools, "--engine", engine, "--load", place)
    assert code == 0, output
    for target in TARGETS:
        name = f"docker.io/tubepost/{target}:{VERSION}"
        (archive,) = {word for call in calls for word in call.split() if word.endswith(f"/{target}.tar")} or {
            ""
        }
        for command in commands:
            assert command.format(name=name, file=archive) in calls


def test_several_platforms_are_pushed_as_one(tools: Path) -> None:
    arguments = (
        "--prefix=registry.example:5000/push",
        "--tag=9",
        "--platforms=linux/amd64,linux/arm64",
        "--push",
    )
    code, output, calls = build(tools, "--engine=docker", *arguments)
    assert code == 0, output
    assert all(call.startswith("docker buildx build ") and call.endswith(" --push .") for call in calls)
    assert "--set global.imageRegistry=registry.example:5000 --set image.repository=push/operator" in output
    assert "--set-string dispatcher.image.tag=9" in output
    _, _, calls = build(tools, "--engine=podman", *arguments)
    name = "registry.example:5000/push/dispatcher:9"
    assert f"podman manifest push --all {name} docker://{name}" in calls


def test_the_first_engine_that_works_is_taken(tools: Path) -> None:
    _, _, calls = build(tools)
    assert calls[0].startswith("docker build")
    (tools / "docker").write_text("#!/bin/sh\nexit 1\n")
    _, _, calls = build(tools)
    assert calls[-1].startswith("podman build")


def test_the_projects_own_cluster_builds_by_itself(tools: Path) -> None:
    code, output, calls = build(tools, "--load=cluster", "--dry-run", "--cluster=other")
    assert (code, calls) == (0, [])
    assert f"-m tests.cluster --name other images --as 'docker.io/tubepost/{{}}:{VERSION}'" in output


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--engine=docker", "--platforms=linux/amd64,linux/arm64"], "add --push"),
        (["--platforms=linux/amd64,linux/arm64", "--push", "--load=kind"], "one platform"),
        (["--prefix=tubepost"], "docker.io/tubepost"),
        (["--base=registry.example/python:3"], "--pure"),
    ],
)
def test_what_cannot_be_is_said_with_the_remedy(tools: Path, arguments: list[str], word: str) -> None:
    code, output, calls = build(tools, *arguments)
    assert (code, calls) == (2, [])
    assert word in output
    assert "Remedy: " in output


def test_pure_images_need_no_compiler(tools: Path) -> None:
    _, _, calls = build(tools, "--engine=docker", "--base=registry.example/python:3")
    assert not calls
    code, output, calls = build(tools, "--engine=docker", "--base=registry.example/python:3", "--pure")
    assert code == 0, output
    for call in calls:
        assert "--build-arg MODULES=pure " in call
        assert "--build-arg BASE=registry.example/python:3 " in call
        assert "--build-arg BUILDER=registry.example/python:3 " in call
    _, _, calls = build(tools, "--engine=docker", "--base=b/python:3", "--builder=b/with-gcc:3")
    assert len(calls) == 2 * len(TARGETS)
    assert "--build-arg BUILDER=b/with-gcc:3 " in calls[-1]
    assert "MODULES" not in calls[-1]


def test_a_failure_ends_it(tools: Path) -> None:
    (tools / "podman").write_text("#!/bin/sh\nexit 3\n")
    code, output, _ = build(tools, "--engine=podman")
    assert code == 1
    assert "podman ended with status 3" in output
