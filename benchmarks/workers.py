"""`python -m benchmarks.workers`: two workers compared with one, two dispatchers on one stream with one.

Throughput. Needs root and CPU cgroups.

On two cores the load generator and the sink need what a second worker would take. So every worker is held to
an eighth of a core by a cgroup of its own: then there is CPU for all, and the ratio is the workers' own.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Self

from benchmarks import whole_path
from benchmarks.fixtures import make_fixtures
from benchmarks.load import Feed
from benchmarks.measure import Bounds
from benchmarks.processes import usage
from benchmarks.programs import READY
from benchmarks.whole_path import Variant

PERIOD = 20_000
QUOTA = 2_500
"""Microseconds of CPU in every PERIOD for each worker."""
NAME = "tubepost-worker"
"""Of a worker's process; the kernel keeps 15 characters."""
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

    def confine(self, program: int, dispatchers: int = 1) -> None:
        """Put every worker of the program into a cage of its own, once all of them serve."""
        end = time.monotonic() + READY
        while self._output.read_bytes().count(b"is served") < dispatchers and time.monotonic() < end:
            time.sleep(0.05)
        for number, pid in enumerate(workers(usage(program).members)):
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


def workers(members: Iterable[int]) -> list[int]:
    """Those of these processes that are workers, by their names."""
    found = []
    for pid in members:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").startswith(NAME):
                found.append(pid)
    return found


def main() -> int:
    """Measure one and two of each in turn, and print the ratios of the medians."""
    pairs = {
        "workers": [Variant("tubepost", Feed(60), workers=count) for count in (1, 2)],
        "dispatchers on JetStream": [
            Variant("queued on JetStream", Feed(60), dispatchers=count) for count in (1, 2)
        ],
    }
    rates: dict[Variant, list[float]] = {variant: [] for pair in pairs.values() for variant in pair}
    with (
        tempfile.TemporaryDirectory(prefix="tubepost-bench-") as scratch,
        Cages(Path(scratch, "output")) as cages,
    ):
        fixtures = make_fixtures(Path(scratch))
        for run in range(RUNS):
            for variant, found in rates.items():
                confine = partial(cages.confine, dispatchers=variant.dispatchers)
                result = whole_path.run(variant, whole_path.COMMANDS, fixtures, Bounds(), confine)
                found.append(result.rate)
                print(f"run {run + 1} of {RUNS}: {variant.name}: {result.rate:,.0f}/s", file=sys.stderr)
    for name, pair in pairs.items():
        one, two = (statistics.median(rates[variant]) for variant in pair)
        print(f"{name}: one {one:,.0f}/s, two {two:,.0f}/s: {two / one:.2f} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
