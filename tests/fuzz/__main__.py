"""Fuzz all targets, some at a time, for a while; or look at one input; or keep what new inputs have found.

python -m tests.fuzz                                all targets, ten seconds each
python -m tests.fuzz --seconds 600 smtp_session     one target, ten minutes
python -m tests.fuzz --runs 1000000                 a million executions of each
python -m tests.fuzz --reproduce FILE smtp_session  one input, with its traceback
python -m tests.fuzz --keep                         shrink what was found to what the corpus lacks
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.target import CORPUS, NAMES, load, within_time

ROOT = Path(__file__).parents[2]
FOUND = ROOT / ".cache" / "fuzz"
"""Inputs that were found, and those that failed: not in the repository."""
MENDED = "mended-"
"""How the names of inputs begin that have failed once: they are kept whatever they reach."""
LONGEST_KEPT = 2_048
"""Bytes of a kept input."""


def _prepare(name: str) -> Path:
    """The directory of found inputs, with seeds and words beside it."""
    directory = FOUND / name
    (directory / "inputs").mkdir(parents=True, exist_ok=True)
    (directory / "seeds").mkdir(exist_ok=True)
    target = load(name)
    for number, seed in enumerate(target.seeds):
        (directory / "seeds" / f"{number:03}").write_bytes(seed)
    words = ('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in target.words)
    (directory / "words").write_text("\n".join(words) + "\n")
    return directory


def _engine(log: Path, name: str, *arguments: str) -> tuple[bool, str]:
    """Run the engine; whether all was well, and what it has said, which can be read in `log` meanwhile."""
    command = [sys.executable, "-m", "tests.fuzz.engine", name, *arguments]
    environment = os.environ | {"PYTHONHASHSEED": "0"}  # so that a seed repeats a search
    with log.open("wb") as output:
        process = subprocess.run(
            command, cwd=ROOT, env=environment, check=False, stdout=output, stderr=output
        )
    return process.returncode == 0, log.read_text(errors="replace")


def _fuzz(name: str, arguments: argparse.Namespace) -> bool:
    """Fuzz one target and say how it went; False for a failure."""
    directory = _prepare(name)
    (CORPUS / name).mkdir(exist_ok=True)
    began, before = time.monotonic(), set(directory.glob("*-*"))
    well, said = _engine(
        directory / "log",
        name,
        f"-max_total_time={arguments.seconds}",
        f"-runs={arguments.runs}",
        f"-seed={arguments.seed}",
        f"-dict={directory / 'words'}",
        f"-artifact_prefix={directory}/",
        "-print_final_stats=1",
        "-rss_limit_mb=1024",
        "-timeout=10",
        str(directory / "inputs"),
        str(CORPUS / name),
        str(directory / "seeds"),
    )
    stats = dict(re.findall(r"stat::(\w+):\s+(\d+)", said))
    coverage = re.findall(r" cov: (\d+) ft: (\d+) corp: (\d+)", said)
    print(
        f"{name}: {stats.get('number_of_executed_units', '?')} executions in {time.monotonic() - began:.0f} s, "
        f"{coverage[-1][0] if coverage else '?'} edges, {coverage[-1][2] if coverage else '?'} inputs, "
        f"at most {stats.get('peak_rss_mb', '?')} MiB{'' if well else ': FAILED'}",
        flush=True,
    )
    if well:
        return True
    _, _, report = said.partition(" === Uncaught")
    print(report or said[-2_000:])
    for path in sorted(set(directory.glob("*-*")) - before):
        print(f"Look at it: {sys.executable} -m tests.fuzz --reproduce {path} {name}")
    return False


def _keep(name: str) -> None:
    """Replace the kept inputs by few that reach what all of them and the found ones reach."""
    directory = _prepare(name)
    with tempfile.TemporaryDirectory() as scratch:
        before, after = Path(scratch, "before"), Path(scratch, "after")
        after.mkdir()
        before.mkdir()
        # Copies, since an engine that still runs removes inputs for which it has found better ones.
        for source in (CORPUS / name, directory / "inputs", directory / "seeds"):
            for path in source.iterdir() if source.exists() else ():
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(path, before / path.name)
        merge = ("-merge=1", "-use_counters=0", f"-max_len={LONGEST_KEPT}", str(after), str(before))
        well, said = _engine(Path(scratch, "log"), name, *merge)
        if not well:
            sys.exit(said[-4_000:])
        for path in (CORPUS / name).iterdir() if (CORPUS / name).exists() else ():
            if path.name.startswith(MENDED):
                shutil.copyfile(path, after / path.name)
        shutil.rmtree(CORPUS / name, ignore_errors=True)
        shutil.copytree(after, CORPUS / name)
    files = list((CORPUS / name).iterdir())
    print(f"{name}: {len(files)} inputs kept, {sum(f.stat().st_size for f in files)} bytes")


def main() -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--seconds", type=int, help="for each target (default: 10; with --runs no limit)")
    parser.add_argument("--runs", type=int, default=-1, help="executions of each target (default: no limit)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the search, to repeat it (default: a new one)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time")
    parser.add_argument(
        "--reproduce", type=Path, metavar="FILE", help="run one input of the one target named"
    )
    parser.add_argument("--keep", action="store_true", help="shrink the found inputs into the kept corpus")
    arguments = parser.parse_args()
    names = arguments.targets or list(NAMES)
    if unknown := set(names) - set(NAMES):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if arguments.reproduce is not None:
        for name in names:
            within_time(load(name).run, arguments.reproduce.read_bytes())
        return 0
    if importlib.util.find_spec("atheris") is None:
        parser.error("Atheris is not installed: there are wheels for Linux on x86-64, Python 3.11 to 3.13")
    if arguments.keep:
        for name in names:
            _keep(name)
        return 0
    if arguments.seconds is None:
        arguments.seconds = 10 if arguments.runs < 0 else 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(lambda name: _fuzz(name, arguments), names))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
