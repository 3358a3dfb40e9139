"""`history.jsonl`: the ratios of every recorded run, and their trend. It reports, and fails nothing.

python -m benchmarks.history          the trend
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import ratios

FILE = Path(__file__).resolve().parent / "history.jsonl"
SHOWN = 12
"""Runs in a trend's line of bars."""
_BARS = "▁▂▃▄▅▆▇█"


def entry(document: Mapping[str, Any], commit: str, now: dt.datetime) -> dict[str, Any]:
    """The line of a run."""
    return {
        "commit": commit,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "quick": document["quick"],
        "runs": document["runs"],
        "machine": document["machine"],
        "ratios": {name: round(value, 4) for name, value in document["ratios"].items()},
    }


def append(line: Mapping[str, Any], path: Path = FILE) -> None:
    """Add a run."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read(path: Path = FILE) -> list[dict[str, Any]]:
    """All runs, oldest first; a line that cannot be read is left out, and said on standard error."""
    found: list[dict[str, Any]] = []
    if not path.exists():
        return found
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            line = json.loads(text)
            named = isinstance(line["ratios"], dict) and {"commit", "date", "quick"} <= line.keys()
        except (ValueError, KeyError, TypeError):
            named = False
        if named:
            found.append(line)
        elif text.strip():
            print(f"{path.name}: line {number} is no run", file=sys.stderr)
    return found


def commit(root: Path = FILE.parent) -> str:
    """The commit that is checked out, with a `+` where files differ from it; empty outside a repository."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude", "*"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def trend(lines: Sequence[Mapping[str, Any]]) -> str:
    """The newest value of every ratio, beside the one before and the median of those before."""
    if not lines:
        return "No run has been recorded: `make bench` does."
    last = lines[-1]
    mode = ", quick" if last["quick"] else ""
    told = [
        f"{len(lines)} runs, {lines[0]['date']} to {last['date']}; newest: {last['commit']}{mode}",
        "",
        "| ratio (CPU per message), or figure | newest | before | median before | aim | | trend |",
        "| --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for ratio in ratios.RATIOS:
        series = [line["ratios"][ratio.name] for line in lines if ratio.name in line["ratios"]]
        if ratio.name not in last["ratios"]:
            continue
        *earlier, newest = series
        before = f"{earlier[-1]:.2f}" if earlier else ""
        middle = f"{statistics.median(earlier):.2f}" if earlier else ""
        said = "holds" if ratio.holds(newest) else "not yet"
        told.append(
            f"| {ratio.name} | {newest:.2f} | {before} | {middle} | {ratio.wanted} | {said} "
            f"| {bars(series[-SHOWN:])} |"
        )
    return "\n".join(told)


def bars(series: Sequence[float]) -> str:
    """A bar for each value, from the least to the greatest."""
    least, greatest = min(series), max(series)
    span = greatest - least
    if not span:
        return _BARS[0] * len(series)
    return "".join(_BARS[min(7, int((value - least) / span * 8))] for value in series)


def main() -> int:
    """Print the trend."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("--file", type=Path, default=FILE)
    parser.add_argument("--full", action="store_true", help="leave out runs in the short mode")
    options = parser.parse_args()
    lines = [line for line in read(options.file) if not (options.full and line["quick"])]
    print(trend(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
