"""`python -m benchmarks`: the table of the whole path, and of its HTTP/2 half."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import http2_half, report, whole_path
from benchmarks.fixtures import Fixtures, make_fixtures
from benchmarks.load import LoadError
from benchmarks.whole_path import Bounds, Variant

WHOLE = (
    Variant("naive", 20, False),
    Variant("tubepost", 20, False),
    Variant("queued", 20, False),
    Variant("tubepost", 200, True),
    Variant("queued", 200, True),
    Variant("tubepost", 20, False, 1),
    Variant("queued", 20, False, 1),
    Variant("tubepost", 20, False, 100),
    Variant("queued", 20, False, 100),
)


def main() -> int:
    """Run what the command line asks for, and print tables (or JSON)."""
    options = _parser().parse_args()
    bounds = Bounds(options.warmup, options.seconds, options.messages)
    made: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="tubepost-bench-") as scratch:
        fixtures = make_fixtures(Path(scratch))
        try:
            if options.what in {"whole", "all"}:
                made["whole"] = _whole(options, fixtures, bounds)
            if options.what in {"http2", "all"}:
                made["http2"] = _half(options, fixtures, bounds)
        except LoadError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    if options.json:
        options.json.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    titles = {"whole": ("The whole path", "message"), "http2": ("The HTTP/2 half alone", "request")}
    for part, result in made.items():
        print(report.table(*titles[part], result), end="\n\n")
    return 0


def _whole(options: argparse.Namespace, fixtures: Fixtures, bounds: Bounds) -> dict[str, Any]:
    commands = {
        "naive": whole_path.NAIVE,
        "tubepost": options.ours,
        "queued": options.ours + whole_path.QUEUE,
    }
    variants = [variant for variant in WHOLE if variant.program in options.only]
    runs = _interleaved(
        [variant.name for variant in variants],
        options.runs,
        lambda name: whole_path.run(
            next(variant for variant in variants if variant.name == name), commands, fixtures, bounds
        ),
    )
    pairs = [(f"queued, {load}", f"tubepost, {load}") for load in dict.fromkeys(each.load for each in WHOLE)]
    return report.summary(runs, WHOLE[0].name, pairs)


def _half(options: argparse.Namespace, fixtures: Fixtures, bounds: Bounds) -> dict[str, Any]:
    senders = [name for name in http2_half.SENDERS if http2_half.SENDERS[name].program in options.only]
    runs = _interleaved(senders, options.runs, lambda name: http2_half.run(name, fixtures, bounds))
    return report.summary(runs, "httpx")


def _interleaved(names: Sequence[str], times: int, once: Callable[[str], Any]) -> dict[str, list[Any]]:
    runs: dict[str, list[Any]] = {name: [] for name in names}
    for number in range(times):
        for name in names:
            result = once(name)
            runs[name].append(result)
            print(
                f"run {number + 1} of {times}: {name}: {result.rate:,.0f}/s, {result.cost:,.0f} us CPU each",
                file=sys.stderr,
            )
    return runs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("whole", "http2", "all"), default="all")
    parser.add_argument("--runs", type=int, default=3, help="runs of each variant, interleaved (3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the window (5)")
    parser.add_argument("--warmup", type=float, default=1.5, help="seconds before the window (1.5)")
    parser.add_argument("--messages", type=int, default=200_000, help="most messages in a window (200000)")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=["naive", "tubepost", "queued"],
        help="naive, tubepost, queued (acceptance Queued, every 250 after its fsync)",
    )
    parser.add_argument("--ours", default=whole_path.OURS, help=f"our command ({whole_path.OURS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
