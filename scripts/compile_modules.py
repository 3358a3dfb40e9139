"""Turn the modules that every message passes into extension modules, by mypyc, from the same source.

    python scripts/compile_modules.py DIRECTORY

makes a copy of `tubepost_dispatcher` in DIRECTORY with extension modules beside the sources that
`dispatcher/compiled.txt` lists; with DIRECTORY in PYTHONPATH it takes the place of the installed one. As a
build hook of hatchling it puts them into a wheel, which is then one of this Python and platform:

    HATCH_BUILD_HOOK_ENABLE_CUSTOM=true python -m hatchling build -t wheel

Needs mypy, setuptools and a C compiler, and about two minutes.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "dispatcher"
PACKAGE = "tubepost_dispatcher"
LIST = SOURCES / "compiled.txt"
GROUP = "tubepost_compiled"
"""Name of the library that has the code; the extension modules themselves only point into it."""


def modules() -> list[Path]:
    """Paths of the modules to compile, below `SOURCES`."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return [Path(PACKAGE) / line for line in lines if line and not line.startswith("#")]


def build(target: Path) -> list[Path]:
    """Compile into `target`, and return what was made there.

    Raises:
        SystemExit: mypyc refuses a module, or the C compiler fails; the reason is on standard error.
    """
    # Only here, since a wheel is built without them, too.
    from mypyc.build import mypycify  # noqa: PLC0415
    from setuptools import Distribution  # noqa: PLC0415

    os.chdir(ROOT)  # where mypy finds its configuration
    with tempfile.TemporaryDirectory(prefix="compile-") as scratch:
        paths = [str(Path("dispatcher") / path) for path in modules()]
        extensions = mypycify(paths, opt_level="2", debug_level="0", group_name=GROUP, target_dir=scratch)
        distribution = Distribution({"name": "tubepost", "ext_modules": extensions})
        command: Any = distribution.get_command_obj("build_ext")
        command.build_lib, command.build_temp = str(target), scratch
        command.ensure_finalized()
        command.run()
        return [Path(path) for path in command.get_outputs()]


class CompiledWheel(BuildHookInterface[Any]):
    """Puts the extension modules into a wheel. Off unless the environment enables it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See BuildHookInterface; an editable installation stays as it is."""
        if version == "editable":
            return
        self._made = Path(tempfile.mkdtemp(prefix="compiled-"))
        for path in build(self._made):
            build_data["force_include"][str(path)] = str(path.relative_to(self._made))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """See BuildHookInterface."""
        del build_data, artifact_path
        if version != "editable":
            shutil.rmtree(self._made)


def main(target: Path) -> None:
    """Make the copy anew."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(SOURCES / PACKAGE, target / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    made = build(target.resolve())
    print(f"{len(made) - 1} modules are compiled. PYTHONPATH={target} takes them instead of their sources.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: compile_modules.py DIRECTORY")
    main(Path(sys.argv[1]))
