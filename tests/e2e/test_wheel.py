"""The wheel, installed by pip into a fresh environment, works without the checkout.

Where the tests run against compiled modules, it is the wheel that has them.
"""

from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import tubepost_dispatcher
from tests.e2e.app import REPOSITORY
from tubepost_dispatcher import build_info

pytestmark = pytest.mark.xdist_group("e2e")


_DISPATCHER = str(tubepost_dispatcher.__file__)
COMPILED = build_info.modules() == "compiled"


def _run(*command: str | Path, cwd: Path, **added: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | added
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
    hook = {"HATCH_BUILD_HOOK_ENABLE_CUSTOM": "true", "COMPILED_MODULES": str(Path(_DISPATCHER).parents[1])}
    built = (*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, REPOSITORY)
    _run(*built, cwd=tmp_path, **(hook if COMPILED else {}))
    (wheel,) = tmp_path.glob("tubepost-*.whl")
    assert wheel.name.endswith("-py3-none-any.whl") is not COMPILED
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
    assert _run(tubepost, "--version", cwd=tmp_path).stdout.split("version ")[1] == f"{build_info.line()}\n"
    shown = _run(tubepost, "demo", cwd=tmp_path).stdout
    assert "Delivered." in shown
    assert str(packages) in shown  # the manifests are those of the wheel
    assert "tubepost import" in (place / "share/man/man1/tubepost.1").read_text()
    assert "_TUBEPOST_COMPLETE" in _run(tubepost, "completion", "bash", cwd=tmp_path).stdout
