"""Memory: at rest with one, two and three workers, and with 1,000 connections and as many messages under way.

python -m benchmarks.footprint                 MiB of all processes, proportional set size
python -m benchmarks.footprint --minutes 10    and how it goes under load for so long

What is measured is what a pod runs. On a laptop, which reads manifests, it is 7 MiB more.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import whole_path
from benchmarks.fixtures import Fixtures, make_fixtures
from benchmarks.load import Feed
from benchmarks.measure import Bounds
from benchmarks.processes import memory
from benchmarks.whole_path import Variant

IN_POD = whole_path.in_pod(whole_path.OURS)
WORKERS = (1, 2, 3)
BUSY = Feed(1_000)
DELAY = 1.0
"""Seconds that the sink takes for an answer in the busy phase: so long is each message under way."""
REST = 3.0
"""Seconds after the greeting at which a program is taken to be at rest."""
MIB = 2**20
AT_REST, FURTHER = "supervisor and one worker at rest", "each further worker"
LOADED = "1,000 connections, 1,000 messages under way"
"""Names of the figures."""


def at_rest(fixtures: Fixtures, ours: str = IN_POD, workers: int = 1) -> float:
    """MiB of all processes with so many workers, before the first message."""
    found: list[float] = []

    def look(pid: int) -> None:
        time.sleep(REST)
        found.append(memory(pid) / MIB)

    commands = {**whole_path.COMMANDS, "tubepost": ours}
    variant = Variant("tubepost", Feed(1), workers=workers)
    whole_path.run(variant, commands, fixtures, Bounds(0.1, 10.0, 1), look)
    return found[0]


def busy(fixtures: Fixtures, ours: str = IN_POD) -> float:
    """MiB with 1,000 connections, each of which waits for the reply to its message."""
    commands = {**whole_path.COMMANDS, "tubepost": ours}
    bounds = Bounds(warmup=3 * DELAY, seconds=3 * DELAY)
    variant = Variant("tubepost", BUSY)
    return whole_path.run(variant, commands, fixtures, bounds, delay=DELAY).memory / MIB


def figures(
    fixtures: Fixtures,
    ours: str = IN_POD,
    rest: Callable[[Fixtures, str, int], float] = at_rest,
    loaded: Callable[[Fixtures, str], float] = busy,
) -> dict[str, float]:
    """All figures by name, in MiB."""
    by_workers = [rest(fixtures, ours, count) for count in WORKERS]
    further = [more - less for less, more in itertools.pairwise(by_workers)]
    return {
        AT_REST: by_workers[0],
        FURTHER: statistics.mean(further),
        LOADED: loaded(fixtures, ours),
    }


def course(fixtures: Fixtures, minutes: float, ours: str = IN_POD) -> list[float]:
    """MiB of one worker at full load, ten times in so many minutes, each at the end of a tenth of them."""
    found: list[float] = []
    stop = threading.Event()

    def sample(pid: int) -> None:
        while not stop.wait(minutes * 6):
            found.append(memory(pid) / MIB)

    samplers: list[threading.Thread] = []

    def begin(pid: int) -> None:
        samplers.append(threading.Thread(target=sample, args=(pid,)))
        samplers[0].start()

    try:
        bounds = Bounds(warmup=1.0, seconds=minutes * 60, messages=sys.maxsize)  # time alone ends it
        commands = {**whole_path.COMMANDS, "tubepost": ours}
        whole_path.run(Variant("tubepost", Feed(20)), commands, fixtures, bounds, begin)
    finally:
        stop.set()
        for sampler in samplers:
            sampler.join()
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--ours", default=IN_POD, help=f"our command ({IN_POD})")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tubepost-bench-") as scratch:
        fixtures = make_fixtures(Path(scratch))
        for name, mib in figures(fixtures, options.ours).items():
            print(f"{name}: {mib:.1f} MiB")
        if options.minutes:
            print(
                "under load:",
                " ".join(f"{mib:.1f}" for mib in course(fixtures, options.minutes, options.ours)),
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
