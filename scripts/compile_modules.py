"""Turn the modules that every message passes into extension modules, by mypyc, from the same source.

    python scripts/compile_modules.py DIRECTORY

makes a copy of `tubepost_dispatcher` in DIRECTORY with extension modules beside the sources that
`dispatcher/compiled.txt` lists; with DIRECTORY in PYTHONPATH it takes the place of the installed one. What is
compiled is kept below `$XDG_CACHE_HOME/tubepost/compiled`, for the next time that somebody asks for the same.

    python scripts/compile_modules.py --check

asks mypyc whether it would compile them; no C compiler is needed for that, and nothing is made.

As a build hook of hatchling it puts them into a wheel, which is then one of this Python and platform:

    HATCH_BUILD_HOOK_ENABLE_CUSTOM=true python -m hatchling build -t wheel

COMPILED_MODULES can name a directory that was made as above; they are taken from there then.

Needs mypy, setuptools and a C compiler, and about two minutes.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "dispatcher"
PACKAGE = "tubepost_dispatcher"
LIST = SOURCES / "compiled.txt"
GROUP = "tubepost_compiled"
"""Name of the library that has the code; the extension modules themselves only point into it."""
KEPT = 4
"""Results in the cache; several checkouts share it."""


def modules() -> list[Path]:
    """Paths of the modules to compile, below `SOURCES`."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return [Path(PACKAGE) / line for line in lines if line and not line.startswith("#")]


def check() -> None:
    """Let mypyc translate them, without compiling what comes out.

    Raises:
        SystemExit: mypyc refuses a module; the reason is on standard error.
    """
    with _translated():
        pass


def build(target: Path) -> list[Path]:
    """Compile into `target`, and return what was made there.

    Raises:
        SystemExit: mypyc refuses a module, or the C compiler fails; the reason is on standard error.
    """
    from setuptools import Distribution  # noqa: PLC0415 - a wheel is built without it, too

    target = target.resolve()
    with _translated() as (extensions, scratch):
        distribution = Distribution({"name": "tubepost", "ext_modules": extensions})
        command: Any = distribution.get_command_obj("build_ext")
        command.build_lib, command.build_temp = str(target), scratch
        command.ensure_finalized()
        command.run()
        return [Path(path) for path in command.get_outputs()]


@contextmanager
def _translated() -> Iterator[tuple[list[Any], str]]:
    """What setuptools has to compile, and the directory that has it."""
    from mypyc.build import mypycify  # noqa: PLC0415 - a wheel is built without it, too

    before = Path.cwd()
    os.chdir(ROOT)  # where mypy finds its configuration
    try:
        with tempfile.TemporaryDirectory(prefix="compile-") as scratch:
            paths = [str(Path("dispatcher") / path) for path in modules()]
            yield (
                mypycify(paths, opt_level="2", debug_level="0", group_name=GROUP, target_dir=scratch),
                scratch,
            )
    finally:
        os.chdir(before)


def extension_modules(directory: Path) -> list[Path]:
    """What `build` has made in a directory."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    return sorted(path for path in directory.rglob(f"*{suffix}") if path.is_file())


def key() -> str:
    """A hash of all that the result depends on: sources, what they import, mypy, Python, platform."""
    parts = [
        sys.version,
        sysconfig.get_platform(),
        sysconfig.get_config_var("EXT_SUFFIX"),
        importlib.metadata.version("mypy"),
    ]
    digest = sha256("\n".join(parts).encode())
    files = [LIST, Path(__file__), ROOT / "pyproject.toml"]
    for package in ("crds", "credentials", "runtime", "dispatcher"):
        files += sorted((ROOT / package).rglob("*.py"))
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def cached() -> Path:
    """A directory with the extension modules of these sources, compiled where that was not done before."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    kept = Path(base) / "tubepost" / "compiled"
    found = kept / key()
    if not found.is_dir():
        kept.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=kept))
        try:
            build(scratch)
            scratch.chmod(0o755)
            scratch.rename(found)
        except OSError:
            if not found.is_dir():  # else: somebody else was quicker
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    os.utime(found)
    for old in sorted(kept.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return found


class CompiledWheel(BuildHookInterface[Any]):
    """Puts the extension modules into a wheel. Off unless the environment enables it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See BuildHookInterface; an editable installation stays as it is."""
        if version == "editable":
            return
        self._made = Path(tempfile.mkdtemp(prefix="compiled-"))
        if there := os.environ.get("COMPILED_MODULES"):
            made, top = extension_modules(Path(there)), Path(there)
        else:
            made, top = build(self._made), self._made
        for path in made:
            build_data["force_include"][str(path)] = str(path.relative_to(top))
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
    shutil.copytree(cached(), target, dirs_exist_ok=True)
    made = len(extension_modules(target)) - 1
    print(f"{made} modules are compiled. PYTHONPATH={target} takes them instead of their sources.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: compile_modules.py DIRECTORY | --check")
    if sys.argv[1] == "--check":
        check()
    else:
        main(Path(sys.argv[1]))
