"""docs/tutorial.md, word for word but for ports: its manifests, its commands, its Python, its change and its queue."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

from tests.e2e.app import REPOSITORY, TUBEPOST, Dispatcher, wait_until

pytestmark = pytest.mark.xdist_group("e2e")

PAGE = (REPOSITORY / "docs" / "tutorial.md").read_text(encoding="utf-8")


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def shell(command: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(TUBEPOST).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_tutorial(tmp_path: Path) -> None:
    manifests, queue = snippets("yaml")
    validate, run, send, gone = snippets("sh")
    file = tmp_path / "push.yaml"
    file.write_text(manifests)
    checked = shell(validate, tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert run.strip() == "tubepost run -f push.yaml --simulator"
    with Dispatcher([file], "--simulator", "--queue-dir", str(tmp_path / "queue")) as dispatcher:
        port = str(dispatcher.port)
        sent = shell(send, tmp_path, PORT=port)
        assert (sent.returncode, "delivered" in sent.stdout) == (0, True), sent.stdout + sent.stderr
        unregistered = shell(gone, tmp_path, PORT=port)
        assert unregistered.returncode != 0
        assert "Unregistered" in unregistered.stdout + unregistered.stderr
        (program,) = snippets("python")
        own = subprocess.run(
            [sys.executable, "-c", program, port], capture_output=True, text=True, timeout=60, check=False
        )
        assert (own.returncode, own.stdout) == (0, "delivered\n"), own.stderr
        documents = list(yaml.safe_load_all(manifests))
        documents[0]["spec"] |= yaml.safe_load(textwrap.dedent(queue))
        documents[0]["spec"]["domains"].append({"name": "second.example.com"})
        file.write_text(yaml.safe_dump_all(documents))
        second = send.replace("push.example.com", "second.example.com")
        wait_until(lambda: "queued" in shell(second, tmp_path, PORT=port).stdout.lower(), 60.0)
        assert dispatcher.stop() == 0, dispatcher.output()
