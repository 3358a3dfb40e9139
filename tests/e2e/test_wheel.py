"""The wheel, installed by pip into a fresh environment, works without the checkout."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.e2e.app import REPOSITORY

pytestmark = pytest.mark.xdist_group("e2e")


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.timeout(600)
def test_what_pip_installs_runs_outside_of_the_checkout(tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir")
    _run(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, REPOSITORY, cwd=tmp_path)
    (wheel,) = tmp_path.glob("tubepost-*.whl")
    place = tmp_path / "fresh"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    _run(*pip, "--python", python, "install", "-q", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    # Its requirements are those that the tests run with; a path that a .pth file names is not searched for
    # further .pth files, such as the one of the checkout.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = place / "lib" / version / "site-packages"
    (packages / "requirements.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    tubepost = place / "bin" / "tubepost"

    where = _run(python, "-c", "import tubepost_importer as it; print(it.__file__)", cwd=tmp_path).stdout
    assert Path(where.strip()).is_relative_to(packages)
    shown = _run(tubepost, "demo", cwd=tmp_path).stdout
    assert "Delivered." in shown
    assert str(packages) in shown  # the manifests are those of the wheel
    assert "tubepost import" in (place / "share/man/man1/tubepost.1").read_text()
    assert "_TUBEPOST_COMPLETE" in _run(tubepost, "completion", "bash", cwd=tmp_path).stdout
