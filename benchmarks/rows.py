"""What is measured: the rows of the three tables."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import http2_half, smtp_half, whole_path
from benchmarks.fixtures import Fixtures
from benchmarks.load import Feed
from benchmarks.measure import Bounds, Result

TITLES = {
    "whole": "The whole path",
    "http2": "The HTTP/2 half alone",
    "smtp": "SMTP alone",
    "scale": "With much beside",
    "million": "With a million waiting",
}
"""The suites; what is not in DEFAULT takes long, the last half an hour."""
DEFAULT = ("whole", "http2", "smtp")
"""What is measured where nothing is said."""
BASELINES = {
    "whole": "naive, 20 by command",
    "http2": "httpx",
    "smtp": "aiosmtpd, 20 by command",
    "scale": "tubepost, 20 by command",
    "million": "queued, 200 pipelined",
}
"""The row of each suite that all others are compared with: what Python offers without us."""
Measured = Mapping[str, list[Result]]
"""Runs so far of the rows of a suite, by name."""


@dataclass(frozen=True)
class Row:
    """A row. `run` gets the command of ours, the files, the bounds, and what has been measured of its suite.

    `key`: the ratios that are watched need it, so it runs more often; `quick`: part of the short mode.
    """

    suite: str
    name: str
    run: Callable[[str, Fixtures, Bounds, Measured], Result]
    key: bool = False
    quick: bool = False
    variant: whole_path.Variant | None = None
    """Of the whole path as fast as it goes."""

    @property
    def ours(self) -> bool:
        """Whether a failure is our fault: JetStream needs a server of others, and compiling a compiler."""
        return self.name.startswith(("tubepost, ", "tubepost's ", "queued, "))


def _whole(
    variant: whole_path.Variant, *, key: bool = False, quick: bool = False, suite: str = "whole"
) -> Row:
    def run(ours: str, fixtures: Fixtures, bounds: Bounds, _measured: Measured) -> Result:
        commands = {
            **whole_path.COMMANDS,
            "tubepost": ours,
            "queued": ours + whole_path.QUEUE,
            "queued on JetStream": ours,
        }
        return whole_path.run(variant, commands, fixtures, bounds)

    return Row(suite, variant.name, run, key, quick, variant)


def beside(rows: Iterable[Row], before: Path) -> list[Row]:
    """The rows, and after each of ours of the whole path the same of another checkout."""
    found: list[Row] = []
    for row in rows:
        found.append(row)
        if row.ours and row.variant is not None:
            other = replace(row.variant, before=before)
            found.append(_whole(other, key=row.key, quick=row.quick, suite=row.suite))
    return found


def _half_load(variant: whole_path.Variant) -> Row:
    """The same at half of the rate that the row itself has reached, or reaches now."""

    def run(ours: str, fixtures: Fixtures, bounds: Bounds, measured: Measured) -> Result:
        commands = {**whole_path.COMMANDS, "tubepost": ours}
        runs = measured.get(variant.name) or [whole_path.run(variant, commands, fixtures, bounds)]
        rate = statistics.median(each.rate for each in runs)
        return whole_path.run(variant.at(rate / 2), commands, fixtures, bounds)

    return Row("whole", variant.at(1).name, run, key=True, quick=True)


def _smtp(program: str, feed: Feed, *, key: bool = False, quick: bool = False) -> Row:
    variant = smtp_half.Variant(program, feed)

    def run(_ours: str, fixtures: Fixtures, bounds: Bounds, _measured: Measured) -> Result:
        return smtp_half.run(variant, fixtures, bounds)

    return Row("smtp", variant.name, run, key, quick)


def _http2(name: str, *, key: bool = False, quick: bool = False) -> Row:
    def run(_ours: str, fixtures: Fixtures, bounds: Bounds, _measured: Measured) -> Result:
        return http2_half.run(name, fixtures, bounds)

    return Row("http2", name, run, key, quick)


_BY_COMMAND, _PIPELINED = Feed(20), Feed(200, pipelined=True)
_DIRECT = whole_path.Variant("tubepost", _BY_COMMAND)
_KEY, _QUICK = {"tubepost's pool", "Go apns2", "Java Pushy, hot"}, {"Rust a2", "httpx", "h2load"}

ROWS = (
    _whole(whole_path.Variant("naive", _BY_COMMAND), key=True, quick=True),
    _whole(_DIRECT, key=True, quick=True),
    _half_load(_DIRECT),
    _whole(whole_path.Variant("queued", _BY_COMMAND), key=True),
    _whole(whole_path.Variant("tubepost", _PIPELINED), key=True, quick=True),
    _whole(whole_path.Variant("queued", _PIPELINED), key=True, quick=True),
    *(
        _whole(replace(variant, compiled=True), key=True, quick=variant.program == "tubepost")
        for variant in (
            _DIRECT,
            whole_path.Variant("tubepost", _PIPELINED),
            whole_path.Variant("queued", _BY_COMMAND),
            whole_path.Variant("queued", _PIPELINED),
        )
    ),
    _whole(whole_path.Variant("queued on JetStream", _PIPELINED)),
    _whole(whole_path.Variant("queued on JetStream", _PIPELINED, workers=2)),
    _whole(whole_path.Variant("queued on JetStream", _PIPELINED, dispatchers=2)),
    _whole(whole_path.Variant("tubepost", _PIPELINED, workers=2)),
    _whole(whole_path.Variant("tubepost", Feed(1))),
    _whole(whole_path.Variant("tubepost", Feed(20, per_connection=1))),
    _whole(whole_path.Variant("tubepost", Feed(20, batch=1))),
    _whole(whole_path.Variant("tubepost", Feed(20, batch=100))),
    *(_http2(name, key=name in _KEY, quick=name in _KEY | _QUICK) for name in http2_half.SENDERS),
    _smtp("aiosmtpd", _BY_COMMAND, key=True, quick=True),
    _smtp("tubepost", _BY_COMMAND, key=True, quick=True),
    _smtp("smtp-sink", _BY_COMMAND),
    _smtp("tubepost", _PIPELINED, quick=True),
    _smtp("smtp-sink", _PIPELINED, quick=True),
    _smtp("aiosmtpd", Feed(1)),
    _smtp("tubepost", Feed(1)),
    _smtp("aiosmtpd", Feed(20, per_connection=1)),
    _smtp("tubepost", Feed(20, per_connection=1)),
    *(
        _whole(variant, key=True, suite="scale")
        for variant in (
            _DIRECT,
            replace(_DIRECT, entries=256),
            replace(_DIRECT, entries=1_000),
            replace(_DIRECT, idle=20),
            replace(_DIRECT, idle=2_000),
            whole_path.Variant("queued", _PIPELINED),
            whole_path.Variant("queued", _PIPELINED, waiting=10_000),
            whole_path.Variant("queued", _PIPELINED, waiting=100_000),
            whole_path.Variant("queued on JetStream", _PIPELINED),
            whole_path.Variant("queued on JetStream", _PIPELINED, waiting=10_000),
            whole_path.Variant("queued on JetStream", _PIPELINED, waiting=100_000),
        )
    ),
    *(
        _whole(whole_path.Variant(program, _PIPELINED, waiting=waiting), key=True, suite="million")
        for program in ("queued", "queued on JetStream")
        for waiting in (0, 1_000_000)
    ),
)
