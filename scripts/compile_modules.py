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

import ast
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
PARTS = ("crds", "credentials", "runtime", "dispatcher")
"""Directories of the packages that a dispatcher is made of."""
KEPT = 8
"""Results in the cache; several checkouts share it."""
_SLICES = "bytes_ops.c"
_LENGTH = "Py_ssize_t slice_len = endn - startn;"
_MENDED = "Py_ssize_t slice_len = endn > startn ? endn - startn : 0;"


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
            extensions = mypycify(paths, opt_level="2", debug_level="0", group_name=GROUP, target_dir=scratch)
            for extension in extensions:
                extension.include_dirs.insert(0, str(mended_runtime(Path(scratch))))
            yield extensions, scratch
    finally:
        os.chdir(before)


def mended_runtime(scratch: Path) -> Path:
    """A directory with what is put right of mypyc's C sources; the first with a file is taken.

    A slice of bytes that ends before it begins is empty in Python, and with mypyc a SystemError: a message
    could make one (`value[1:-1]` of a single byte).

    Raises:
        SystemExit: the source is not the one that this was written for.
    """
    import mypyc  # noqa: PLC0415 - as above

    directory = scratch / "mended"
    directory.mkdir(exist_ok=True)
    source = Path(mypyc.__file__).parent / "lib-rt" / _SLICES
    text = source.read_text(encoding="utf-8")
    if text.count(_LENGTH) != 1:
        sys.exit(
            f"{source} is another than the one that is put right here. Remedy: see whether its "
            "CPyBytes_GetSlice minds an end before the beginning, and adapt scripts/compile_modules.py"
        )
    (directory / _SLICES).write_text(text.replace(_LENGTH, _MENDED), encoding="utf-8")
    return directory


def extension_modules(directory: Path) -> list[Path]:
    """What `build` has made in a directory."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    return sorted(path for path in directory.rglob(f"*{suffix}") if path.is_file())


def sources() -> list[Path]:
    """What mypyc reads of this project: the modules to compile, and all that these import."""
    found: set[Path] = set()
    names = [".".join(path.with_suffix("").parts) for path in modules()]
    seen: set[str] = set()
    while names:
        name = names.pop()
        if name in seen:
            continue
        seen.add(name)
        names += [name.rpartition(".")[0]] if "." in name else []
        stems = [ROOT.joinpath(part, *name.split(".")) for part in PARTS]
        files = [path for stem in stems for path in (stem.with_suffix(".py"), stem / "__init__.py")]
        for path in filter(Path.is_file, files):
            found.add(path)
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Import):
                    names += [one.name for one in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names += [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
    return sorted(found)


def key() -> str:
    """A hash of all that the result depends on: sources, what they import, mypy, Python, platform."""
    parts = [
        sys.version,
        sysconfig.get_platform(),
        sysconfig.get_config_var("EXT_SUFFIX"),
        importlib.metadata.version("mypy"),
    ]
    digest = sha256("\n".join(parts).encode())
    for path in (LIST, Path(__file__).resolve(), ROOT / "pyproject.toml", *sources()):
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
