"""kubectl is a script here, which answers as kubectl does; the cluster's tests run the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.kubectl.recorded import serving
from tubepost_cli.kubectl.cluster import ClusterFailed, NotAllowed
from tubepost_cli.kubectl.command import Kubectl

FORBIDDEN = (
    'Error from server (Forbidden): pods is forbidden: User "alice" cannot list resource "pods" in API group '
    '"" in the namespace "shop"'
)


def program(directory: Path, script: str) -> str:
    file = directory / "kubectl"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


def test_options_are_handed_on_and_the_answer_is_read(tmp_path: Path) -> None:
    kubectl = Kubectl(["--context=c"], program(tmp_path, """echo "{\\"items\\": [\\"$*\\"]}" """), "shop")
    assert kubectl.objects("pods", selector="a=b") == [
        "get pods --selector=a=b --output=json --namespace=shop --context=c"
    ]
    assert kubectl.objects("pods", everywhere=True) == [
        "get pods --all-namespaces --output=json --namespace=shop --context=c"
    ]


def test_a_patch_is_json(tmp_path: Path) -> None:
    kubectl = Kubectl([], program(tmp_path, f'printf "%s\\n" "$@" > {tmp_path}/words'))
    kubectl.patch("pushdomains.tubepost.io", "alerts", [{"op": "test", "path": "/a", "value": "'$(x)"}])
    assert (tmp_path / "words").read_text().splitlines() == [
        "patch",
        "pushdomains.tubepost.io",
        "alerts",
        "--type=json",
        """--patch=[{"op": "test", "path": "/a", "value": "'$(x)"}]""",
    ]


def test_a_failure_is_an_error_with_its_words(tmp_path: Path) -> None:
    kubectl = Kubectl([], program(tmp_path, f"echo '{FORBIDDEN}' >&2; exit 1"))
    with pytest.raises(NotAllowed, match="create rolebinding"):
        kubectl.object("pods", "x")
    with pytest.raises(NotAllowed):
        list(kubectl.logs("x", "dispatcher"))
    with pytest.raises(NotAllowed), kubectl.forward("x", [9091]):
        pass


def test_without_kubectl_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(ClusterFailed, match="install kubectl"):
        Kubectl([], str(tmp_path / "none")).versions()


def test_an_answer_that_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ClusterFailed, match="did not answer in JSON"):
        Kubectl([], program(tmp_path, "echo hello")).versions()


def test_logs_are_lines_and_a_reader_may_stop(tmp_path: Path) -> None:
    kubectl = Kubectl([], program(tmp_path, "while true; do echo 2026-11-30T12:00:00Z a line; done"))
    lines = kubectl.logs("x", "dispatcher", follow=True)
    assert next(lines) == "2026-11-30T12:00:00Z a line"
    lines.close()  # type: ignore[attr-defined]


def test_a_forward_gives_ports_and_its_process_goes_with_it(tmp_path: Path) -> None:
    with serving(lambda *_: (200, "")) as port:
        script = f"""echo $$ > {tmp_path}/pid
echo "Forwarding from 127.0.0.1:{port} -> 9091"
echo "Forwarding from 127.0.0.1:{port + 1} -> 9090"
exec sleep 600"""
        with Kubectl([], program(tmp_path, script)).forward("x", [9091, 9090]) as found:
            assert found == {9091: port, 9090: port + 1}
            running = Path("/proc", (tmp_path / "pid").read_text().strip())
            assert running.exists()
        assert not running.exists()


def test_a_forward_that_does_not_come_about(tmp_path: Path) -> None:
    script = 'echo "error: unable to forward port because pod is not running" >&2; exit 1'
    with (
        pytest.raises(ClusterFailed, match="pod is not running"),
        Kubectl([], program(tmp_path, script)).forward("x", [9091]),
    ):
        pass
