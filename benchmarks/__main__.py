"""`python -m benchmarks`: contestants in turn against one sink; tables, ratios, JSON, a line of history."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import footprint, history, machine, page, plot, ratios, report, stalls, whole_path
from benchmarks.fixtures import Fixtures, make_fixtures
from benchmarks.measure import BenchmarkError, Bounds, Result
from benchmarks.peers.builds import BuildError
from benchmarks.rows import BASELINES, DEFAULT, ROWS, TITLES, Row, beside
from tests.peers.tools import MissingToolError

Runs = dict[str, dict[str, list[Result]]]
Missing = dict[str, dict[str, str]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for. Returns 1 where a row of ours failed."""
    options = options_of(arguments)
    bounds = Bounds(options.warmup, options.seconds, options.messages)
    facts = machine.facts()
    rows = [row for row in ROWS if _wanted(row, options)]
    if options.before:
        rows = beside(rows, options.before.resolve())
    if not rows and not options.stalls:
        print("no row has such a name", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="tubepost-bench-", dir=options.directory) as scratch:
        fixtures = make_fixtures(Path(scratch))
        memory = footprint.figures(fixtures, whole_path.in_pod(options.ours)) if options.memory else {}
        longest, no_stall = stalls.figures(fixtures, options.ours) if options.stalls else ({}, {})
        runs, missing = measure(rows, options, fixtures, bounds)
    if no_stall:
        missing["stalls"] = no_stall
    document = summarise(runs, missing, memory, facts, options, longest)
    _publish(document, options)
    failed = [row for row in rows if row.ours and row.name in missing.get(row.suite, {})]
    return 1 if failed else 0


def measure(
    rows: Sequence[Row], options: argparse.Namespace, fixtures: Fixtures, bounds: Bounds
) -> tuple[Runs, Missing]:
    """Run every row in turn, round after round; what is not installed, or fails, is left out and said why."""
    runs: Runs = {}
    missing: Missing = {}
    end = time.monotonic() + options.minutes * 60
    for number in range(options.runs):
        for row in rows:
            if number and time.monotonic() > end:
                continue  # the first round is always whole
            found = runs.setdefault(row.suite, {})
            if row.name in missing.get(row.suite, {}) or not _has_turn(row, number, options):
                continue
            try:
                result = row.run(options.ours, fixtures, bounds, found)
            except (BuildError, MissingToolError, BenchmarkError) as error:
                missing.setdefault(row.suite, {})[row.name] = reason(row.name, str(error))
                print(f"{row.suite}: {row.name}: {error}", file=sys.stderr)
                continue
            found.setdefault(row.name, []).append(result)
            print(
                f"run {number + 1} of {options.runs}: {row.suite}: {row.name}: {result.rate:,.0f}/s, "
                f"{result.cost:,.1f} us CPU each",
                file=sys.stderr,
            )
    return runs, missing


def reason(name: str, error: str) -> str:
    """Why there is no figure, in a line: what the program itself calls an error, else what was seen of it."""
    lines = error.splitlines()
    said = [line.partition("error: ")[2] for line in lines if line.startswith("error: ")]
    # A path of the scratch directory says nothing.
    return re.sub(r"/\S*/", "", said[0]) if said else lines[0].removeprefix(f"{name}: ")


def summarise(
    runs: Runs,
    missing: Missing,
    memory: dict[str, float],
    facts: dict[str, Any],
    options: argparse.Namespace,
    longest: dict[str, dict[str, float]] | None = None,
) -> dict[str, Any]:
    """All figures as one document."""
    suites = {name: report.summary(found, BASELINES[name]) for name, found in runs.items()}
    return {
        "machine": facts,
        "quick": options.quick,
        "runs": max((len(results) for found in runs.values() for results in found.values()), default=0),
        "seconds": options.seconds,
        "suites": suites,
        "missing": missing,
        "memory": memory,
        "stalls": longest or {},
        "ratios": ratios.values(suites, memory, longest or {}),
    }


def _publish(document: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.plot and any(suite["rows"] for suite in document["suites"].values()):
        options.plot.write_text(plot.svg(document), encoding="utf-8")
    if options.record:
        now = dt.datetime.now(dt.UTC)
        history.append(history.entry(document, history.commit(), now), options.record)
    if options.page:  # after the commit was asked for: these are files of the checkout
        page.write(document)
    print(page.tables(document))
    for line in ratios.compared(document["suites"]):
        print(f"\nCPU us, {line}")


def _wanted(row: Row, options: argparse.Namespace) -> bool:
    suites = set(DEFAULT) if options.what == "all" else set(options.what)
    named = not options.only or any(word in row.name for word in options.only)
    return row.suite in suites and named and (row.quick or not options.quick)


def _has_turn(row: Row, number: int, options: argparse.Namespace) -> bool:
    """Rows that no ratio needs run less often."""
    return row.key or number < max(1, options.runs // 2)


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, with what depends on the mode filled in."""
    options = _parser().parse_args(arguments)
    options.memory = not (options.quick or options.only) and (options.memory or options.what == "all")
    options.stalls = "stalls" in options.what or (
        options.what == "all" and not (options.quick or options.only)
    )
    options.runs = options.runs or (1 if options.quick else 5)
    options.seconds = options.seconds or (1.0 if options.quick else 2.0)
    options.warmup = options.warmup or (0.7 if options.quick else 0.8)
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="*",
        choices=(*TITLES, "stalls", "all"),
        default="all",
        help="suites (all but scale, million)",
    )
    parser.add_argument("--quick", action="store_true", help="the rows that matter most, once, for a second")
    parser.add_argument(
        "--runs", type=int, help="runs of rows that ratios need; others have half (5; quick: 1)"
    )
    parser.add_argument("--seconds", type=float, help="length of the window (2; quick: 1)")
    parser.add_argument("--warmup", type=float, help="seconds before the window (0.8; quick: 0.7)")
    parser.add_argument(
        "--minutes", type=float, default=8.5, help="no run but of the first round begins later (8.5)"
    )
    parser.add_argument("--messages", type=int, default=Bounds.messages, help="most messages in a window")
    parser.add_argument(
        "--only", type=lambda text: text.split(";"), help="parts of rows' names, with ; between them"
    )
    parser.add_argument("--ours", default=whole_path.OURS, help=f"our command ({whole_path.OURS})")
    parser.add_argument(
        "--before", type=Path, metavar="CHECKOUT", help="our rows beside those of another checkout's .venv"
    )
    parser.add_argument("--directory", type=Path, help="parent of the scratch directory: not on a tmpfs")
    parser.add_argument("--memory", action="store_true", help="memory too, as without names of suites")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them there, as SVG")
    parser.add_argument(
        "--page",
        action="store_true",
        help="put them into docs/benchmarks.md, with their JSON and plot beside",
    )
    parser.add_argument(
        "--record",
        type=Path,
        nargs="?",
        const=history.FILE,
        metavar="FILE",
        help=f"append the ratios to a history ({history.FILE.name})",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
