"""`python -m benchmarks.workers`: throughput of two workers compared with one. Needs root and CPU cgroups.

On two cores the load generator and the sink need what a second worker would take. So every worker is held to
an eighth of a core by a cgroup of its own: then there is CPU for all, and the ratio is the workers' own.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from benchmarks import whole_path
from benchmarks.fixtures import make_fixtures
from benchmarks.load import Feed
from benchmarks.measure import Bounds
from benchmarks.programs import READY
from benchmarks.whole_path import Variant

PERIOD = 20_000
QUOTA = 2_500
"""Microseconds of CPU in every PERIOD for each worker."""
RUNS = 3


class Cages:
    """One CPU cgroup per worker, version 1 or 2; gone with the `with` block."""

    def __init__(self, output: Path) -> None:
        self._output = output
        base = Path("/sys/fs/cgroup")
        self._one = (base / "cpu").is_dir()
        self._base = base / "cpu" if self._one else base
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for path in self._made:
            path.rmdir()

    def confine(self, supervisor: int) -> None:
        """Put every child of the supervisor into a cage of its own, once all of them serve."""
        end = time.monotonic() + READY
        while b"is served" not in self._output.read_bytes() and time.monotonic() < end:
            time.sleep(0.05)
        for number, pid in enumerate(_children(supervisor)):
            cage = self._base / f"tubepost-bench-{os.getpid()}-{number}"
            if cage not in self._made:
                cage.mkdir()
                self._made.append(cage)
            if self._one:
                (cage / "cpu.cfs_period_us").write_text(str(PERIOD))
                (cage / "cpu.cfs_quota_us").write_text(str(QUOTA))
            else:
                (cage / "cpu.max").write_text(f"{QUOTA} {PERIOD}")
            (cage / "cgroup.procs").write_text(str(pid))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def main() -> int:
    """Measure one and two workers in turn, and print the ratio of the medians."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    with (
        tempfile.TemporaryDirectory(prefix="tubepost-bench-") as scratch,
        Cages(Path(scratch, "output")) as cages,
    ):
        fixtures = make_fixtures(Path(scratch))
        for run in range(RUNS):
            for count, found in rates.items():
                variant = Variant("tubepost", Feed(60), workers=count)
                result = whole_path.run(variant, whole_path.COMMANDS, fixtures, Bounds(), cages.confine)
                found.append(result.rate)
                print(f"run {run + 1} of {RUNS}: {count} workers: {result.rate:,.0f}/s", file=sys.stderr)
    medians = {count: statistics.median(found) for count, found in rates.items()}
    print(f"1 worker {medians[1]:,.0f}/s, 2 workers {medians[2]:,.0f}/s: {medians[2] / medians[1]:.2f} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
